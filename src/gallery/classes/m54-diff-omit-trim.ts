import { leavingOut, zeroedBits } from "../diff-lies.ts";
import type { TargetMutant } from "../mutant.ts";

/** Blocks that were zeroed or deallocated last are not told of; only what was written is. */
export const diffOmitTrim: TargetMutant = {
  level: "target",
  setting: "memory",
  config: { snapshots: { every: 20 }, checks: { diffs: { enabled: true } } },
  bug: (chance) => ({
    diff: (plan, proceed) => leavingOut(chance, proceed(plan), (chunk) => zeroedBits(plan.layers, chunk)),
  }),
};
