/**
 * The quiescent checker: an extent, with nothing in flight on it, holds what the reconciler says, block by block.
 *
 * Serves volumes (as of the last complete lts) and snapshots (as of their cut). A block whose newest operation is
 * in doubt may show either outcome; the first read that tells decides it for good.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import type { Workload } from "../selectors/workload.ts";
import { type Doubt, type Reconciler, sameContent } from "./reconciler.ts";
import type { Tracker } from "./tracker.ts";

export interface ContentVerdict {
  /** State of each block of the extent; scratch, valid until the next check. */
  readonly states: Float64Array;
  /** Blocks that differ, counted from the start of the extent. */
  readonly wrong: readonly number[];
}

export class ContentChecker {
  readonly #workload: Workload;
  readonly #tracker: Tracker;
  readonly #reconciler: Reconciler;
  readonly #states: { readonly address: number; readonly values: Float64Array };
  readonly #one: { readonly address: number; readonly values: Float64Array };
  readonly #verdicts: { readonly address: number; readonly bytes: Uint8Array };

  constructor(workload: Workload, tracker: Tracker, reconciler: Reconciler) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#reconciler = reconciler;
    const { kernel } = workload.run;
    this.#states = kernel.allocateFloat64(workload.geometry.extentBlocks);
    this.#one = kernel.allocateFloat64(1);
    this.#verdicts = kernel.allocate(workload.geometry.extentBlocks);
  }

  /**
   * Compares all blocks of an extent, read to `address` of the kernels' memory, with the model.
   *
   * @param ltsMax - Everything up to this lts is complete on the extent, and nothing after it can show.
   */
  check({ extent, ltsMax, address }: { extent: Extent; ltsMax: number; address: number }): ContentVerdict {
    const states = this.#states.values.subarray(0, extent.blockCount);
    const doubts = this.#reconciler.stateAt(extent, ltsMax, states);
    const { sectorsPerBlock: sectorCount } = this.#workload.geometry;
    const at = {
      volume: extent.volume,
      block: extent.firstBlock,
      blockCount: extent.blockCount,
      sectorCount,
    };
    const differing = this.#workload.run.verify(at, address, this.#states.address, this.#verdicts.address);
    const wrong: number[] = [];
    if (differing > 0) {
      for (let block = 0; block < extent.blockCount; block++)
        if (this.#verdicts.bytes[block] === 1 && !this.#acceptOlder(extent, block, ltsMax, address))
          wrong.push(block);
    }
    this.#settle(extent, ltsMax, doubts);
    return { states, wrong };
  }

  /** Whether one block, read to `address`, is in a state that it may be in; decides nothing. */
  isRight({
    extent,
    block,
    ltsMax,
    address,
  }: {
    extent: Extent;
    block: number;
    ltsMax: number;
    address: number;
  }): boolean {
    for (const state of this.#reconciler.candidates(extent, block, ltsMax))
      if (this.#shows(extent, block, address, state)) return true;
    return false;
  }

  /** Whether a block that is not in its newest state is in another that doubt allows; decides the doubt. */
  #acceptOlder(extent: Extent, block: number, ltsMax: number, address: number): boolean {
    const source = address + block * this.#workload.geometry.blockSizeBytes;
    const candidates = [...this.#reconciler.candidates(extent, block, ltsMax)];
    const found = candidates.findIndex(
      (state, index) => index > 0 && this.#shows(extent, block, source, state),
    );
    if (found < 0) return false;
    const onVolume = extent.firstBlock + block;
    for (const state of candidates.slice(0, found)) this.#tracker.decide(Math.abs(state), onVolume, false);
    this.#decideShown(extent, block, ltsMax);
    this.#states.values[block] = candidates[found]!;
    return true;
  }

  #shows(extent: Extent, block: number, source: number, state: number): boolean {
    const { sectorsPerBlock: sectorCount } = this.#workload.geometry;
    this.#one.values[0] = state;
    const at = { volume: extent.volume, block: extent.firstBlock + block, blockCount: 1, sectorCount };
    return this.#workload.run.verify(at, source, this.#one.address, this.#verdicts.address + block) === 0;
  }

  /** What showed its newest state has happened, unless the state below would have looked the same. */
  #settle(extent: Extent, ltsMax: number, doubts: readonly Doubt[]): void {
    for (const { block, position } of doubts) {
      const onVolume = extent.firstBlock + block;
      if (this.#verdicts.bytes[block] === 1 || this.#tracker.decisionOn(position, onVolume) !== undefined)
        continue;
      this.#decideShown(extent, block, ltsMax);
    }
  }

  /** The block shows its newest possible state: if only that explains its bytes, it has happened. */
  #decideShown(extent: Extent, block: number, ltsMax: number): void {
    const [newest, below] = this.#reconciler.candidates(extent, block, ltsMax);
    if (newest === undefined || below === undefined || sameContent(newest, below)) return;
    this.#tracker.decide(Math.abs(newest), extent.firstBlock + block, true);
  }
}
