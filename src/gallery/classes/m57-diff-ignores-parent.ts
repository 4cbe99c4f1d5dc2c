import { definedBits, leavingOut } from "../diff-lies.ts";
import type { TargetMutant } from "../mutant.ts";

/** Without a base, only the snapshot's own layer is told of, and not what it stands on. */
export const diffIgnoresParent: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    snapshots: { every: 20, withoutBase: "1/1" },
    checks: { diffs: { enabled: true } },
  },
  bug: (chance) => ({
    diff: (plan, proceed) => {
      const { base, snapshot } = plan;
      if (base !== undefined) return proceed(plan);
      return leavingOut(chance, proceed(plan), (chunk) => {
        const { low, high } = definedBits(snapshot.layer, chunk);
        return { low: ~low, high: ~high };
      });
    },
  }),
};
