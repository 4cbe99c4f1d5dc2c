/**
 * Counts, sizes, durations, ratios and seeds, as people write them.
 *
 * @packageDocumentation
 */
import { z } from "zod";

const sizeUnits: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};

const durationUnits: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** How many there are, one at least. */
export const count = z.int().min(1);

/** Bytes: a number, or a number with B, KiB, MiB, GiB or TiB. */
export const size = measure(sizeUnits, "a size such as 4096, 64KiB or 1.5GiB");

/** Milliseconds: a number with ms, s, min, h or d. */
export const duration = measure(durationUnits, "a duration such as 500ms, 90s, 5min or 8h");

/** A chance such as 1/4. */
export const ratio = z
  .string()
  .regex(/^\d{1,9}\/[1-9]\d{0,8}$/, "expected a ratio such as 1/4")
  .transform((text) => {
    const [numerator, denominator] = text.split("/").map(Number);
    return { numerator: numerator!, denominator: denominator! };
  })
  .refine(({ numerator, denominator }) => numerator <= denominator, "expected a ratio of at most 1");

/** A seed: a whole number of 64 bits; beyond 2^53 as text, decimal or 0x…. */
export const seed = z
  .union([
    z.int('expected a whole number; beyond 2^53 write it as text, such as "0x5eed"').min(0),
    z.string().regex(/^(0x[0-9a-fA-F]{1,16}|\d{1,20})$/, "expected a number, or text such as 0x5eed"),
  ])
  .transform((value) => BigInt(value))
  .refine((value) => value < 2n ** 64n, "expected at most 64 bits");

function measure(units: Readonly<Record<string, number>>, expected: string) {
  const pattern = new RegExp(`^(\\d+(?:\\.\\d+)?) ?(${Object.keys(units).join("|")})$`);
  return z.union([z.int().min(0), z.string().regex(pattern, `expected ${expected}`)]).transform((value) => {
    if (typeof value === "number") return value;
    const [, number, unit] = pattern.exec(value)!;
    return Math.round(Number(number) * units[unit!]!);
  });
}

/** Bytes in the largest unit that keeps them short. */
export function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = bytes === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 2 ** (10 * power);
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[power]}`;
}

export function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const [h, min, s] = parts;
  if (h! > 0) return `${h} h ${min} min`;
  return min! > 0 ? `${min} min ${s} s` : `${s} s`;
}
