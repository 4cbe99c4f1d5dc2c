import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { shownBy } from "../store-lies.ts";

const addressable = 2 ** 32;

/** A volume of 3 TiB, where some deallocations beyond block 2^32 act on the address modulo 2^32. */
export const addressTruncation: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    geometry: { volumeSize: "3TiB", extentSize: "256KiB", blockSize: 512 },
    operations: { weights: { deallocate: 30 } },
  },
  bug: (chance) => {
    const isTruncated = nowAndThen(chance, { oneOf: 2, most: 10 });
    return {
      zero: (volume, range, proceed) => {
        const { block, blockCount } = range;
        const isLie =
          block >= addressable && !isZeros(shownBy(volume.head, block, blockCount)) && isTruncated();
        proceed(isLie ? { block: block % addressable, blockCount } : range);
      },
    };
  },
};
