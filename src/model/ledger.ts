/**
 * The coverage ledger: what a run has proven, and what it has not.
 *
 * Only a compare counts. A version is one operation's effect on one block; it is proven when it was read back and
 * compared while it was the block's newest. Versions that were overwritten before anyone looked are named as such.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import {
  effectOf,
  type OperationKind,
  operationAt,
  operationKinds,
  positionOf,
} from "../selectors/operations.ts";
import type { Workload } from "../selectors/workload.ts";
import type { Reconciler } from "./reconciler.ts";
import type { OperationOutcome, Tracker } from "./tracker.ts";

/** A snapshot of the ledger, as printed and as JSON. */
export interface LedgerReport {
  readonly ltsCount: number;
  readonly operations: Readonly<Record<OperationKind, number>>;
  readonly operationsFailed: number;
  readonly operationsInDoubt: number;
  readonly bytesWritten: number;
  readonly bytesCompared: number;
  readonly versions: {
    readonly made: number;
    readonly proven: number;
    /** Overwritten before they were compared. */
    readonly neverSeen: number;
  };
  readonly lastVersions: {
    readonly blocks: number;
    readonly proven: number;
    /** Proven of all, in percent, rounded down to a hundredth; 100 if there are none. */
    readonly provenPercent: number;
  };
  readonly snapshots: {
    readonly taken: number;
    readonly deleted: number;
    readonly checked: number;
    readonly blocksCompared: number;
  };
  readonly diffs: {
    readonly proven: number;
    readonly pages: number;
    readonly blocksReported: number;
    readonly blocksChanged: number;
    readonly deletedBaseRefused: number;
  };
  /** What was not checked, and why. */
  readonly notChecked: readonly { readonly what: string; readonly why: string }[];
}

export class Ledger {
  readonly #workload: Workload;
  readonly #reconciler: Reconciler;
  readonly #tracker: Tracker;
  /** By pd: the lts as of which the extent was last compared, −1 if never. */
  readonly #provenLts: Float64Array;
  /** By pd: the states that were wrong when they were last compared, by block. */
  readonly #wrong = new Map<number, ReadonlyMap<number, number>>();
  readonly #states: Float64Array;
  readonly #operations = new Map<OperationKind, number>(operationKinds.map((kind) => [kind, 0]));
  readonly #notChecked = new Map<string, string>();
  #ltsCount = 0;
  #failed = 0;
  #inDoubt = 0;
  #blocksWritten = 0;
  #blocksCompared = 0;
  #versionsMade = 0;
  #versionsProven = 0;
  #snapshotsTaken = 0;
  #snapshotsDeleted = 0;
  #snapshotsChecked = 0;
  #snapshotBlocksCompared = 0;
  #diffsProven = 0;
  #diffPages = 0;
  #diffBlocksReported = 0;
  #diffBlocksChanged = 0;
  #deletedBaseRefused = 0;

  constructor(workload: Workload, tracker: Tracker, reconciler: Reconciler) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#reconciler = reconciler;
    this.#provenLts = new Float64Array(workload.geometry.extentCount).fill(-1);
    this.#states = new Float64Array(workload.geometry.extentBlocks);
  }

  visited(): void {
    this.#ltsCount++;
  }

  completed(kind: OperationKind, blockCount: number, outcome: OperationOutcome): void {
    this.#operations.set(kind, this.#operations.get(kind)! + 1);
    if (outcome === "failed") {
      this.#failed++;
      return;
    }
    if (outcome === "unknown") this.#inDoubt++;
    if (effectOf(kind) === "data") this.#blocksWritten += blockCount;
    this.#versionsMade += blockCount;
  }

  /** An extent was compared block by block as of an lts; `wrong` blocks do not count. */
  extentCompared(extent: Extent, ltsMax: number, states: Float64Array, wrong: readonly number[]): void {
    this.#blocksCompared += extent.blockCount;
    const oldest = positionOf(this.#provenLts[extent.pd]! + 1, 0);
    const wrongBefore = this.#wrong.get(extent.pd);
    const wrongNow = new Map(wrong.map((block) => [block, states[block]!]));
    for (let block = 0; block < extent.blockCount; block++) {
      const state = states[block]!;
      if (
        Math.abs(state) >= oldest
          ? !wrongNow.has(block)
          : wrongBefore?.get(block) === state && !wrongNow.has(block)
      )
        this.#versionsProven++;
    }
    this.#provenLts[extent.pd] = ltsMax;
    if (wrongNow.size > 0) this.#wrong.set(extent.pd, wrongNow);
    else this.#wrong.delete(extent.pd);
  }

  snapshotTaken(): void {
    this.#snapshotsTaken++;
  }

  snapshotDeleted(): void {
    this.#snapshotsDeleted++;
  }

  snapshotBlocksCompared(blockCount: number): void {
    this.#snapshotBlocksCompared += blockCount;
  }

  snapshotChecked(): void {
    this.#snapshotsChecked++;
  }

  diffProven({
    pages,
    reportedBlocks,
    changedBlocks,
  }: {
    pages: number;
    reportedBlocks: number;
    changedBlocks: number;
  }): void {
    this.#diffsProven++;
    this.#diffPages += pages;
    this.#diffBlocksReported += reportedBlocks;
    this.#diffBlocksChanged += changedBlocks;
  }

  deletedBaseRefused(): void {
    this.#deletedBaseRefused++;
  }

  /** Records, once, that something is not checked in this run. */
  notChecked(what: string, why: string): void {
    this.#notChecked.set(what, why);
  }

  /** The totals that cost nothing to know, for progress lines. */
  get totals(): {
    readonly operationCount: number;
    readonly bytesWritten: number;
    readonly diffsProven: number;
  } {
    let operationCount = 0;
    for (const count of this.#operations.values()) operationCount += count;
    const bytesWritten = this.#blocksWritten * this.#workload.geometry.blockSizeBytes;
    return { operationCount, bytesWritten, diffsProven: this.#diffsProven };
  }

  /** Share of the extents reached whose newest content is proven, 0 to 1: cheap, for progress lines. */
  provenShare(sampleMax = 256): number {
    const { window } = this.#workload;
    const ltsMax = this.#tracker.ltsCompleteMax;
    const reached = window.reachedCount(ltsMax);
    if (reached === 0) return 1;
    const step = Math.max(1, Math.floor(reached / sampleMax));
    let looked = 0;
    let proven = 0;
    for (let index = 0; index < reached; index += step, looked++) {
      const pd = window.reachedPd(index);
      if (this.#provenLts[pd]! >= (window.lastLts(pd, ltsMax) ?? -1)) proven++;
    }
    return proven / looked;
  }

  report(): LedgerReport {
    const { blockSizeBytes } = this.#workload.geometry;
    const last = this.#lastVersions();
    return {
      ltsCount: this.#ltsCount,
      operations: Object.fromEntries(this.#operations) as Record<OperationKind, number>,
      operationsFailed: this.#failed,
      operationsInDoubt: this.#inDoubt,
      bytesWritten: this.#blocksWritten * blockSizeBytes,
      bytesCompared: (this.#blocksCompared + this.#snapshotBlocksCompared) * blockSizeBytes,
      versions: {
        made: this.#versionsMade,
        proven: this.#versionsProven,
        neverSeen: this.#versionsMade - this.#versionsProven - (last.blocks - last.proven),
      },
      lastVersions: {
        ...last,
        provenPercent: last.blocks === 0 ? 100 : Math.floor((last.proven / last.blocks) * 10_000) / 100,
      },
      snapshots: {
        taken: this.#snapshotsTaken,
        deleted: this.#snapshotsDeleted,
        checked: this.#snapshotsChecked,
        blocksCompared: this.#snapshotBlocksCompared,
      },
      diffs: {
        proven: this.#diffsProven,
        pages: this.#diffPages,
        blocksReported: this.#diffBlocksReported,
        blocksChanged: this.#diffBlocksChanged,
        deletedBaseRefused: this.#deletedBaseRefused,
      },
      notChecked: [...this.#notChecked].map(([what, why]) => ({ what, why })),
    };
  }

  /** Blocks that any operation touched, and those of them whose newest version is proven. */
  #lastVersions(): { blocks: number; proven: number } {
    const { window, geometry } = this.#workload;
    const ltsMax = this.#tracker.ltsCompleteMax;
    let blocks = 0;
    let proven = 0;
    for (let index = 0; index < window.reachedCount(ltsMax); index++) {
      const extent = geometry.extent(window.reachedPd(index));
      this.#reconciler.stateAt(extent, ltsMax, this.#states);
      for (let block = 0; block < extent.blockCount; block++) {
        const state = this.#states[block]!;
        if (state === 0) continue;
        blocks++;
        const isWrong = this.#wrong.get(extent.pd)?.get(block) === state;
        if (!isWrong && operationAt(state).lts <= this.#provenLts[extent.pd]!) proven++;
      }
    }
    return { blocks, proven };
  }
}
