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
import type { History } from "../selectors/history.ts";
import type { Reconciler } from "./reconciler.ts";
import type { OperationOutcome } from "./operation-times.ts";
import type { Tracker } from "./tracker.ts";
import { volumeView } from "./view.ts";

/** What is simply counted. */
const countNames = [
  "ltsCount",
  "operationsFailed",
  "operationsInDoubt",
  "comparesExpectedToFail",
  "blocksWritten",
  "blocksCompared",
  "versionsMade",
  "versionsProven",
  "readsChecked",
  "readsUnderLoad",
  "readBlocksCompared",
  "preReadBlocks",
  "snapshotsTaken",
  "snapshotsHot",
  "snapshotsDeleted",
  "snapshotsChecked",
  "snapshotBlocksCompared",
  "blocksSplitByCuts",
  "diffsProven",
  "diffsNested",
  "diffPages",
  "diffBlocksReported",
  "diffBlocksChanged",
  "deletedBaseRefused",
  "clonesMade",
  "clonesChecked",
  "cloneBlocksCompared",
  "rollbacks",
  "resizes",
  "syncs",
  "syncBlocksCopied",
  "syncBlocksCompared",
  "crashes",
  "crashesChecked",
  "operationsNotDurable",
  "connectionFaults",
  "secondVolumeBlocksCompared",
] as const;
export type CountName = (typeof countNames)[number];

/** All that a run that goes on needs of the ledger of the time before. */
export interface LedgerState {
  readonly counts: Readonly<Partial<Record<CountName, number>>>;
  readonly operations: Readonly<Partial<Record<OperationKind, number>>>;
}

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
  /** Reads beside the writes; under load: with operations in flight that one of their blocks could show or not. */
  readonly reads: {
    readonly checked: number;
    readonly underLoad: number;
    readonly blocksCompared: number;
    /** Blocks read and compared just before they were overwritten. */
    readonly preReadBlocks: number;
  };
  readonly lastVersions: {
    readonly blocks: number;
    readonly proven: number;
    /** Proven of all, in percent, rounded down to a hundredth; 100 if there are none. */
    readonly provenPercent: number;
  };
  readonly snapshots: {
    readonly taken: number;
    /** Of these, under load. */
    readonly hot: number;
    readonly deleted: number;
    readonly checked: number;
    readonly blocksCompared: number;
    /** Blocks that the cut could have on either side of an operation, and that showed on which. */
    readonly blocksSplit: number;
  };
  readonly diffs: {
    readonly proven: number;
    /** Of these, held against the diffs of the parts of their span. */
    readonly nested: number;
    readonly pages: number;
    readonly blocksReported: number;
    readonly blocksChanged: number;
    readonly deletedBaseRefused: number;
  };
  readonly clones: { readonly made: number; readonly checked: number; readonly blocksCompared: number };
  readonly rollbacks: number;
  readonly resizes: number;
  readonly syncs: { readonly done: number; readonly blocksCopied: number; readonly blocksCompared: number };
  readonly faults: {
    readonly crashes: number;
    /** Crashes after which every extent with something at stake was read. */
    readonly crashesChecked: number;
    /** Operations that were not durable when the target crashed. */
    readonly operationsNotDurable: number;
    readonly connections: number;
  };
  readonly secondVolume: { readonly blocksCompared: number };
  /** What was not checked, and why. */
  readonly notChecked: readonly { readonly what: string; readonly why: string }[];
}

export class Ledger {
  readonly #workload: History;
  readonly #reconciler: Reconciler;
  readonly #tracker: Tracker;
  /** By pd: the lts as of which the extent was last compared, −1 if never in this process. */
  readonly #provenLts: Float64Array;
  /** By pd: the states that were wrong when they were last compared, by block. */
  readonly #wrong = new Map<number, ReadonlyMap<number, number>>();
  readonly #states: Float64Array;
  readonly #operations = new Map<OperationKind, number>(operationKinds.map((kind) => [kind, 0]));
  readonly #counts: Record<CountName, number>;
  readonly #notChecked = new Map<string, string>();
  /** Versions up to this lts were counted by an earlier process: they are proven anew, but not counted again. */
  readonly #ltsCounted: number;

  constructor(
    workload: History,
    tracker: Tracker,
    reconciler: Reconciler,
    resumed?: { readonly state: LedgerState; readonly ltsMax: number },
  ) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#reconciler = reconciler;
    this.#provenLts = new Float64Array(workload.geometry.extentCount).fill(-1);
    this.#states = new Float64Array(workload.geometry.extentBlocks);
    this.#counts = Object.fromEntries(
      countNames.map((name) => [name, resumed?.state.counts[name] ?? 0]),
    ) as Record<CountName, number>;
    for (const [kind, count] of Object.entries(resumed?.state.operations ?? {}))
      this.#operations.set(kind as OperationKind, count);
    this.#ltsCounted = resumed?.ltsMax ?? -1;
  }

  /** For a run that will go on from here. */
  get state(): LedgerState {
    return { counts: { ...this.#counts }, operations: Object.fromEntries(this.#operations) };
  }

  count(name: CountName, by = 1): void {
    this.#counts[name] += by;
  }

  completed(kind: OperationKind, blockCount: number, outcome: OperationOutcome): void {
    this.#operations.set(kind, this.#operations.get(kind)! + 1);
    if (outcome === "failed") {
      this.#counts.operationsFailed++;
      return;
    }
    if (outcome === "unknown") this.#counts.operationsInDoubt++;
    const effect = effectOf(kind);
    if (effect === "none") return;
    if (effect === "data") this.#counts.blocksWritten += blockCount;
    this.#counts.versionsMade += blockCount;
  }

  /** An extent was compared block by block as of an lts; `wrong` blocks do not count. */
  extentCompared(extent: Extent, ltsMax: number, states: Float64Array, wrong: readonly number[]): void {
    this.#counts.blocksCompared += extent.blockCount;
    const oldest = positionOf(Math.max(this.#provenLts[extent.pd]!, this.#ltsCounted) + 1, 0);
    const wrongBefore = this.#wrong.get(extent.pd);
    const wrongNow = new Map(wrong.map((block) => [block, states[block]!]));
    let proven = 0;
    for (let block = 0; block < extent.blockCount; block++) {
      const state = states[block]!;
      const isNew = state >= oldest || -state >= oldest;
      if (isNew) {
        if (wrongNow.size === 0 || !wrongNow.has(block)) proven++;
      } else if (wrongBefore !== undefined && wrongBefore.get(block) === state && !wrongNow.has(block))
        proven++;
    }
    this.#counts.versionsProven += proven;
    this.#provenLts[extent.pd] = ltsMax;
    if (wrongNow.size > 0) this.#wrong.set(extent.pd, wrongNow);
    else this.#wrong.delete(extent.pd);
  }

  /** Whether a block, counted from the start of the extent, was found in this state when all of the extent was compared last. */
  isProven(extent: Extent, block: number, state: number): boolean {
    if (state === 0 || this.#wrong.get(extent.pd)?.has(block) === true) return false;
    return operationAt(Math.abs(state)).lts <= this.#provenLts[extent.pd]!;
  }

  /** Blocks were compared, and are overwritten now: nobody proves these versions after this. */
  preRead(extent: Extent, states: Float64Array): void {
    const oldest = positionOf(Math.max(this.#provenLts[extent.pd]!, this.#ltsCounted) + 1, 0);
    for (const state of states) if (Math.abs(state) >= oldest) this.#counts.versionsProven++;
    this.#counts.preReadBlocks += states.length;
  }

  /** Nothing of an extent counts as proven any more: it was rolled back, or a crash may have changed it. */
  unproven(extent: Extent): void {
    this.#provenLts[extent.pd] = Math.min(this.#provenLts[extent.pd]!, -1);
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
    this.count("diffsProven");
    this.count("diffPages", pages);
    this.count("diffBlocksReported", reportedBlocks);
    this.count("diffBlocksChanged", changedBlocks);
  }

  /** Records, once, that something is not checked in this run. */
  notChecked(what: string, why: string): void {
    this.#notChecked.set(what, why);
  }

  /** Asked before each lts. */
  get bytesWritten(): number {
    return this.#counts.blocksWritten * this.#workload.geometry.blockSizeBytes;
  }

  /** The totals that cost nothing to know, for progress lines. */
  get totals(): {
    readonly operationCount: number;
    readonly bytesWritten: number;
    readonly diffsProven: number;
  } {
    let operationCount = 0;
    for (const count of this.#operations.values()) operationCount += count;
    return { operationCount, bytesWritten: this.bytesWritten, diffsProven: this.#counts.diffsProven };
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
    const counts = this.#counts;
    const compared =
      counts.blocksCompared +
      counts.snapshotBlocksCompared +
      counts.readBlocksCompared +
      counts.preReadBlocks +
      counts.cloneBlocksCompared +
      counts.syncBlocksCompared +
      counts.secondVolumeBlocksCompared;
    return {
      ltsCount: counts.ltsCount,
      operations: Object.fromEntries(this.#operations) as Record<OperationKind, number>,
      operationsFailed: counts.operationsFailed,
      operationsInDoubt: counts.operationsInDoubt,
      bytesWritten: counts.blocksWritten * blockSizeBytes,
      bytesCompared: compared * blockSizeBytes,
      versions: {
        made: counts.versionsMade,
        proven: counts.versionsProven,
        neverSeen: Math.max(0, counts.versionsMade - counts.versionsProven - (last.blocks - last.proven)),
      },
      reads: {
        checked: counts.readsChecked,
        underLoad: counts.readsUnderLoad,
        blocksCompared: counts.readBlocksCompared,
        preReadBlocks: counts.preReadBlocks,
      },
      lastVersions: {
        ...last,
        provenPercent: last.blocks === 0 ? 100 : Math.floor((last.proven / last.blocks) * 10_000) / 100,
      },
      snapshots: {
        taken: counts.snapshotsTaken,
        hot: counts.snapshotsHot,
        deleted: counts.snapshotsDeleted,
        checked: counts.snapshotsChecked,
        blocksCompared: counts.snapshotBlocksCompared,
        blocksSplit: counts.blocksSplitByCuts,
      },
      diffs: {
        proven: counts.diffsProven,
        nested: counts.diffsNested,
        pages: counts.diffPages,
        blocksReported: counts.diffBlocksReported,
        blocksChanged: counts.diffBlocksChanged,
        deletedBaseRefused: counts.deletedBaseRefused,
      },
      clones: {
        made: counts.clonesMade,
        checked: counts.clonesChecked,
        blocksCompared: counts.cloneBlocksCompared,
      },
      rollbacks: counts.rollbacks,
      resizes: counts.resizes,
      syncs: {
        done: counts.syncs,
        blocksCopied: counts.syncBlocksCopied,
        blocksCompared: counts.syncBlocksCompared,
      },
      faults: {
        crashes: counts.crashes,
        crashesChecked: counts.crashesChecked,
        operationsNotDurable: counts.operationsNotDurable,
        connections: counts.connectionFaults,
      },
      secondVolume: { blocksCompared: counts.secondVolumeBlocksCompared },
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
      this.#reconciler.stateOf(extent, volumeView(this.#tracker, extent.volume, ltsMax), this.#states);
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
