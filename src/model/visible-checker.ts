/**
 * The visible-blocks checker: every value read was written there, at some time, by an operation of this run.
 *
 * It finds what was never written, or not here, and asks nothing about order; so it needs no rest and no log of what
 * overlapped what. In its stateless form any operation of the history up to now will do; in its stateful form it
 * must have been submitted and not refused, and no block may go back behind what an earlier look has shown to have
 * been complete: for that it keeps, per extent, the lts below which everything had completed when it last looked.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import { effectOf, operationAt, positionOf } from "../selectors/operations.ts";
import type { Workload } from "../selectors/workload.ts";
import type { Tracker } from "./tracker.ts";

/** Classes that the deflate kernel tells. */
const zeros = 0;
const ours = 1;

export class VisibleChecker {
  readonly #workload: Workload;
  readonly #tracker: Tracker;
  readonly #classes: { readonly address: number; readonly bytes: Uint8Array };
  readonly #vds: { readonly address: number };
  readonly #positions: { readonly address: number; readonly values: BigUint64Array };

  constructor(workload: Workload, tracker: Tracker) {
    this.#workload = workload;
    this.#tracker = tracker;
    const { kernel } = workload.run;
    const { extentBlocks } = workload.geometry;
    this.#classes = kernel.allocate(extentBlocks);
    this.#vds = kernel.allocateUint64(extentBlocks);
    this.#positions = kernel.allocateUint64(extentBlocks);
  }

  /**
   * Blocks of an extent, read to `address` of the kernels' memory, that show what nothing of this run left there.
   *
   * @param isStateful - Asks the tracker as well.
   */
  check({
    extent,
    address,
    isStateful,
  }: {
    readonly extent: Extent;
    readonly address: number;
    readonly isStateful: boolean;
  }): readonly number[] {
    const { sectorsPerBlock: sectorCount } = this.#workload.geometry;
    const { volume, firstBlock: block, blockCount } = extent;
    this.#workload.run.deflate({ volume, block, blockCount, sectorCount }, address, {
      classes: this.#classes.address,
      vds: this.#vds.address,
      positions: this.#positions.address,
    });
    const wrong: number[] = [];
    for (let index = 0; index < blockCount; index++) {
      const kind = this.#classes.bytes[index];
      const isVisible =
        kind === zeros
          ? this.#hasBeenZero(extent, index, isStateful)
          : kind === ours && this.#wasWritten(extent, index, this.#positions.values[index]!, isStateful);
      if (!isVisible) wrong.push(index);
    }
    return wrong;
  }

  /** After a crash or a rollback blocks may rightly go back. */
  forget(): void {}

  #wasWritten(extent: Extent, block: number, drawn: bigint, isStateful: boolean): boolean {
    const { window } = this.#workload;
    const position = Number(drawn);
    if (!Number.isSafeInteger(position) || position < 1) return false;
    const { lts, operationId } = operationAt(position);
    if (lts > this.#tracker.ltsStartedMax || window.pd(lts) !== extent.pd) return false;
    const operation = this.#workload.operationOn(lts, block);
    if (operation?.operationId !== operationId || effectOf(operation.kind) !== "data") return false;
    return !isStateful || this.#wasSubmitted(position, lts);
  }

  /** Zeros need an operation that made them, or a block that nothing complete has written. */
  #hasBeenZero(extent: Extent, block: number, isStateful: boolean): boolean {
    const { window } = this.#workload;
    const newest = window.lastLts(extent.pd, this.#tracker.ltsStartedMax);
    let hasData = false;
    for (let lts = newest; lts !== undefined; lts = window.prevLts(lts)) {
      const operation = this.#workload.operationOn(lts, block);
      if (operation === undefined) continue;
      const effect = effectOf(operation.kind);
      const position = positionOf(lts, operation.operationId);
      if (effect === "zeros" && (!isStateful || this.#wasSubmitted(position, lts))) return true;
      if (effect === "data" && lts <= this.#tracker.ltsCompleteMax && this.#tracker.exceptionOf(position) === undefined)
        hasData = true;
    }
    // Before the first write that has certainly happened, a block is zeros.
    return !hasData;
  }

  #wasSubmitted(position: number, lts: number): boolean {
    const times = this.#tracker.timesOf(position);
    if (times === undefined) return lts <= this.#tracker.ltsCompleteMax;
    return times.outcome !== "failed";
  }
}
