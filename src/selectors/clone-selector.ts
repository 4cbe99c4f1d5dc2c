/**
 * What is written to a clone, all at once, right after it was made.
 *
 * The content of a clone carries a volume number of its own, so that a block of it tells a clone from its origin.
 * Its visits have lts of their own, which no two clones share: visit i of clone c has the lts 4·c + i.
 *
 * @packageDocumentation
 */
import { purposes, volumeCountMax } from "../generators/streams.ts";
import { BlockSelector, type BlockSelectorOptions, firstStreams } from "./block-selector.ts";
import type { ExtentWindow } from "./extent-window.ts";
import type { Extent, Geometry } from "./geometry.ts";
import type { Operation } from "./operations.ts";
import type { SizeSchedule } from "./size-schedule.ts";

/** Visits of a clone, at most. */
export const cloneVisitsMax = 4;

/** Operations on one extent of a clone. */
export interface CloneVisit {
  /** The extent of the origin's volume, at the same blocks as the clone's. */
  readonly extent: Extent;
  readonly operations: readonly Operation[];
  /** Where its operations stand in the value streams of the clone's volume; no lts of the history. */
  readonly lts: number;
}

export class CloneSelector {
  readonly #options: BlockSelectorOptions;
  readonly #geometry: Geometry;
  readonly #window: ExtentWindow;
  readonly #sizes: SizeSchedule;
  readonly #blocks: BlockSelector;

  constructor({
    operations,
    geometry,
    window,
    sizes,
  }: {
    readonly operations: BlockSelectorOptions;
    readonly geometry: Geometry;
    readonly window: ExtentWindow;
    readonly sizes: SizeSchedule;
  }) {
    this.#options = operations;
    this.#geometry = geometry;
    this.#window = window;
    this.#sizes = sizes;
    this.#blocks = new BlockSelector({ ...operations, weights: changesOnly(operations) }, firstStreams.clone);
  }

  /** Up to four different extents of those reached when the clone's snapshot was taken, after `snapshotLts`. */
  visits(clone: number, snapshotLts: number): readonly CloneVisit[] {
    const { run } = this.#options;
    const reached = this.#window.reachedCount(snapshotLts);
    const extents = new Map<number, Extent>();
    for (let number = 0; number < cloneVisitsMax; number++) {
      const index = run.draw(clone + 1, purposes.cloneExtent, number, reached);
      const extent = this.#sizes.existingExtent(this.#window.reachedPd(index), snapshotLts);
      extents.set(extent.pd, extent);
    }
    return [...extents.values()].map((extent, place) => {
      const lts = clone * cloneVisitsMax + place;
      return { extent, operations: this.#blocks.operations(lts, extent.blockCount), lts };
    });
  }

  /** The volume whose number the clone's own content carries; it comes round after all numbers that are left. */
  volume(clone: number): number {
    const volumeCount = this.#geometry.volumeBlocks.length;
    if (volumeCount === volumeCountMax)
      throw new RangeError(
        `${volumeCount} volumes leave no number for a clone: use fewer volumes, or no clones`,
      );
    return volumeCount + (clone % (volumeCountMax - volumeCount));
  }
}

/** The weights without those of kinds that may leave every block as it was; only writes, if nothing is left. */
function changesOnly({ weights }: BlockSelectorOptions): BlockSelectorOptions["weights"] {
  const kept = { ...weights, flush: 0, compareAndWrite: 0, compareAndWriteMiss: 0 };
  return Object.values(kept).some((weight) => weight > 0) ? kept : { write: 1 };
}
