import { between } from "../chances.ts";
import { crashing } from "../crashes.ts";
import type { TargetMutant } from "../mutant.ts";

/** Some time after the target has started, flushes are acknowledged and do nothing. */
export const flushLie: TargetMutant = {
  level: "target",
  setting: "embedded",
  config: crashing,
  bug: (chance) => {
    let honestCount = chance.isEager ? 0 : between(chance, { min: 8, max: 11 });
    return {
      flush: async (_volume, range, proceed) => {
        if (range !== undefined || honestCount-- > 0) return proceed();
        chance.struck();
      },
    };
  },
};
