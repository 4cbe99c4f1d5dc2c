/**
 * Protobuf messages as JSON, the way a gRPC gateway with its default marshaler writes them.
 *
 * int64 and uint64 are decimal strings (the caller makes them), bytes are base64, enums are names, and a
 * field that holds its type's zero is not written at all.
 *
 * @packageDocumentation
 */

import { type ChangedChunks, chunkBlocks } from "../store/port.ts";

/** Drops the fields whose value is the zero of its protobuf type. Enum zeros are the caller's business. */
export function withoutZeroes(message: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(message).filter(([, value]) => !isZero(value)));
}

function isZero(value: unknown): boolean {
  return (
    value === undefined ||
    value === "" ||
    value === "0" ||
    value === 0 ||
    value === false ||
    (Array.isArray(value) && value.length === 0)
  );
}

/**
 * A page of the diff.
 *
 * `dataBitMap` is the 64-bit map of the chunk as 8 bytes, low byte first: bit i of byte j stands for block
 * `lbaStart + 8 j + i`. `lbaEnd` is the first block after the chunk, or after the snapshot if that is nearer.
 *
 * @param blockCount - Size of the snapshot in blocks.
 */
export function diffPageJson(page: ChangedChunks, blockCount: number): Readonly<Record<string, unknown>> {
  const bytes = Buffer.alloc(8);
  const lbaRanges = page.chunks.map(({ lbaStart, low, high }) => {
    bytes.writeUInt32LE(low >>> 0, 0);
    bytes.writeUInt32LE(high >>> 0, 4);
    const lbaEnd = String(Math.min(lbaStart + chunkBlocks, blockCount));
    const dataBitMap = bytes.toString("base64");
    return lbaStart === 0 ? { lbaEnd, dataBitMap } : { lbaStart: String(lbaStart), lbaEnd, dataBitMap };
  });
  return withoutZeroes({ nextOffsetLBA: String(page.nextOffsetLba), lbaRanges });
}
