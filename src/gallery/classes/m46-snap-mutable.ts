import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { blocksOf, defines, holdsData } from "../store-lies.ts";

/** Overwriting blocks that are shared with a snapshot is done in place; the volume is right. */
export const snapMutable: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    snapshots: { every: 30 },
    checks: { snapshots: { extents: "all", atEnd: true } },
  },
  bug: (chance) => {
    const isInPlace = nowAndThen(chance, { oneOf: 4, most: 5 });
    return {
      write: (volume, request, proceed) => {
        const { head } = volume;
        const { parent } = head;
        const isShared =
          parent !== undefined &&
          blocksOf(request).every((block) => holdsData(parent, block) && !defines(head, block));
        if (isShared && isInPlace()) parent.write(request.block, request.blockCount, request.from);
        else proceed(request);
      },
    };
  },
};
