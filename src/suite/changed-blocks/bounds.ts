/**
 * What tests of the suite expect of an answer as a whole, beside what the model says of each block.
 *
 * @packageDocumentation
 */
import { type Answer, setOf } from "./diff-judge.ts";
import { type Layout, megabytes, type Region } from "./layout.ts";
import { SuiteFailure } from "./suite-failure.ts";

/** @throws {SuiteFailure} If a number of bytes is further from what was expected than a share of it. */
export function expectAbout(what: string, bytes: number, expected: number, tolerance: number): void {
  if (Math.abs(bytes - expected) <= expected * tolerance) return;
  const percent = Math.round(tolerance * 100);
  throw new SuiteFailure(`${what}: ${bytes} bytes copied: expected ${expected}, within ${percent} %`, {
    faultClass: bytes > expected ? "over-report" : "omission",
  });
}

/** @throws {SuiteFailure} If less is reported than was written. */
export function expectAtLeast({ reported, what }: Answer, regions: readonly Region[], layout: Layout): void {
  const wanted = regions.reduce((sum, region) => sum + layout.bytesOf(region), 0);
  const found = reported.size * layout.blockSizeBytes;
  if (found < wanted)
    throw new SuiteFailure(`${what}: ${megabytes(found)} reported, of ${megabytes(wanted)} at the least`, {
      faultClass: "omission",
    });
}

/** @throws {SuiteFailure} If there is a range at all. */
export function expectEmpty({ what, rangeCount, pages }: Answer): void {
  if (rangeCount === 0) return;
  const first = pages.flatMap(({ ranges }) => ranges)[0]!.lbaStart;
  throw new SuiteFailure(`${what}: ${rangeCount} ranges, though nothing was written`, {
    faultClass: "over-report",
    block: first,
  });
}

/**
 * Each range begins where the one before ends, and every block is set.
 *
 * @throws {SuiteFailure} With the first gap.
 */
export function expectContiguous({ pages, what }: Answer, region: Region): void {
  const ranges = pages.flatMap((page) => page.ranges);
  for (const [index, { lbaStart, bitmap }] of ranges.entries()) {
    const next = ranges[index + 1];
    const end = lbaStart + bitmap.length * 8;
    if (next !== undefined && next.lbaStart !== end)
      throw new SuiteFailure(
        `${what}: a gap from block ${end} to ${next.lbaStart - 1} in ${region.name}, which was written in one piece`,
        { faultClass: "omission", block: end },
      );
  }
}

/**
 * As many chunks as a region touches, the first and the last with as many bits as were written there.
 *
 * Services with one chunk to a range must also answer with as many ranges.
 *
 * @throws {SuiteFailure} With what was found.
 */
export function expectChunks(
  answer: Answer,
  region: Region,
  { chunkBlocks, granularityBlocks }: { readonly chunkBlocks: number; readonly granularityBlocks: number },
): void {
  const { what, reported, pages, rangeCount } = answer;
  const wanted = chunksText(
    setOf([region]).rounded(granularityBlocks, Number.POSITIVE_INFINITY),
    chunkBlocks,
  );
  const found = chunksText(reported, chunkBlocks);
  const fail = (text: string) =>
    new SuiteFailure(`${what}: ${text}`, { faultClass: "wrong-offset", block: region.block });
  if (found !== wanted) throw fail(`${region.name} is told as ${found || "no chunks"}: expected ${wanted}`);
  const chunkCount = wanted.split(", ").length;
  const isOneToOne = pages.every(({ ranges }) =>
    ranges.every(({ bitmap }) => bitmap.length * 8 === chunkBlocks),
  );
  if (isOneToOne && rangeCount !== chunkCount)
    throw fail(`${rangeCount} ranges for ${region.name}: expected ${chunkCount}`);
}

/** As `32 bits from 250912, 64 bits from 250944`: first bit and count of each chunk. */
function chunksText(blocks: ReturnType<typeof setOf>, chunkBlocks: number): string {
  const chunks = new Map<number, { first: number; count: number }>();
  for (const block of blocks.blocks()) {
    const chunk = Math.floor(block / chunkBlocks);
    const found = chunks.get(chunk);
    if (found === undefined) chunks.set(chunk, { first: block, count: 1 });
    else found.count++;
  }
  return [...chunks.values()].map(({ first, count }) => `${count} bits from ${first}`).join(", ");
}
