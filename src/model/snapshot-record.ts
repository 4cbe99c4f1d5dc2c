/**
 * What the model keeps of a snapshot: which operations are in it for certain, and which its cut may have split.
 *
 * @packageDocumentation
 */
import { operationAt } from "../selectors/operations.ts";
import { Cut } from "./cut.ts";
import type { Observation, OperationTimes, Tracker } from "./tracker.ts";

export interface SnapshotRecord {
  /** Number of the snapshot, from 0. */
  readonly snapshot: number;
  readonly volume: number;
  readonly name: string;
  /** The lts at which the history takes it. */
  readonly lts: number;
  /** Events of the call: the cut lies between them. */
  readonly submittedEvent: number;
  readonly completedEvent: number;
  /** All at and below this lts had completed, or was fenced, when the call was submitted. */
  readonly ltsBefore: number;
  /** Nothing above this lts was submitted before the call completed. */
  readonly ltsMax: number;
  /** Positions above `ltsBefore` that had completed when the call was submitted. */
  readonly inside: ReadonlySet<number>;
  /** Operations under way, or in doubt, at some time of the call: each may be in it or not, block by block. */
  readonly open: ReadonlyMap<number, OperationTimes>;
  /** What was shown, for good, of blocks for which that was open: a state, by block of the volume. */
  readonly shown: Map<number, number>;
  /** Where the cut may lie, after all that was shown. Shared by snapshots that are to be of one instant. */
  readonly cut: Cut;
  /** Rollbacks of the volume before it. */
  readonly branch: number;
}

/** Notes, as a snapshot call is submitted, what is in the snapshot for certain. */
export class SnapshotCall {
  readonly observation: Observation;
  readonly #tracker: Tracker;
  readonly #ltsBefore: number;
  readonly #inside = new Set<number>();
  readonly #open = new Map<number, OperationTimes>();

  constructor(tracker: Tracker) {
    this.#tracker = tracker;
    this.#ltsBefore = tracker.ltsCompleteMax;
    for (const times of tracker.recentTimes()) {
      if (times.completed < Number.POSITIVE_INFINITY) this.#inside.add(times.position);
      else this.#open.set(times.position, times);
    }
    this.observation = tracker.observe();
  }

  /**
   * The call has completed: what was submitted meanwhile may be in the snapshot as well.
   *
   * @param about.cut - Of a snapshot that is to be of the same instant as another, that one's.
   */
  completed(
    about: Pick<SnapshotRecord, "snapshot" | "volume" | "name" | "lts"> & { readonly cut?: Cut },
  ): SnapshotRecord {
    const { submitted } = this.observation;
    this.#tracker.observed(this.observation);
    about.cut?.alsoWithin(this.observation);
    let ltsMax = this.#ltsBefore;
    for (const times of this.#tracker.recentTimes())
      if (times.submitted > submitted) this.#open.set(times.position, times);
    // An lts that began and ended during the call is complete by now.
    for (const times of this.#tracker.timesSince(submitted)) this.#open.set(times.position, times);
    for (const position of this.#open.keys()) ltsMax = Math.max(ltsMax, operationAt(position).lts);
    for (const position of this.#inside) ltsMax = Math.max(ltsMax, operationAt(position).lts);
    this.#tracker.release(this.observation);
    return {
      cut: Cut.within(this.observation),
      ...about,
      branch: this.#tracker.rollbacksOf(about.volume).length,
      submittedEvent: submitted,
      completedEvent: this.observation.completed,
      ltsBefore: this.#ltsBefore,
      ltsMax,
      inside: this.#inside,
      open: this.#open,
      shown: new Map(),
    };
  }

  /** The call failed: nobody will ask. */
  failed(): void {
    this.#tracker.release(this.observation);
  }
}
