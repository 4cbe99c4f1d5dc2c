import type { DiffRange } from "../../sut/port.ts";
import { oneOf } from "../chances.ts";
import { rangeBlocks, tellingOtherRanges } from "../diff-answers.ts";
import type { WireMutant } from "../mutant.ts";

type Ranges = readonly DiffRange[];

/** In a few answers the right blocks are told in ranges that are out of order, come twice, or overlap. */
export const diffContract: WireMutant = {
  level: "wire",
  setting: "embedded",
  config: { snapshots: { every: 20 }, checks: { diffs: { enabled: true } }, runner: { lts: 150 } },
  rest: (chance) =>
    tellingOtherRanges(chance, (ranges) => {
      const broken = [unsorted(ranges), twice(ranges), overlapping(ranges)];
      return oneOf(
        chance,
        broken.filter((some) => some !== undefined),
      );
    }),
};

function unsorted(ranges: Ranges): Ranges | undefined {
  return ranges.length < 2 ? undefined : ranges.toReversed();
}

function twice(ranges: Ranges): Ranges | undefined {
  return ranges.length === 0
    ? undefined
    : ranges.flatMap((range, index) => (index === 0 ? [range, range] : range));
}

/** The first of two neighbours covers the second as well. */
function overlapping(ranges: Ranges): Ranges | undefined {
  const at = ranges.findIndex(
    ({ lbaStart }, index) => ranges[index + 1]?.lbaStart === lbaStart + rangeBlocks,
  );
  if (at < 0) return undefined;
  const { lbaStart, bitmap } = ranges[at]!;
  const both = { lbaStart, bitmap: Buffer.concat([bitmap, ranges[at + 1]!.bitmap]) };
  return ranges.with(at, both);
}
