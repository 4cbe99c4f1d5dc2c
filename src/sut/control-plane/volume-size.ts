/**
 * Sizes of volumes as clients write them: `"4 GiB"`, `"4gib"`, `"4294967296b"` or `"4294967296"`.
 *
 * @packageDocumentation
 */

const unitBytes: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/**
 * Bytes that a text asks for, or `undefined` if it is not a size: a positive integer and a unit (b, kb, mb,
 * gb, tb, kib, mib, gib, tib; any case; b if absent) that come to at most 2^53 - 1 bytes.
 */
export function parseVolumeSize(text: string): number | undefined {
  const match = /^(\d{1,16}) ?([a-z]{0,3})$/i.exec(text.trim());
  const unit = unitBytes[(match?.[2] ?? "?").toLowerCase()];
  if (match === null || unit === undefined) return undefined;
  const bytes = Number(match[1]) * unit;
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}
