import { definedBits, leavingOut } from "../diff-lies.ts";
import type { TargetMutant } from "../mutant.ts";

/** A block that was touched before the base, since the snapshot before that, and again after it counts as clean. */
export const diffOmitDirtyDirty: TargetMutant = {
  level: "target",
  setting: "memory",
  config: { snapshots: { every: 20 }, checks: { diffs: { enabled: true } } },
  bug: (chance) => ({
    diff: (plan, proceed) => {
      const { base } = plan;
      return base === undefined
        ? proceed(plan)
        : leavingOut(chance, proceed(plan), (chunk) => definedBits(base.layer, chunk));
    },
  }),
};
