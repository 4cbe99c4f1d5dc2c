import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { bitOf, blocksOf, holdsData } from "../store-lies.ts";

/** Zeroing on a volume also frees the blocks that it shares with its newest snapshot. */
export const discardCorruptsSnapshot: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    snapshots: { every: 30 },
    checks: { snapshots: { extents: "all", atEnd: true } },
  },
  bug: (chance) => {
    const isFreed = nowAndThen(chance, { oneOf: 3, most: 5 });
    return {
      zero: (volume, range, proceed) => {
        proceed(range);
        const { parent } = volume.head;
        if (parent === undefined) return;
        const shared = blocksOf(range).filter((block) => holdsData(parent, block));
        if (shared.length === 0 || !isFreed()) return;
        for (const block of shared) {
          const { chunk, low, high } = bitOf(block);
          parent.zeroInChunk(chunk, low, high);
        }
      },
    };
  },
};
