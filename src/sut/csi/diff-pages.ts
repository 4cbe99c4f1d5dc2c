/**
 * The tuples of a CSI answer as the pages of a diff, with a bit for each block.
 *
 * Nothing is repaired: tuples out of order or over one another become ranges out of order or over one another, and
 * what lies beyond the snapshot is told as far as one chunk beyond, which is enough to see it. A tuple that covers a
 * part of a block tells of the whole block.
 *
 * @packageDocumentation
 */
import { type DiffPage, type DiffRange, ServiceError } from "../port.ts";
import type { BlockTuple, MetadataMessage } from "./messages.ts";

/** Blocks of a range, or a divisor of it: where ranges are aligned to. */
export const csiChunkBlocks = 64;
/** Ranges of a page. */
const pageRangesMax = 256;
/** Chunks that one range may tell of, if all of their blocks are meant. */
const rangeChunksMax = 512;

export interface DiffGeometry {
  readonly blockSizeBytes: number;
  /** Size of the snapshot. */
  readonly blockCount: number;
  /** Block that the answer was to start from. */
  readonly offsetLba: number;
  /** What was asked, for messages. */
  readonly where: string;
}

/** @throws {ServiceError} `ERR_BAD_ANSWER` if a tuple is not a range at all, or the type is unknown. */
export async function* diffPages(
  messages: AsyncIterable<MetadataMessage>,
  geometry: DiffGeometry,
): AsyncGenerator<DiffPage, void, undefined> {
  const { blockSizeBytes, blockCount, offsetLba, where } = geometry;
  const firstChunk = offsetLba - (offsetLba % csiChunkBlocks);
  let page: DiffRange[] = [];
  let pageOffsetLba = offsetLba;
  /** Bits of the last chunk, to which more may follow. */
  let open: DiffRange | undefined;
  let endBytes = 0;
  let isFirst = true;
  for await (const { type, tuples } of messages) {
    if (type === "UNKNOWN") throw bad(where, "block_metadata_type is UNKNOWN");
    for (const tuple of tuples) {
      expectRange(where, tuple);
      const { byteOffset, sizeBytes } = tuple;
      let block = Math.floor(byteOffset / blockSizeBytes);
      // The first tuple may hold the offset and start before it.
      if (isFirst && byteOffset + sizeBytes > offsetLba * blockSizeBytes) block = Math.max(block, firstChunk);
      isFirst = false;
      const past = Math.min(
        Math.ceil((byteOffset + sizeBytes) / blockSizeBytes),
        Math.max(blockCount, block) + csiChunkBlocks,
      );
      const isBack = byteOffset < endBytes;
      endBytes = byteOffset + sizeBytes;
      while (block < past) {
        const lbaStart = block - (block % csiChunkBlocks);
        if (open !== undefined && (isBack || open.lbaStart !== lbaStart)) {
          page.push(open);
          open = undefined;
        }
        if (open === undefined && page.length >= pageRangesMax) {
          yield { offsetLba: pageOffsetLba, ranges: page, nextOffsetLba: lbaStart };
          pageOffsetLba = lbaStart;
          page = [];
        }
        const wholeChunks = block === lbaStart ? Math.floor((past - block) / csiChunkBlocks) : 0;
        if (wholeChunks > 0 && open === undefined) {
          const chunks = Math.min(wholeChunks, rangeChunksMax);
          page.push({ lbaStart, bitmap: new Uint8Array(chunks * 8).fill(0xff) });
          block += chunks * csiChunkBlocks;
          continue;
        }
        open ??= { lbaStart, bitmap: new Uint8Array(8) };
        const end = Math.min(past, lbaStart + csiChunkBlocks);
        for (; block < end; block++) open.bitmap[(block - lbaStart) >> 3]! |= 1 << ((block - lbaStart) & 7);
      }
    }
  }
  if (open !== undefined) page.push(open);
  yield { offsetLba: pageOffsetLba, ranges: page, nextOffsetLba: 0 };
}

function expectRange(where: string, { byteOffset, sizeBytes }: BlockTuple): void {
  if (byteOffset < 0 || sizeBytes <= 0 || !Number.isSafeInteger(byteOffset + sizeBytes))
    throw bad(where, `a tuple of ${sizeBytes} bytes at ${byteOffset} is no range`);
}

function bad(where: string, what: string): ServiceError {
  return new ServiceError("ERR_BAD_ANSWER", `${where}: ${what}`);
}
