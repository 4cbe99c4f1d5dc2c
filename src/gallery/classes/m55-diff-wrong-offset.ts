import { oneOf } from "../chances.ts";
import { rangeBlocks, tellingOtherRanges } from "../diff-answers.ts";
import type { WireMutant } from "../mutant.ts";

/** In a few answers one range is told at the place of another one, which did not change; all ranges are well-formed. */
export const diffWrongOffset: WireMutant = {
  level: "wire",
  setting: "embedded",
  config: {
    geometry: { volumeSize: "8MiB" },
    // A block that became zeros again need not be missed at its place, though it is wrong at another.
    operations: { weights: { writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 } },
    snapshots: { every: 20 },
    checks: { diffs: { enabled: true } },
    runner: { lts: 150 },
  },
  rest: (chance) =>
    tellingOtherRanges(chance, (ranges) => {
      const taken = new Set(ranges.map(({ lbaStart }) => lbaStart));
      const free: number[] = [];
      for (let lba = 0; lba < Math.max(0, ...taken); lba += rangeBlocks) if (!taken.has(lba)) free.push(lba);
      const moved = oneOf(chance, ranges);
      const lbaStart = oneOf(chance, free);
      if (moved === undefined || lbaStart === undefined) return undefined;
      const others = ranges.filter((range) => range !== moved);
      return [...others, { ...moved, lbaStart }].sort((a, b) => a.lbaStart - b.lbaStart);
    }),
};
