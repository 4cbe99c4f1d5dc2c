/**
 * What the runner tells the model about time and outcomes.
 *
 * Every submission and completion gets a number from one counter, so that numbers order events as they happened.
 * The times of an operation are kept while anyone may still have to ask for them: while its lts, or an observation
 * that it overlaps, is not complete. Afterwards everything follows from the lts, and only exceptions stay: what
 * failed, what is in doubt, what a crash may have lost, what overlapped another operation on its blocks.
 *
 * @packageDocumentation
 */
import { ltsOf, operationAt } from "../selectors/operations.ts";
import { type Decision, Decisions } from "./decisions.ts";
import { Lineage, type RollbackRecord } from "./lineage.ts";
import type { Observation, OperationOutcome, OperationTimes } from "./operation-times.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";

/** So many deallocations are remembered to have happened, or not, where they are advice. */
const adviceDecidedMax = 2 ** 17;

/** What is told of each change, so that it can be kept elsewhere; each call is cheap and does no I/O. */
export interface TrackerListener {
  ltsComplete(lts: number): void;
  exception(times: OperationTimes): void;
  decision(position: number, block: number, happened: boolean | undefined): void;
  snapshot(record: SnapshotRecord): void;
  snapshotForgotten(record: SnapshotRecord): void;
  rollback(rollback: RollbackRecord): void;
}

/** What a run that goes on knows of the time before. */
export interface TrackerState {
  readonly event: number;
  /** Highest lts that may have been begun. */
  readonly ltsReserved: number;
  /** Highest lts at and below which everything is complete, but for the exceptions. */
  readonly ltsComplete: number;
  readonly exceptions: readonly OperationTimes[];
  readonly decisions: readonly Decision[];
  readonly snapshots: readonly SnapshotRecord[];
  readonly rollbacks: readonly RollbackRecord[];
}

export class Tracker {
  /** The target may leave old data in deallocated blocks (DLFEAT says nothing of zeros): old or zeros, for good. */
  deallocateIsAdvice = false;
  #event = 0;
  #started = -1;
  #complete = -1;
  #listener: TrackerListener | undefined;
  readonly #open = new Set<number>();
  readonly #finished = new Set<number>();
  /** Of operations under way, of an lts that is not complete, or overlapping an observation. */
  readonly #times = new Map<number, OperationTimes>();
  /** Of the above, those that only an observation keeps, by completion. */
  #retiring: OperationTimes[] = [];
  #retiringFirst = 0;
  /** Positions by lts that is not complete. */
  readonly #byLts = new Map<number, OperationTimes[]>();
  readonly #exceptions = new Map<number, OperationTimes>();
  readonly #decisions = new Decisions();
  /** Positions of the advice that was decided on, the oldest first. */
  readonly #adviceDecided = new Set<number>();
  readonly #lineage = new Lineage();
  /** Observations under way, oldest first; those that are over leave when they come first. */
  #observations: Observation[] = [];
  #inFlightCount = 0;
  /** Events at which the target crashed. */
  readonly #crashes = new Set<number>();
  /** Of operations that more than one crash may have dropped, the latest, by position. */
  readonly #lostAgainAt = new Map<number, number>();

  /** Told of every change from now on. */
  listen(listener: TrackerListener): void {
    this.#listener = listener;
  }

  /**
   * Tells all that there is to remember, as if it had only just happened; calls of {@link listen} go on.
   *
   * Of operations of lts that are not complete it tells all times that are kept, also those of no exception: nobody
   * could work out afterwards that they had ended.
   */
  tell(listener: TrackerListener): void {
    listener.ltsComplete(this.#complete);
    for (const times of this.recentTimes()) listener.exception(times);
    for (const times of this.#exceptions.values()) listener.exception(times);
    for (const { position, block, happened } of this.#decisions) listener.decision(position, block, happened);
    for (const record of this.#lineage.snapshots()) listener.snapshot(record);
    for (const rollback of this.#lineage.rollbacks()) {
      listener.rollback(rollback);
      const { record } = rollback;
      if (this.snapshot(record.volume, record.snapshot) !== record) listener.snapshotForgotten(record);
    }
  }

  /** Takes up where a run left off: nothing of what it may have begun is under way any more. */
  static resumed(state: TrackerState): Tracker {
    const tracker = new Tracker();
    tracker.#event = state.event;
    tracker.#started = state.ltsReserved;
    tracker.#complete = state.ltsReserved;
    for (const times of state.exceptions) {
      tracker.#exceptions.set(times.position, times);
      if (times.lostAt === Number.POSITIVE_INFINITY) continue;
      tracker.#crashes.add(times.lostAt);
      // Whether it was lost again is not kept: then it was.
      tracker.#lostAgainAt.set(times.position, state.event);
    }
    for (const decision of state.decisions) tracker.#decisions.set(decision);
    for (const record of state.snapshots) tracker.#lineage.add(record);
    for (const rollback of state.rollbacks) tracker.#lineage.rolledBack(rollback);
    return tracker;
  }

  /**
   * The process ended while these may have been under way: they are in doubt, and fenced, for whoever had them is
   * gone. Those whose outcome is known stay as they are.
   */
  interrupt(positions: Iterable<number>): void {
    const completed = ++this.#event;
    // Snapshots remember of some that they had completed.
    const known = new Map<number, OperationTimes>();
    const inside = new Set<number>();
    for (const record of this.#lineage.snapshots()) {
      for (const times of record.open.values()) known.set(times.position, times);
      for (const position of record.inside) inside.add(position);
    }
    for (const position of positions) {
      const times = this.#exceptions.get(position) ??
        known.get(position) ?? {
          position,
          // Some time before; nobody knows when.
          submitted: 0,
          completed: Number.POSITIVE_INFINITY,
          outcome: "inFlight",
          lostAt: Number.POSITIVE_INFINITY,
          hasOverlap: false,
          reads: undefined,
        };
      if (!isUnderWay(times) || inside.has(position)) continue;
      times.completed = completed;
      times.outcome = "unknown";
      this.#except(times);
    }
    this.#listener?.ltsComplete(this.#complete);
  }

  /** Highest lts started; −1 before the first. */
  get ltsStartedMax(): number {
    return this.#started;
  }

  /** Highest lts at and below which everything is complete, or in doubt and fenced; −1 before. */
  get ltsCompleteMax(): number {
    return this.#complete;
  }

  /** The latest event's number. */
  get lastEvent(): number {
    return this.#event;
  }

  /** Operations submitted and not yet completed. */
  get inFlightCount(): number {
    return this.#inFlightCount;
  }

  /** Positions of the operations whose outcome is unknown, ascending. */
  get inDoubt(): readonly number[] {
    const found: number[] = [];
    for (const { position, outcome } of this.#exceptions.values())
      if (outcome === "unknown") found.push(position);
    return found.sort((a, b) => a - b);
  }

  get snapshots(): readonly SnapshotRecord[] {
    return [...this.#lineage.snapshots()];
  }

  /** How many operations' times are held, for the bound on memory. */
  get timesHeld(): number {
    return this.#times.size + this.#exceptions.size;
  }

  beginLts(lts: number): void {
    if (lts <= this.#complete || this.#open.has(lts)) throw new Error(`lts ${lts} was begun before`);
    this.#open.add(lts);
    this.#byLts.set(lts, []);
    this.#started = Math.max(this.#started, lts);
  }

  /** Every operation of the lts has completed, or is fenced. */
  endLts(lts: number): void {
    if (!this.#open.delete(lts)) throw new Error(`lts ${lts} ends without having begun`);
    this.#finished.add(lts);
    const before = this.#complete;
    while (this.#finished.delete(this.#complete + 1)) {
      this.#complete++;
      for (const times of this.#byLts.get(this.#complete)!) this.#retiring.push(times);
      this.#byLts.delete(this.#complete);
    }
    if (this.#complete === before) return;
    this.#retire();
    this.#listener?.ltsComplete(this.#complete);
  }

  /** @returns The event's number. */
  submit(position: number, options?: { readonly hasOverlap?: boolean }): number {
    if (this.#times.has(position)) throw new Error(`${named(position)} was submitted before`);
    const submitted = ++this.#event;
    const times: OperationTimes = {
      position,
      submitted,
      completed: Number.POSITIVE_INFINITY,
      outcome: "inFlight",
      lostAt: Number.POSITIVE_INFINITY,
      hasOverlap: options?.hasOverlap ?? false,
      reads: undefined,
    };
    this.#times.set(position, times);
    const ofLts = this.#byLts.get(ltsOf(position));
    if (ofLts === undefined) throw new Error(`${named(position)} was submitted outside its lts`);
    ofLts.push(times);
    this.#inFlightCount++;
    return submitted;
  }

  /** An operation that was under way now shares blocks with another. */
  overlapped(position: number): void {
    const times = this.#times.get(position);
    if (times === undefined || times.hasOverlap) return;
    times.hasOverlap = true;
    // That it was shown says that it happened, and no more that it was the last on its blocks.
    this.#withdrawThatHappened(position);
  }

  /** The outcome is known, or known to be unknown: then the operation may still be applied, until {@link fence}. */
  complete(position: number, outcome: OperationOutcome): number {
    const times = this.#times.get(position);
    if (times?.outcome !== "inFlight")
      throw new Error(`${named(position)} completes without having been submitted`);
    this.#inFlightCount--;
    times.outcome = outcome;
    const event = ++this.#event;
    if (outcome !== "unknown") times.completed = event;
    // What was under way across a crash may have been told by the process that is gone.
    const isLost = times.lostAt < Number.POSITIVE_INFINITY;
    if (outcome !== "ok" || times.hasOverlap || isLost) this.#except(times);
    return event;
  }

  /** From now on an operation in doubt can not be applied any more: it has happened, or never will. */
  fence(position: number): number {
    const times = this.#exceptions.get(position);
    if (times === undefined || times.outcome !== "unknown")
      throw new Error(`${named(position)} is fenced without being in doubt`);
    const event = ++this.#event;
    if (times.completed === Number.POSITIVE_INFINITY) times.completed = event;
    this.#listener?.exception(times);
    return event;
  }

  /** An operation that had completed may have been dropped by a crash, as it was not durable. */
  lose(position: number, crashEvent: number, times: { submitted: number; completed: number }): void {
    const known =
      this.#exceptions.get(position) ?? this.#times.get(position) ?? this.#openInSnapshot(position);
    if (known !== undefined && known.outcome === "failed") return;
    const lost: OperationTimes = known ?? {
      position,
      ...times,
      outcome: "ok",
      lostAt: Number.POSITIVE_INFINITY,
      hasOverlap: false,
      reads: undefined,
    };
    // What completed as the target went down may have been done by the next process, and be lost with that.
    if (lost.lostAt === Number.POSITIVE_INFINITY) lost.lostAt = crashEvent;
    else this.#lostAgainAt.set(position, crashEvent);
    lost.reads = undefined;
    this.#withdrawThatHappened(position);
    this.#except(lost);
  }

  /** The target crashed: what reads saw of operations under way need not be there any more. */
  crashed(): number {
    const event = ++this.#event;
    this.#crashes.add(event);
    for (const times of this.#exceptions.values()) times.reads = undefined;
    for (const times of this.#times.values()) {
      times.reads = undefined;
      if (times.completed < Number.POSITIVE_INFINITY || times.outcome === "failed") continue;
      times.lostAt = Math.min(times.lostAt, event);
      // A snapshot may have shown it, and has it still.
      this.#withdrawThatHappened(times.position);
    }
    // What another replaced while both were under way may be back, if that one was dropped.
    for (const { position, block, happened } of this.#decisions)
      if (!happened && this.#exceptions.get(position)?.hasOverlap === true) this.#withdraw(position, block);
    return event;
  }

  /** The latest crash that may have dropped an operation; infinite if none has. */
  lastLossOf({ position, lostAt }: OperationTimes): number {
    return this.#lostAgainAt.get(position) ?? lostAt;
  }

  /** How often the target had crashed before an event. */
  crashesBefore(event: number): number {
    let count = 0;
    for (const crash of this.#crashes) if (crash < event) count++;
    return count;
  }

  /** Whether the target crashed between two events: what was seen before the first need not be there at the second. */
  hasCrashedBetween(from: number, to: number): boolean {
    for (const event of this.#crashes) if (event > from && event < to) return true;
    return false;
  }

  /** An event that is no operation's. */
  event(): number {
    return ++this.#event;
  }

  /** Begins to look at volumes: operations that are under way from now on keep their times until it is over. */
  observe(): Observation {
    const observation = { submitted: ++this.#event, completed: Number.POSITIVE_INFINITY };
    this.#observations.push(observation);
    return observation;
  }

  /** What was looked at has been read; its verdict may still be worked out, up to {@link release}. */
  observed(observation: Observation): void {
    observation.completed = ++this.#event;
  }

  /** The verdict is known: nobody asks any more for times as of this observation. */
  release(observation: Observation): void {
    const index = this.#observations.indexOf(observation);
    if (index < 0) throw new Error("an observation is over twice");
    this.#observations.splice(index, 1);
    if (index === 0) this.#retire();
  }

  /**
   * The times of an operation, while they are kept.
   *
   * Absent for one that was never submitted, if its lts is above {@link ltsCompleteMax}, and for one that completed
   * long ago without exception otherwise.
   */
  timesOf(position: number): OperationTimes | undefined {
    return this.#times.get(position) ?? this.#exceptions.get(position);
  }

  /** What is out of the ordinary with an operation; absent for most. */
  exceptionOf(position: number): OperationTimes | undefined {
    return this.#exceptions.size === 0 ? undefined : this.#exceptions.get(position);
  }

  /** All that is out of the ordinary. */
  exceptions(): Iterable<OperationTimes> {
    return this.#exceptions.values();
  }

  /** The times kept of operations of lts above {@link ltsCompleteMax}. */
  *recentTimes(): Generator<OperationTimes> {
    for (const ofLts of this.#byLts.values()) yield* ofLts;
  }

  /** Of operations of complete lts, the times kept of those submitted after an event that an observation holds. */
  *timesSince(event: number): Generator<OperationTimes> {
    for (let index = this.#retiringFirst; index < this.#retiring.length; index++) {
      const times = this.#retiring[index]!;
      if (times.submitted > event) yield times;
    }
  }

  outcomeOf(position: number): OperationOutcome {
    const outcome = this.timesOf(position)?.outcome ?? "ok";
    return outcome === "inFlight" ? "ok" : outcome;
  }

  /**
   * What a read at rest showed, for good: on this block the operation happened and stands, or does not.
   *
   * Advice was answered, and did what it was asked for or nothing. There are many such: what is known of the oldest is
   * forgotten, and then either may show again.
   */
  decide(
    position: number,
    block: number,
    happened: boolean,
    { isAdvice = false }: { readonly isAdvice?: boolean } = {},
  ): void {
    const known = this.decisionOn(position, block);
    if (known === happened) return;
    if (known !== undefined)
      throw new Error(
        `${named(position)} is already decided on block ${block}: ${known ? "it happened" : "it never happened"}`,
      );
    this.#decisions.set({ position, block, happened });
    this.#listener?.decision(position, block, happened);
    if (!isAdvice) return;
    this.#adviceDecided.add(position);
    if (this.#adviceDecided.size <= adviceDecidedMax) return;
    const [oldest] = this.#adviceDecided;
    this.#adviceDecided.delete(oldest!);
    for (const decided of this.#decisions.of(oldest!)) this.#withdraw(oldest!, decided.block);
  }

  decisionOn(position: number, block: number): boolean | undefined {
    return this.#decisions.get(position, block);
  }

  addSnapshot(record: SnapshotRecord): void {
    this.#lineage.add(record);
    this.#listener?.snapshot(record);
  }

  /** Something of a snapshot's record was decided. */
  snapshotChanged(record: SnapshotRecord): void {
    this.#listener?.snapshot(record);
  }

  snapshot(volume: number, snapshot: number): SnapshotRecord | undefined {
    return this.#lineage.snapshot(volume, snapshot);
  }

  /** A snapshot was deleted, and nobody asks for it any more; a rollback to it keeps what it needs. */
  forgetSnapshot(record: SnapshotRecord): void {
    this.#lineage.forget(record);
    this.#listener?.snapshotForgotten(record);
  }

  /** At rest: what was read before says nothing of the branch that begins. */
  rolledBack(rollback: RollbackRecord): void {
    for (const times of this.#exceptions.values()) times.reads = undefined;
    for (const times of this.#times.values()) times.reads = undefined;
    this.#lineage.rolledBack(rollback);
    this.#listener?.rollback(rollback);
  }

  /** Oldest first. */
  rollbacksOf(volume: number): readonly RollbackRecord[] {
    return this.#lineage.rollbacksOf(volume);
  }

  #withdrawThatHappened(position: number): void {
    for (const { block, happened } of this.#decisions.of(position))
      if (happened) this.#withdraw(position, block);
  }

  #withdraw(position: number, block: number): void {
    this.#decisions.delete(position, block);
    this.#listener?.decision(position, block, undefined);
  }

  /** The times that a snapshot's record still holds of an operation. */
  #openInSnapshot(position: number): OperationTimes | undefined {
    for (const { open } of this.#lineage.snapshots()) {
      const times = open.get(position);
      if (times !== undefined) return times;
    }
    return undefined;
  }

  #except(times: OperationTimes): void {
    this.#exceptions.set(times.position, times);
    this.#listener?.exception(times);
  }

  /** Forgets the times that no observation under way can ask for. */
  #retire(): void {
    const horizon = this.#observations[0]?.submitted ?? Number.POSITIVE_INFINITY;
    const retiring = this.#retiring;
    let first = this.#retiringFirst;
    for (; first < retiring.length; first++) {
      const times = retiring[first]!;
      // In the order of lts, not of completion: one that stays holds up those behind it, for a while.
      if (times.completed >= horizon) break;
      this.#times.delete(times.position);
    }
    this.#retiringFirst = first;
    if (first > 1024 && first * 2 > retiring.length) {
      this.#retiring = retiring.slice(first);
      this.#retiringFirst = 0;
    } else if (first === retiring.length) {
      retiring.length = 0;
      this.#retiringFirst = 0;
    }
  }
}

function isUnderWay({ completed }: OperationTimes): boolean {
  return completed === Number.POSITIVE_INFINITY;
}

function named(position: number): string {
  const { lts, operationId } = operationAt(position);
  return `operation ${operationId} of lts ${lts}`;
}
