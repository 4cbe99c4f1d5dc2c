/**
 * Names on the wire: NVMe qualified names, UUIDs, NGUIDs.
 *
 * @packageDocumentation
 */

export const nqnFieldLengthBytes = 256;
/** Longest NQN in bytes of UTF-8, so that a NUL always follows. */
const nqnLengthMax = 223;
export const discoveryNqn = "nqn.2014-08.org.nvmexpress.discovery";

const datedNqn = /^nqn\.[0-9]{4}-(0[1-9]|1[0-2])\.[^\s:]+(:.+)?$/u;

/**
 * Says what is wrong with an NQN, or `undefined` if it is fine.
 *
 * @see NVM Express Base Specification, NVMe Qualified Names.
 */
export function nqnProblem(nqn: string): string | undefined {
  const lengthBytes = Buffer.byteLength(nqn);
  if (lengthBytes > nqnLengthMax) return `NQN has ${lengthBytes} bytes, at most ${nqnLengthMax} are allowed`;
  if (!datedNqn.test(nqn)) {
    return `"${nqn}" is not an NQN: expected nqn.<yyyy-mm>.<reverse domain>[:<name>]`;
  }
  return undefined;
}

/** Writes an NQN into a zero-filled field of 256 bytes. */
export function writeNqnField(bytes: Buffer, at: number, nqn: string): void {
  bytes.fill(0, at, at + nqnFieldLengthBytes);
  bytes.write(nqn, at, nqnLengthMax, "utf8");
}

/** Reads a field of 256 bytes; `undefined` if no NUL ends it within 223 bytes of UTF-8. */
export function readNqnField(field: Uint8Array): string | undefined {
  const end = field.indexOf(0);
  if (end < 0 || end > nqnLengthMax) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(field.subarray(0, end));
  } catch {
    return undefined;
  }
}

const uuidText = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return uuidText.test(text);
}

/**
 * The 16 bytes of a UUID, in the order of its text (no GUID swap).
 *
 * @throws {TypeError} If the text is no UUID.
 */
export function uuidToBytes(uuid: string): Buffer {
  if (!isUuid(uuid)) throw new TypeError(`"${uuid}" is not a UUID: expected 8-4-4-4-12 hexadecimal digits`);
  return Buffer.from(uuid.replaceAll("-", ""), "hex");
}

/** Lower-case text of 16 bytes. */
export function uuidFromBytes(bytes: Uint8Array): string {
  const digits = hexFromBytes(bytes.subarray(0, 16));
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ].join("-");
}

export function hexFromBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

/** NQN of a host that is known by its UUID alone. */
export function hostNqnOfUuid(uuid: string): string {
  return `nqn.2014-08.org.nvmexpress:uuid:${uuid.toLowerCase()}`;
}
