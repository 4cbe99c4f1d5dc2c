import { between, strangeBytes } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";

/** Blocks of old data that a volume gets when it grows. */
const oldBlocks = 64;

/** In the middle of what a volume grows by lies what somebody else left there. */
export const resizeEdge: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    // So many extents are new that not all of them are read when the volume has grown, and all have had their first
    // turn by then, which is when an extent is read by itself.
    geometry: {
      volumeSize: "4MiB",
      extentSize: "16KiB",
      growth: { start: "1/4", every: 300, steps: 1 },
    },
    window: { size: 1, slideAfterRepeats: 1 },
    operations: { blocks: { min: 1, max: 4 } },
    runner: { lts: 600 },
  },
  bug: (chance) => ({
    resize: (volume, blockCount, proceed) => {
      const before = volume.blockCount;
      proceed();
      const quarter = Math.floor((blockCount - before) / 4);
      // When it shrinks, or hardly grows, there is no room.
      if (quarter < oldBlocks) return;
      const block = before + between(chance, { min: quarter, max: 3 * quarter - oldBlocks });
      volume.head.write(block, oldBlocks, strangeBytes(chance, oldBlocks * volume.blockSizeBytes));
      chance.struck();
    },
  }),
};
