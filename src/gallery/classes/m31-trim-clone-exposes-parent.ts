import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { bitOf, blocksOf, shownBy } from "../store-lies.ts";

/** Zeroing on a clone only forgets what the clone itself holds, so that its snapshot shows. */
export const trimCloneExposesParent: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    operations: { weights: { deallocate: 30 } },
    snapshots: { every: 30, clones: "1/1" },
    checks: { clones: true },
  },
  bug: (chance) => {
    const isForgotten = nowAndThen(chance, { oneOf: 2, most: 8 });
    return {
      zero: (volume, range, proceed) => {
        proceed(range);
        const { head, sourceSnapshotUuid } = volume;
        if (sourceSnapshotUuid === undefined) return;
        if (isZeros(shownBy(head.parent!, range.block, range.blockCount)) || !isForgotten()) return;
        for (const block of blocksOf(range)) {
          const { chunk, low, high } = bitOf(block);
          const record = head.records.get(chunk);
          if (record === undefined) continue;
          record.zeroLow &= ~low;
          record.zeroHigh &= ~high;
          head.touch(chunk);
        }
      },
    };
  },
};
