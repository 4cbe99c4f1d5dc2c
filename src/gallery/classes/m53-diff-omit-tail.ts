import { leavingOut, noBits, wholeChunk } from "../diff-lies.ts";
import type { TargetMutant } from "../mutant.ts";

/** The walk over what changed ends one range too early. */
export const diffOmitTail: TargetMutant = {
  level: "target",
  setting: "memory",
  config: { snapshots: { every: 20 }, checks: { diffs: { enabled: true } } },
  bug: (chance) => ({
    diff: (plan, proceed) => {
      const answer = proceed(plan);
      const last = answer.nextOffsetLba === 0 ? answer.chunks.at(-1) : undefined;
      return leavingOut(chance, answer, (chunk) => (chunk === last ? wholeChunk : noBits));
    },
  }),
};
