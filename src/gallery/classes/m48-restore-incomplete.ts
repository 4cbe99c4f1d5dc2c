import type { Layer } from "../../sut/store/layer.ts";
import type { ThinVolume } from "../../sut/store/thin-volume.ts";
import { nthOf } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";
import { blocksOf, defines, holdsData, isEqual, shownBy } from "../store-lies.ts";

/** Blocks that a rollback finds in its list of what was written. */
const listedBlocksMax = 150;
/** The same where it is to happen in a short history. */
const listedBlocksMaxEager = 1;

/** A rollback undoes the blocks written last; one that was written longer ago than those stays. */
export const restoreIncomplete: TargetMutant = {
  level: "target",
  setting: "memory",
  config: {
    // Between snapshots more extents are visited than are read after a rollback, each of them once.
    geometry: { volumeSize: "8MiB", extentSize: 1024, blockSize: 512 },
    window: { size: 1, slideAfterRepeats: 1 },
    operations: { batches: { max: 1 }, blocks: { min: 1, max: 2 } },
    snapshots: { every: 400, rollback: "1/1" },
    checks: { recent: { every: 0 }, sample: { every: 0 }, all: { every: 250 } },
    runner: { lts: 6000 },
  },
  bug: (chance) => {
    const isLeft = nthOf(chance, { min: 2, max: 3 });
    const listedMax = chance.isEager ? listedBlocksMaxEager : listedBlocksMax;
    /** Blocks in the order of their last writes. */
    const written = new Map<ThinVolume, Set<number>>();
    return {
      write: (volume, request, proceed) => {
        proceed(request);
        const blocks = written.get(volume) ?? new Set();
        written.set(volume, blocks);
        for (const block of blocksOf(request)) {
          blocks.delete(block);
          blocks.add(block);
        }
      },
      rollback: (volume, abandoned, proceed) => {
        proceed();
        const { head } = volume;
        const all = [...(written.get(volume) ?? [])];
        written.delete(volume);
        const unlisted = all.slice(0, -listedMax).find((block) => isNewer(block, abandoned, head.parent!));
        if (unlisted !== undefined && isLeft()) head.write(unlisted, 1, shownBy(abandoned, unlisted));
      },
    };
  },
};

/** Whether what a block holds was written after the layer of a snapshot was frozen. */
function isNewer(block: number, abandoned: Layer, frozen: Layer): boolean {
  for (
    let layer: Layer | undefined = abandoned;
    layer !== undefined && layer !== frozen;
    layer = layer.parent
  )
    if (defines(layer, block))
      return holdsData(layer, block) && !isEqual(shownBy(layer, block), shownBy(frozen, block));
  return false;
}
