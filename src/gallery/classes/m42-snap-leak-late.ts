import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";

/** The mapping is swapped late: the first write after a snapshot still lands in the layer that was frozen. */
export const snapLeakLate: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    snapshots: { every: 30, keep: 10 },
    // Not right after they were taken: then they would be said to have changed.
    checks: { snapshots: { extents: 0, atEnd: true } },
  },
  bug: (chance) => {
    const isLate = nowAndThen({ ...chance, struck: () => {} }, { oneOf: 2, most: 7 });
    let isSwapped = true;
    return {
      snapshot: async (_volume, proceed) => {
        const snapshot = proceed();
        isSwapped = !isLate();
        return snapshot;
      },
      write: (volume, request, proceed) => {
        const { head } = volume;
        if (isSwapped || head.parent === undefined || head.records.size > 0) proceed(request);
        else {
          head.parent.write(request.block, request.blockCount, request.from);
          chance.struck();
        }
        isSwapped = true;
      },
    };
  },
};
