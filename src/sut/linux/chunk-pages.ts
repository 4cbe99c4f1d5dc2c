/**
 * Changed chunks as the pages of a diff: every block of a chunk counts as changed.
 *
 * @packageDocumentation
 */
import type { DiffPage, DiffRange } from "../port.ts";
import type { ChunkRange } from "./thin-pool.ts";

/** Ranges of a page. */
const pageRangesMax = 256;
/** Longest bitmap of a range, in bytes; one chunk may need more. */
const bitmapBytesTarget = 4096;

export interface ChunkGeometry {
  readonly chunkBlocks: number;
  /** Size of the snapshot; what lies beyond is no part of it. */
  readonly blockCount: number;
  /** Block from which on chunks are told, with the chunk that it lies in. */
  readonly offsetLba: number;
}

/** @param changes - In rising order and without overlap. */
export function* chunkPages(
  changes: readonly ChunkRange[],
  geometry: ChunkGeometry,
): Generator<DiffPage, void, undefined> {
  const { offsetLba } = geometry;
  let page: DiffRange[] = [];
  let pageOffsetLba = offsetLba;
  for (const range of diffRanges(changes, geometry)) {
    if (page.length === pageRangesMax) {
      yield { offsetLba: pageOffsetLba, ranges: page, nextOffsetLba: range.lbaStart };
      pageOffsetLba = range.lbaStart;
      page = [];
    }
    page.push(range);
  }
  yield { offsetLba: pageOffsetLba, ranges: page, nextOffsetLba: 0 };
}

function* diffRanges(
  changes: readonly ChunkRange[],
  { chunkBlocks, blockCount, offsetLba }: ChunkGeometry,
): Generator<DiffRange, void, undefined> {
  const chunksMax = Math.max(1, Math.floor((bitmapBytesTarget * 8) / chunkBlocks));
  const first = Math.floor(offsetLba / chunkBlocks);
  for (const { begin, count } of changes) {
    const end = Math.min(begin + count, Math.ceil(blockCount / chunkBlocks));
    for (let chunk = Math.max(begin, first); chunk < end; chunk += chunksMax) {
      const lbaStart = chunk * chunkBlocks;
      const past = Math.min(Math.min(end, chunk + chunksMax) * chunkBlocks, blockCount);
      yield { lbaStart, bitmap: filled(past - lbaStart) };
    }
  }
}

/** A bitmap whose first bits are set. */
function filled(bitCount: number): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil(bitCount / 8)).fill(0xff);
  const rest = bitCount % 8;
  if (rest !== 0) bitmap[bitmap.length - 1] = 0xff >> (8 - rest);
  return bitmap;
}
