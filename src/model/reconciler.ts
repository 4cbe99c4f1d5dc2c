/**
 * What an extent holds as of an lts, worked out from nothing.
 *
 * Walks the visits of the extent from the newest to the oldest and stops as soon as every block is explained: the
 * cost follows the visits to that extent, never the age of the run. A block's state is a position: p > 0 for data
 * written at p, −p for zeros made at p, 0 for a block that nothing ever touched.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import { effectOf, positionOf } from "../selectors/operations.ts";
import type { Workload } from "../selectors/workload.ts";
import type { Tracker } from "./tracker.ts";

/** A block whose newest operation is in doubt and not yet decided. */
export interface Doubt {
  /** Counted from the start of the extent. */
  readonly block: number;
  readonly position: number;
}

export class Reconciler {
  readonly #workload: Workload;
  readonly #tracker: Tracker;
  readonly #explained: Uint8Array;

  constructor(workload: Workload, tracker: Tracker) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#explained = new Uint8Array(workload.geometry.extentBlocks);
  }

  /**
   * Fills `into` with the position of each block of the extent, after all operations up to `ltsMax`.
   *
   * An operation in doubt counts as having happened; the blocks for which that is open are returned.
   */
  stateAt(extent: Extent, ltsMax: number, into: Float64Array): readonly Doubt[] {
    const { window } = this.#workload;
    const { blockCount } = extent;
    const explained = this.#explained.fill(0, 0, blockCount);
    into.fill(0, 0, blockCount);
    const doubts: Doubt[] = [];
    let left = blockCount;
    for (
      let lts = window.lastLts(extent.pd, ltsMax);
      lts !== undefined && left > 0;
      lts = window.prevLts(lts)
    ) {
      for (const { kind, operationId, firstBlock, blockCount: touched } of this.#workload.visit(lts)
        .operations) {
        const effect = effectOf(kind);
        if (effect === "none") continue;
        const position = positionOf(lts, operationId);
        const outcome = this.#tracker.hasExceptions ? this.#tracker.outcomeOf(position) : "ok";
        if (outcome === "failed") continue;
        const state = effect === "data" ? position : -position;
        for (let block = firstBlock; block < firstBlock + touched; block++) {
          if (explained[block] === 1) continue;
          if (outcome === "unknown") {
            const decision = this.#tracker.decisionOn(position, extent.firstBlock + block);
            if (decision === false) continue;
            if (decision === undefined) doubts.push({ block, position });
          }
          explained[block] = 1;
          into[block] = state;
          left--;
        }
      }
    }
    return doubts;
  }

  /**
   * The states that one block may be in, newest first: each operation in doubt, down to the first that is not.
   *
   * @param block - Counted from the start of the extent.
   */
  *candidates(extent: Extent, block: number, ltsMax: number): Generator<number> {
    for (const state of this.versions(extent, block, ltsMax)) {
      yield state;
      const position = Math.abs(state);
      if (this.#tracker.outcomeOf(position) !== "unknown") return;
      if (this.#tracker.decisionOn(position, extent.firstBlock + block) === true) return;
    }
  }

  /** All states that one block has been in, newest first, ending with 0: never touched. */
  *versions(extent: Extent, block: number, ltsMax: number): Generator<number> {
    const { window } = this.#workload;
    for (let lts = window.lastLts(extent.pd, ltsMax); lts !== undefined; lts = window.prevLts(lts)) {
      const operation = this.#workload.operationOn(lts, block);
      if (operation === undefined) continue;
      const position = positionOf(lts, operation.operationId);
      if (this.#tracker.outcomeOf(position) === "failed") continue;
      if (this.#tracker.decisionOn(position, extent.firstBlock + block) === false) continue;
      yield effectOf(operation.kind) === "data" ? position : -position;
    }
    yield 0;
  }
}

/** Whether two states of a block have the same bytes: data differs by its position, zeros are zeros. */
export function sameContent(a: number, b: number): boolean {
  return a === b || (a <= 0 && b <= 0);
}
