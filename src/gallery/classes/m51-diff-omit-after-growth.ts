import { leavingOut, noBits, wholeChunk } from "../diff-lies.ts";
import type { TargetMutant } from "../mutant.ts";

/** What is kept of changes has room for the volume's first size, and a resize does not make more. */
export const diffOmitAfterGrowth: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    geometry: { growth: { start: "1/4", every: 50, steps: 3 } },
    snapshots: { every: 20 },
    checks: { diffs: { enabled: true } },
  },
  bug: (chance) => {
    const firstBlockCounts = new Map<string, number>();
    return {
      created: ({ uuid, blockCount }) => void firstBlockCounts.set(uuid, blockCount),
      diff: (plan, proceed) => {
        const room = firstBlockCounts.get(plan.snapshot.volumeUuid) ?? plan.blockCount;
        return leavingOut(chance, proceed(plan), ({ lbaStart }) => (lbaStart < room ? noBits : wholeChunk));
      },
    };
  },
};
