import type { Layer } from "../../sut/store/layer.ts";
import { chunkBlocks } from "../../sut/store/port.ts";
import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { blocksOf, defines, holdsData, shownBy } from "../store-lies.ts";

const damagedBlocksMax = 4;

/** When the layer of a deleted snapshot is merged into the one above, a few of its blocks replace newer ones. */
export const deleteCorruptsChain: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    operations: { weights: { writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 } },
    snapshots: { every: 10, keep: 2 },
  },
  bug: (chance) => {
    const isWrong = nowAndThen(chance, { oneOf: 2, most: 6 });
    const volumes: ThinVolume[] = [];
    return {
      created: (volume) => {
        if (volume.sourceSnapshotUuid === undefined) volumes.push(volume);
      },
      merge: (layer, child, proceed) => {
        const inBoth = [...layer.records.keys()]
          .flatMap((chunk) => blocksOf({ block: chunk * chunkBlocks, blockCount: chunkBlocks }))
          .filter((block) => holdsData(layer, block) && holdsData(child, block))
          .filter((block) => volumes.some(({ head }) => showsThrough(head, child, block)));
        if (inBoth.length === 0 || !isWrong()) return proceed();
        const damaged = chance.choices.shuffled(inBoth).slice(0, damagedBlocksMax);
        const older = damaged.map((block) => shownBy(layer, block));
        const goneId = proceed();
        for (const [index, block] of damaged.entries()) child.write(block, 1, older[index]!);
        return goneId;
      },
    };
  },
};

/** Whether a block of a layer shows in a head: the layer is under it, and none between them has one of its own. */
function showsThrough(head: Layer, layer: Layer, block: number): boolean {
  let at: Layer | undefined = head;
  while (at !== undefined && at !== layer && !defines(at, block)) at = at.parent;
  return at === layer;
}
