/**
 * The visible-blocks checker: every value read was written there, at some time, by an operation of this run.
 *
 * It finds what was never written, or not here, and asks nothing about order; so it needs no rest and no log of what
 * overlapped what. In its stateless form any operation of the history up to now will do; in its stateful form it
 * must have been submitted and not refused, and no block may go back behind the newest lts that an earlier look has
 * shown of it: for that it keeps extent → block → lts, of the extents that were looked at last.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import { effectOf, operationAt, positionOf } from "../selectors/operations.ts";
import type { History } from "../selectors/history.ts";
import type { Observation } from "./operation-times.ts";
import type { Tracker } from "./tracker.ts";
import { volumeView } from "./view.ts";

/** Classes that the deflate kernel tells. */
const zeros = 0;
const ours = 1;

/** What earlier looks showed of an extent. */
interface Seen {
  /** Newest lts by block; −1 where only zeros were seen. */
  readonly ltsMax: Float64Array;
  /** Event by which all of these looks were over. */
  completed: number;
}

/** What is kept of earlier looks, in bytes. */
const seenBytesMax = 32 * 2 ** 20;

export class VisibleChecker {
  readonly #workload: History;
  readonly #tracker: Tracker;
  readonly #classes: { readonly address: number; readonly bytes: Uint8Array };
  readonly #vds: { readonly address: number };
  /** By pd, those looked at last at the end. */
  readonly #seen = new Map<number, Seen>();
  readonly #extentsSeenMax: number;
  /** Looks that began before this event tell nothing of the volumes as they are now. */
  #forgottenAt = -1;
  readonly #positions: { readonly address: number; readonly values: BigUint64Array };

  constructor(workload: History, tracker: Tracker) {
    this.#workload = workload;
    this.#tracker = tracker;
    const { kernel } = workload.run;
    const { extentBlocks } = workload.geometry;
    this.#classes = kernel.allocate(extentBlocks);
    this.#vds = kernel.allocateUint64(extentBlocks);
    this.#positions = kernel.allocateUint64(extentBlocks);
    this.#extentsSeenMax = Math.max(1, Math.floor(seenBytesMax / (extentBlocks * 8)));
  }

  /** Extents of which earlier looks are remembered. */
  get extentsSeen(): number {
    return this.#seen.size;
  }

  /** After crashes and rollbacks blocks may rightly go back; looks that are under way count for nothing. */
  forget(): void {
    this.#seen.clear();
    this.#forgottenAt = this.#tracker.lastEvent;
  }

  /**
   * Blocks of an extent, read to `address` of the kernels' memory, that show what nothing of this run left there.
   *
   * @param options.isStateful - Asks the tracker as well.
   * @param options.ltsBefore - Highest lts at and below which everything was complete when the read was submitted.
   * @param options.observation - When the look was, in the stateful form; without it nothing is asked of order.
   */
  check({
    extent,
    address,
    isStateful,
    ltsBefore,
    observation,
  }: {
    readonly extent: Extent;
    readonly address: number;
    readonly isStateful: boolean;
    readonly ltsBefore: number;
    readonly observation?: Pick<Observation, "submitted" | "completed">;
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
          ? this.#hasBeenZero(extent, index, { isStateful, ltsBefore })
          : kind === ours && this.#wasWritten(extent, index, this.#positions.values[index]!, isStateful);
      if (!isVisible) wrong.push(index);
    }
    if (isStateful && observation !== undefined) this.#compareWithEarlier(extent, observation, wrong);
    return wrong;
  }

  /** Adds the blocks that have gone back to `wrong`, and remembers what the others show. */
  #compareWithEarlier(
    extent: Extent,
    { submitted, completed }: Pick<Observation, "submitted" | "completed">,
    wrong: number[],
  ): void {
    if (submitted <= this.#forgottenAt) return;
    const seen = this.#seen.get(extent.pd) ?? {
      ltsMax: new Float64Array(extent.blockCount).fill(-1),
      completed: Number.NEGATIVE_INFINITY,
    };
    const isLater = submitted > seen.completed;
    const isWrong = new Set(wrong);
    for (let block = 0; block < extent.blockCount; block++) {
      if (this.#classes.bytes[block] !== ours || isWrong.has(block)) continue;
      const position = Number(this.#positions.values[block]!);
      const { lts } = operationAt(position);
      // Operations that were under way together may have been applied in either order.
      const isOrdered = this.#tracker.timesOf(position)?.hasOverlap !== true;
      if (isLater && isOrdered && lts < seen.ltsMax[block]!) wrong.push(block);
      else seen.ltsMax[block] = Math.max(seen.ltsMax[block]!, lts);
    }
    wrong.sort((a, b) => a - b);
    seen.completed = Math.max(seen.completed, completed);
    this.#seen.delete(extent.pd);
    this.#seen.set(extent.pd, seen);
    if (this.#seen.size > this.#extentsSeenMax) this.#seen.delete(this.#seen.keys().next().value!);
  }

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

  /** Zeros need an operation that made them, or a block that nothing had certainly written when the look began. */
  #hasBeenZero(
    extent: Extent,
    block: number,
    { isStateful, ltsBefore }: { readonly isStateful: boolean; readonly ltsBefore: number },
  ): boolean {
    const { window } = this.#workload;
    const tracker = this.#tracker;
    let hasData = false;
    for (const { ltsMin, ltsMax, record } of volumeView(tracker, extent.volume, tracker.ltsStartedMax)
      .segments) {
      const ltsCertain = Math.min(ltsBefore, record?.ltsBefore ?? ltsBefore);
      let lts = window.lastLts(extent.pd, ltsMax);
      for (; lts !== undefined && lts > ltsMin; lts = window.prevLts(lts)) {
        const operation = this.#workload.operationOn(lts, block);
        if (operation === undefined) continue;
        const effect = effectOf(operation.kind);
        const position = positionOf(lts, operation.operationId);
        if (effect === "zeros" && (!isStateful || this.#wasSubmitted(position, lts))) return true;
        if (effect === "data" && lts <= ltsCertain && tracker.exceptionOf(position) === undefined)
          hasData = true;
      }
    }
    return !hasData;
  }

  #wasSubmitted(position: number, lts: number): boolean {
    const times = this.#tracker.timesOf(position);
    if (times === undefined) return lts <= this.#tracker.ltsCompleteMax;
    return times.outcome !== "failed";
  }
}
