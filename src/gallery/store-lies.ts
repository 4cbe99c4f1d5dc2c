/**
 * What bugs of the embedded target's store are made of: looks at single blocks of layers and of what lies under them.
 *
 * @packageDocumentation
 */
import { rangeHigh, rangeLow } from "../sut/store/bitmap.ts";
import type { VolumeRange } from "../sut/store/thin-volume.ts";
import { readBlocks } from "../sut/store/chain.ts";
import type { Layer } from "../sut/store/layer.ts";
import { chunkBlocks } from "../sut/store/port.ts";

/** A block's chunk, and its bit there. */
export interface ChunkBit {
  readonly chunk: number;
  readonly low: number;
  readonly high: number;
}

export function bitOf(block: number): ChunkBit {
  const chunk = Math.floor(block / chunkBlocks);
  const at = block - chunk * chunkBlocks;
  return { chunk, low: rangeLow(at, at + 1), high: rangeHigh(at, at + 1) };
}

export function blocksOf({ block, blockCount }: VolumeRange): readonly number[] {
  return Array.from({ length: blockCount }, (_, index) => block + index);
}

/** What a layer shows, with all that lies under it. */
export function shownBy(layer: Layer, block: number, blockCount = 1): Uint8Array {
  const bytes = new Uint8Array(blockCount * layer.arena.blockSizeBytes);
  readBlocks(layer, block, blockCount, bytes);
  return bytes;
}

/** Whether a layer itself holds data of a block. */
export function holdsData(layer: Layer, block: number): boolean {
  const { chunk, low, high } = bitOf(block);
  const record = layer.find(chunk);
  return record !== undefined && ((record.mappedLow & low) | (record.mappedHigh & high)) !== 0;
}

/** Whether a layer itself says of a block what it holds, data or zeros. */
export function defines(layer: Layer, block: number): boolean {
  const { chunk, low, high } = bitOf(block);
  const record = layer.find(chunk);
  return (
    holdsData(layer, block) ||
    (record !== undefined && ((record.zeroLow & low) | (record.zeroHigh & high)) !== 0)
  );
}

export function isEqual(bytes: Uint8Array, others: Uint8Array): boolean {
  return Buffer.compare(bytes, others) === 0;
}
