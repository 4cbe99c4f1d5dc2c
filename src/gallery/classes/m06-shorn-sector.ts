import { readBlocks } from "../../sut/store/chain.ts";
import { crashing } from "../crashes.ts";
import type { TargetMutant } from "../mutant.ts";

/** Half of a block reaches the medium ahead of the rest, which stays in the cache until the next flush. */
export const shornSector: TargetMutant = {
  level: "target",
  setting: "embedded",
  config: crashing,
  bug: (chance) => ({
    writeBackEarly: (volume, { block, bytes }, proceed) => {
      if (bytes === undefined || chance.choices.below(2) === 0) {
        proceed();
        return;
      }
      const shorn = new Uint8Array(volume.blockSizeBytes);
      readBlocks(volume.head, block, 1, shorn);
      const half = volume.blockSizeBytes / 2;
      const isChanged = Buffer.compare(shorn.subarray(half), bytes.subarray(half)) !== 0;
      shorn.set(bytes.subarray(0, half));
      volume.writeThrough(block, 1, shorn);
      if (isChanged) chance.struck();
    },
  }),
};
