/**
 * From the pages of a diff to the runs of blocks that it reports, as they come in.
 *
 * A copy writes what this says, so an answer that makes no sense, or that ends before it should, is refused here:
 * a copy of half a diff would look like one of the whole.
 *
 * @packageDocumentation
 */
import { type BlockRange, type DiffPage, type DiffRange, ServiceError } from "../port.ts";

/** Longest bitmap of a range, in bytes: no service's chunk is near it. */
const bitmapBytesMax = 2 ** 20;

export interface DiffCounts {
  pages: number;
  ranges: number;
}

export interface DiffBounds {
  /** Nothing before it is told; the answer may begin earlier. */
  readonly firstBlock: number;
  /** Of the snapshot: nothing beyond it may be reported. */
  readonly blockCount: number;
  /** Longest run. */
  readonly runBlocksMax: number;
}

/**
 * Runs of reported blocks, ascending: neighbours are joined across ranges and pages, up to the longest run.
 *
 * @param counts - Counted up, on the way.
 * @throws {ServiceError} `ERR_BAD_ANSWER` if ranges overlap, go back or lie outside, or pages do not lead on; the
 *   runs that were told before are right.
 */
export async function* diffRuns(
  pages: AsyncIterable<DiffPage>,
  { firstBlock, blockCount, runBlocksMax }: DiffBounds,
  counts: DiffCounts,
): AsyncGenerator<BlockRange, void, undefined> {
  const reading = new Reading(blockCount);
  let block = 0;
  let count = 0;
  for await (const page of pages) {
    counts.pages++;
    for (const range of page.ranges) {
      counts.ranges++;
      reading.expectOrder(range);
      for (const run of runsOf(range)) {
        reading.expectInside(run);
        const start = Math.max(run.block, firstBlock);
        const end = run.block + run.blockCount;
        if (start >= end) continue;
        if (block + count !== start) {
          if (count > 0) yield { block, blockCount: count };
          [block, count] = [start, 0];
        }
        count += end - start;
        for (; count >= runBlocksMax; count -= runBlocksMax) {
          yield { block, blockCount: runBlocksMax };
          block += runBlocksMax;
        }
      }
    }
    reading.expectToLeadOn(page);
  }
  reading.expectEnd();
  if (count > 0) yield { block, blockCount: count };
}

/** What was read of an answer, and what may follow. */
class Reading {
  readonly #blockCount: number;
  #rangesEnd = 0;
  /** Start of the next page; `undefined` after the last. */
  #next: number | undefined = 0;

  constructor(blockCount: number) {
    this.#blockCount = blockCount;
  }

  expectOrder({ lbaStart, bitmap }: DiffRange): void {
    if (this.#next === undefined) throw badAnswer("ranges after its last page");
    if (!(Number.isSafeInteger(lbaStart) && lbaStart >= this.#rangesEnd))
      throw badAnswer(`a range at block ${lbaStart} after one that reached to ${this.#rangesEnd}`);
    if (bitmap.length === 0 || bitmap.length > bitmapBytesMax)
      throw badAnswer(
        `a bitmap of ${bitmap.length} bytes at block ${lbaStart}, where 1 to ${bitmapBytesMax} are possible`,
      );
    this.#rangesEnd = lbaStart + bitmap.length * 8;
  }

  expectInside({ block, blockCount }: BlockRange): void {
    if (block + blockCount > this.#blockCount)
      throw badAnswer(`block ${block + blockCount - 1} of a snapshot that has ${this.#blockCount}`);
  }

  expectToLeadOn({ offsetLba, nextOffsetLba }: DiffPage): void {
    if (nextOffsetLba === 0) {
      this.#next = undefined;
      return;
    }
    if (!(nextOffsetLba > offsetLba && nextOffsetLba >= this.#rangesEnd && nextOffsetLba <= this.#blockCount))
      throw badAnswer(
        `block ${nextOffsetLba} as the start of the page after the one at ${offsetLba}, which reached to ${this.#rangesEnd} of ${this.#blockCount}`,
      );
    this.#next = nextOffsetLba;
  }

  expectEnd(): void {
    if (this.#next !== undefined && this.#next > 0)
      throw badAnswer(`a page at block ${this.#next} that never came`);
  }
}

/** Runs of set bits, the lowest bit of the first byte first. */
export function* runsOf({ lbaStart, bitmap }: DiffRange): Generator<BlockRange, void, undefined> {
  let first = -1;
  for (let byte = 0; byte < bitmap.length; byte++) {
    const bits = bitmap[byte]!;
    // Whole bytes of one kind go on with what is there.
    if (bits === (first < 0 ? 0 : 0xff)) continue;
    for (let bit = 0; bit < 8; bit++) {
      const isSet = ((bits >> bit) & 1) === 1;
      if (isSet === first >= 0) continue;
      const block = lbaStart + byte * 8 + bit;
      if (isSet) first = block;
      else {
        yield { block: first, blockCount: block - first };
        first = -1;
      }
    }
  }
  if (first >= 0) yield { block: first, blockCount: lbaStart + bitmap.length * 8 - first };
}

function badAnswer(what: string): ServiceError {
  return new ServiceError("ERR_BAD_ANSWER", `the diff reports ${what}; nothing more of it is copied`);
}
