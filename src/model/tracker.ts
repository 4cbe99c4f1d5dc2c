/**
 * What the runner tells the model about time and outcomes.
 *
 * Every submission and completion gets a number from one counter, so that numbers order events as they happened.
 * Outcomes are kept only where they are not `ok`: everything else follows from the lts.
 *
 * @packageDocumentation
 */
import { operationAt } from "../selectors/operations.ts";

export type OperationOutcome = "ok" | "failed" | "unknown";

/** A snapshot, as the model must know it. */
export interface SnapshotRecord {
  /** Number of the snapshot, from 0. */
  readonly snapshot: number;
  readonly volume: number;
  readonly name: string;
  /** Highest lts that is wholly before the cut. */
  readonly ltsMax: number;
  /** Events between which the cut lies. */
  readonly submittedEvent: number;
  readonly completedEvent: number;
}

export interface Tracker {
  /** Highest lts started; −1 before the first. */
  readonly ltsStartedMax: number;
  /** Highest lts at and below which everything is complete; −1 before. */
  readonly ltsCompleteMax: number;
  /** Operations submitted and not yet completed. */
  readonly inFlightCount: number;
  /** Positions of the operations whose outcome is unknown, ascending. */
  readonly inDoubt: readonly number[];
  readonly snapshots: readonly SnapshotRecord[];

  beginLts(lts: number): void;
  endLts(lts: number): void;
  /** @returns The event's number. */
  submit(position: number): number;
  complete(position: number, outcome: OperationOutcome): number;
  /** An event that is no operation's: the ends of a snapshot call. */
  event(): number;
  outcomeOf(position: number): OperationOutcome;
  /** Whether some operation is not `ok`: spares the reconciler the question. */
  readonly hasExceptions: boolean;

  /** What the first read showed of an operation in doubt, for good: on this block it happened, or never did. */
  decide(position: number, block: number, happened: boolean): void;
  decisionOn(position: number, block: number): boolean | undefined;

  addSnapshot(record: SnapshotRecord): void;
  snapshot(volume: number, snapshot: number): SnapshotRecord | undefined;
}

/** A tracker that lives as long as the process. */
export class MemoryTracker implements Tracker {
  #event = 0;
  #started = -1;
  #complete = -1;
  readonly #open = new Set<number>();
  readonly #finished = new Set<number>();
  readonly #inFlight = new Set<number>();
  readonly #exceptions = new Map<number, OperationOutcome>();
  readonly #decisions = new Map<string, boolean>();
  readonly #snapshots = new Map<string, SnapshotRecord>();

  get ltsStartedMax(): number {
    return this.#started;
  }

  get ltsCompleteMax(): number {
    return this.#complete;
  }

  get inFlightCount(): number {
    return this.#inFlight.size;
  }

  get inDoubt(): readonly number[] {
    return [...this.#exceptions]
      .flatMap(([position, outcome]) => (outcome === "unknown" ? [position] : []))
      .sort((a, b) => a - b);
  }

  get snapshots(): readonly SnapshotRecord[] {
    return [...this.#snapshots.values()];
  }

  get hasExceptions(): boolean {
    return this.#exceptions.size > 0;
  }

  beginLts(lts: number): void {
    if (lts <= this.#complete || this.#open.has(lts)) throw new Error(`lts ${lts} was begun before`);
    this.#open.add(lts);
    this.#started = Math.max(this.#started, lts);
  }

  endLts(lts: number): void {
    if (!this.#open.delete(lts)) throw new Error(`lts ${lts} ends without having begun`);
    this.#finished.add(lts);
    while (this.#finished.delete(this.#complete + 1)) this.#complete++;
  }

  submit(position: number): number {
    if (this.#inFlight.has(position)) throw new Error(`${named(position)} was submitted before`);
    this.#inFlight.add(position);
    return this.event();
  }

  complete(position: number, outcome: OperationOutcome): number {
    if (!this.#inFlight.delete(position))
      throw new Error(`${named(position)} completes without having been submitted`);
    if (outcome !== "ok") this.#exceptions.set(position, outcome);
    return this.event();
  }

  event(): number {
    return ++this.#event;
  }

  outcomeOf(position: number): OperationOutcome {
    return this.#exceptions.get(position) ?? "ok";
  }

  decide(position: number, block: number, happened: boolean): void {
    const known = this.decisionOn(position, block);
    if (known !== undefined && known !== happened)
      throw new Error(
        `${named(position)} is already decided on block ${block}: ${known ? "it happened" : "it never happened"}`,
      );
    this.#decisions.set(`${position}:${block}`, happened);
  }

  decisionOn(position: number, block: number): boolean | undefined {
    return this.#decisions.get(`${position}:${block}`);
  }

  addSnapshot(record: SnapshotRecord): void {
    this.#snapshots.set(`${record.volume}:${record.snapshot}`, record);
  }

  snapshot(volume: number, snapshot: number): SnapshotRecord | undefined {
    return this.#snapshots.get(`${volume}:${snapshot}`);
  }
}

function named(position: number): string {
  const { lts, operationId } = operationAt(position);
  return `operation ${operationId} of lts ${lts}`;
}
