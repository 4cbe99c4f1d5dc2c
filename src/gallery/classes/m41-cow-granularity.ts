import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { blocksOf, defines, holdsData, shownBy } from "../store-lies.ts";

const unitBlocks = 8;

/** The first write to a unit after a snapshot copies the rest of the unit, from one layer too deep. */
export const cowGranularity: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    operations: { weights: { writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 } },
    snapshots: { every: 5 },
  },
  bug: (chance) => {
    const isTooDeep = nowAndThen(chance, { oneOf: 3, most: 12 });
    return {
      write: (volume, request, proceed) => {
        const { head } = volume;
        const { block, blockCount } = request;
        const { parent } = head;
        const deeper = parent?.parent;
        if (parent !== undefined && deeper !== undefined) {
          const last = Math.floor((block + blockCount - 1) / unitBlocks);
          for (let unit = Math.floor(block / unitBlocks); unit <= last; unit++) {
            const blocks = blocksOf({ block: unit * unitBlocks, blockCount: unitBlocks });
            if (blocks.some((one) => defines(head, one))) continue;
            const rest = blocks.filter(
              (one) =>
                (one < block || one >= block + blockCount) &&
                holdsData(parent, one) &&
                !isZeros(shownBy(deeper, one)),
            );
            if (rest.length > 0 && isTooDeep())
              for (const one of rest) head.write(one, 1, shownBy(deeper, one));
          }
        }
        proceed(request);
      },
    };
  },
};
