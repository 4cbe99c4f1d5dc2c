import { leavingOut, noBits, wholeChunk, zeroedBits } from "../diff-lies.ts";
import type { TargetMutant } from "../mutant.ts";

/** A chunk that became one hole since the base counts as unchanged, as a hole without a time of birth does. */
export const holeNotRecorded: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    // An extent is a chunk, so that deallocating it leaves a hole.
    geometry: { extentSize: "256KiB" },
    operations: { weights: { deallocateExtent: 8 } },
    snapshots: { every: 20, syncEvery: 1 },
    checks: { sync: true },
  },
  bug: (chance) => ({
    diff: (plan, proceed) =>
      plan.base === undefined
        ? proceed(plan)
        : leavingOut(chance, proceed(plan), (chunk) => {
            const { low, high } = zeroedBits(plan.layers, chunk);
            return low === -1 && high === -1 ? wholeChunk : noBits;
          }),
  }),
};
