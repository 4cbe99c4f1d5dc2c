/**
 * Follows a snapshot call, to know what is in the snapshot for certain and what its cut may have split.
 *
 * @packageDocumentation
 */
import { operationAt } from "../selectors/operations.ts";
import { Cut } from "./cut.ts";
import type { Observation, OperationTimes } from "./operation-times.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import type { Tracker } from "./tracker.ts";

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
