import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { brokenContract, reportedBlocks } from "../../../src/model/diff-contract.ts";
import { chunkPages } from "../../../src/sut/linux/chunk-pages.ts";
import type { ChunkRange } from "../../../src/sut/linux/thin-pool.ts";

/** Gaps and lengths as ranges in rising order. */
const rangesOf = (steps: readonly (readonly [number, number])[]): ChunkRange[] => {
  let end = 0;
  return steps.map(([gap, count]) => {
    const begin = end + gap;
    end = begin + count;
    return { begin, count };
  });
};
const ranges = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 })), { maxLength: 700 })
  .map(rangesOf);
const chunkBlocks = fc.constantFrom(16, 128, 256);

function blocksOf(
  changes: readonly ChunkRange[],
  perChunk: number,
  blockCount: number,
  from: number,
): number[] {
  const blocks: number[] = [];
  for (const { begin, count } of changes)
    for (let block = begin * perChunk; block < Math.min((begin + count) * perChunk, blockCount); block++)
      if (block >= from - (from % perChunk)) blocks.push(block);
  return blocks;
}

describe("chunkPages", () => {
  test("reports every block of the changed chunks and no other, in pages that keep the contract", () => {
    const property = fc.property(ranges, chunkBlocks, fc.nat(), fc.nat(), (changes, perChunk, cut, at) => {
      const last = changes.at(-1);
      const chunkCount = last === undefined ? 10 : last.begin + last.count;
      // The last chunk may reach beyond the device, and all of it may lie there if the base was longer.
      const blockCount = Math.max(1, chunkCount * perChunk - (cut % (2 * perChunk)));
      const offsetLba = at % blockCount;
      const pages = [...chunkPages(changes, { chunkBlocks: perChunk, blockCount, offsetLba })];
      expect(brokenContract(pages, blockCount, perChunk)).toBeUndefined();
      expect(pages[0]?.offsetLba).toBe(offsetLba);
      const expected = blocksOf(changes, perChunk, blockCount, offsetLba);
      expect([...reportedBlocks(pages).blocks()]).toEqual(expected);
    });
    fc.assert(property, { numRuns: 60 });
  });

  test("bounds its pages and the bitmaps in them", () => {
    const changes = [
      ...rangesOf(Array.from({ length: 600 }, () => [1, 1] as const)),
      { begin: 5000, count: 4096 },
    ];
    const pages = [...chunkPages(changes, { chunkBlocks: 16, blockCount: 2 ** 20, offsetLba: 0 })];
    expect(pages.map(({ ranges: { length } }) => length)).toEqual([256, 256, 90]);
    expect(Math.max(...pages.flatMap((page) => page.ranges.map(({ bitmap }) => bitmap.length)))).toBe(4096);
  });

  test("answers with one empty page if nothing changed", () => {
    expect([...chunkPages([], { chunkBlocks: 16, blockCount: 100, offsetLba: 7 })]).toEqual([
      { offsetLba: 7, ranges: [], nextOffsetLba: 0 },
    ]);
  });
});
