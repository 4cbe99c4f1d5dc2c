/**
 * What mutants of diffs are made of: blocks that are left out of an answer.
 *
 * @packageDocumentation
 */
import type { Layer } from "../sut/store/layer.ts";
import { type ChangedChunk, type ChangedChunks, chunkBlocks } from "../sut/store/port.ts";
import type { Chance } from "./mutant.ts";

/** Blocks of one chunk: bit i, low word first, stands for block i of it. */
export interface ChunkBits {
  readonly low: number;
  readonly high: number;
}

export const wholeChunk: ChunkBits = { low: -1, high: -1 };
export const noBits: ChunkBits = { low: 0, high: 0 };

/** An answer without some blocks; a chunk of which nothing is left is not told of. Strikes if that changes it. */
export function leavingOut(
  chance: Chance,
  answer: ChangedChunks,
  omitted: (chunk: ChangedChunk) => ChunkBits,
): ChangedChunks {
  let isChanged = false;
  const chunks: ChangedChunk[] = [];
  for (const chunk of answer.chunks) {
    const bits = omitted(chunk);
    const low = (chunk.low & ~bits.low) >>> 0;
    const high = (chunk.high & ~bits.high) >>> 0;
    isChanged ||= low !== chunk.low || high !== chunk.high;
    if ((low | high) !== 0) chunks.push({ lbaStart: chunk.lbaStart, low, high });
  }
  if (isChanged) chance.struck();
  return { ...answer, chunks };
}

/** What a layer defines of a chunk. */
export function definedBits(layer: Layer, { lbaStart }: ChangedChunk): ChunkBits {
  const record = layer.find(lbaStart / chunkBlocks);
  if (record === undefined) return noBits;
  return { low: record.mappedLow | record.zeroLow, high: record.mappedHigh | record.zeroHigh };
}

/** What some layers, the newest first, leave zeroed of a chunk. */
export function zeroedBits(layers: readonly Layer[], { lbaStart }: ChangedChunk): ChunkBits {
  let low = 0;
  let high = 0;
  let openLow = -1;
  let openHigh = -1;
  for (const layer of layers) {
    const record = layer.find(lbaStart / chunkBlocks);
    if (record === undefined) continue;
    low |= record.zeroLow & openLow;
    high |= record.zeroHigh & openHigh;
    openLow &= ~(record.zeroLow | record.mappedLow);
    openHigh &= ~(record.zeroHigh | record.mappedHigh);
  }
  return { low, high };
}
