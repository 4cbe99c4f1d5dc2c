/**
 * Fixed layouts as tables of fields: one table both encodes and decodes.
 *
 * For Identify structures and log pages, which are read rarely; the hot path writes in place instead.
 *
 * @packageDocumentation
 */
import { hexFromBytes } from "./names.ts";

/** A field at a fixed place of a structure. */
export interface Field<T> {
  readonly read: (bytes: Buffer) => T;
  readonly write: (bytes: Buffer, value: T) => void;
}

/** The object that a layout describes. */
export type Decoded<L> = { readonly [K in keyof L]: L[K] extends Field<infer T> ? T : never };

/** Reads every field; `bytes` must be as long as the structure and is not kept. */
export function decodeLayout<L extends object>(layout: L, bytes: Uint8Array): Decoded<L> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields = Object.entries(layout as Record<string, Field<unknown>>);
  return Object.fromEntries(fields.map(([name, field]) => [name, field.read(buffer)])) as Decoded<L>;
}

/** Writes the given fields into zeros of `lengthBytes`; what is not given stays zero. */
export function encodeLayout<L extends object>(
  layout: L,
  lengthBytes: number,
  values: Partial<Decoded<L>>,
): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (const [name, field] of Object.entries(layout as Record<string, Field<unknown>>)) {
    const value = (values as Record<string, unknown>)[name];
    if (value !== undefined) field.write(bytes, value);
  }
  return bytes;
}

export const u8 = (at: number): Field<number> => ({
  read: (bytes) => bytes.readUInt8(at),
  write: (bytes, value) => bytes.writeUInt8(value, at),
});

export const u16 = (at: number): Field<number> => ({
  read: (bytes) => bytes.readUInt16LE(at),
  write: (bytes, value) => bytes.writeUInt16LE(value, at),
});

export const u32 = (at: number): Field<number> => ({
  read: (bytes) => bytes.readUInt32LE(at),
  write: (bytes, value) => bytes.writeUInt32LE(value, at),
});

export const u64 = (at: number): Field<bigint> => ({
  read: (bytes) => bytes.readBigUInt64LE(at),
  write: (bytes, value) => bytes.writeBigUInt64LE(value, at),
});

/** 128-bit counter. */
export const u128 = (at: number): Field<bigint> => ({
  read: (bytes) => bytes.readBigUInt64LE(at) | (bytes.readBigUInt64LE(at + 8) << 64n),
  write: (bytes, value) => {
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value), at);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value >> 64n), at + 8);
  },
});

/** Text padded with `pad` on the right; spaces and NULs at its end are dropped when read. */
export const text = (at: number, lengthBytes: number, pad: " " | "\0"): Field<string> => ({
  read: (bytes) => bytes.toString("latin1", at, at + lengthBytes).replace(/[\0 ]+$/, ""),
  write: (bytes, value) => {
    bytes.fill(pad, at, at + lengthBytes, "latin1");
    bytes.write(value, at, lengthBytes, "latin1");
  },
});

/** Opaque bytes as lower-case hexadecimal digits; all zeros read as `undefined`. */
export const opaque = (at: number, lengthBytes: number): Field<string | undefined> => ({
  read: (bytes) => {
    const digits = hexFromBytes(bytes.subarray(at, at + lengthBytes));
    return /^0*$/.test(digits) ? undefined : digits;
  },
  write: (bytes, value) => {
    bytes.write((value ?? "").padEnd(lengthBytes * 2, "0"), at, lengthBytes, "hex");
  },
});
