import { crashing } from "../crashes.ts";
import type { TargetMutant } from "../mutant.ts";

/** Flushes do what they should; a write with FUA stays in the cache like any other. */
export const fuaIgnored: TargetMutant = {
  level: "target",
  setting: "embedded",
  config: {
    ...crashing,
    operations: { weights: { ...crashing.operations.weights, write: 40, writeFua: 40 } },
  },
  bug: (chance) => ({
    flush: async (_volume, range, proceed) => {
      if (range === undefined) return proceed();
      chance.struck();
    },
  }),
};
