/**
 * What a run remembers of its last operations and control steps: when each was under way, and what came of it.
 *
 * Both are rings: what is older than their capacity is forgotten, and counted. What an operation did to which blocks
 * is not kept, for it follows from its position. Operations on clones, and reads, are no part of it.
 *
 * Times are on the run's clock; events are the tracker's (see `tracker.ts`), so that they order what happened.
 *
 * @packageDocumentation
 */
import { operationAt } from "../selectors/operations.ts";
import type { Clock } from "../sut/clock.ts";
import type { Outcome } from "../sut/port.ts";

export type LoggedOutcome = "inFlight" | "ok" | "failed" | "unknown";

export interface LoggedOperation {
  readonly lts: number;
  readonly operationId: number;
  readonly volume: number;
  readonly submittedEvent: number;
  /** When its outcome was known, or known to be unknown; absent while it is in flight. */
  readonly completedEvent: number | undefined;
  /** From when on it could not be applied any more, though its outcome is unknown. */
  readonly fencedEvent: number | undefined;
  readonly submittedMs: number;
  readonly completedMs: number | undefined;
  /** What the target answered; a compare that was meant to fail, and did, is `failed`. */
  readonly outcome: LoggedOutcome;
  /** Code of an outcome that is not `ok`, such as `ERR_TIMEOUT`. */
  readonly code: string | undefined;
  /** Association that stood when it completed, or else was submitted; absent where the device has none. */
  readonly connection: number | undefined;
}

/** A step of the control plane, or trouble that the target was put to. */
export interface LoggedStep {
  /** Which it followed. */
  readonly lts: number;
  readonly kind: string;
  /** For people. */
  readonly words: string;
  readonly submittedEvent: number;
  /** Absent while it is under way. */
  readonly completedEvent: number | undefined;
  readonly submittedMs: number;
  readonly completedMs: number | undefined;
  /** `ok` when it came to its end, found faults or not; otherwise what went wrong. */
  readonly outcome: string | undefined;
}

/** A step under way, to be given back when it is over. */
type OpenStep = { -readonly [Key in keyof LoggedStep]: LoggedStep[Key] };

interface OperationLogOptions {
  readonly clock: Clock;
  /** Operations that are remembered, at least 1; each takes 72 bytes once the ring has grown so far. */
  readonly capacity?: number;
  /** Control steps that are remembered, at least 1. */
  readonly stepCapacity?: number;
}

/** Numbers of one operation, side by side. */
const field = {
  position: 0,
  volume: 1,
  submittedEvent: 2,
  /** Events are above 0, so 0 is none, here and below. */
  completedEvent: 3,
  fencedEvent: 4,
  submittedMs: 5,
  completedMs: 6,
  /** Index into {@link outcomes}, and 4 times the number of the code from 1 on. */
  outcome: 7,
  /** From 1; 0 is none. */
  connection: 8,
} as const;
const fieldCount = 9;
const outcomes = ["inFlight", "ok", "failed", "unknown"] as const satisfies readonly LoggedOutcome[];
const okIndex = 1;

const capacityDefault = 100_000;
const stepCapacityDefault = 10_000;
/** Rows to begin with: most runs of a test, or of a try of many, are short. */
const capacityAtFirst = 1024;

export class OperationLog {
  /** To be added to a time of the log: milliseconds since 1970. */
  readonly wallOffsetMs: number;
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #stepCapacity: number;
  /** Row after row; grows up to the capacity, then is a ring. */
  #rows: Float64Array;
  #rowCount: number;
  #submittedCount = 0;
  readonly #codes: string[] = [];
  readonly #steps: OpenStep[] = [];
  #stepCount = 0;

  constructor({
    clock,
    capacity = capacityDefault,
    stepCapacity = stepCapacityDefault,
  }: OperationLogOptions) {
    for (const [name, value] of Object.entries({ capacity, stepCapacity }))
      if (!Number.isSafeInteger(value) || value < 1)
        throw new RangeError(`${name} of an operation log: expected a whole number from 1, got ${value}`);
    this.wallOffsetMs = Date.now() - clock.now();
    this.#clock = clock;
    this.#capacity = capacity;
    this.#stepCapacity = stepCapacity;
    this.#rowCount = Math.min(capacity, capacityAtFirst);
    this.#rows = new Float64Array(this.#rowCount * fieldCount);
  }

  /** Operations that are remembered. */
  get operationCount(): number {
    return Math.min(this.#submittedCount, this.#rowCount);
  }

  /** Operations that were forgotten, the oldest. */
  get droppedCount(): number {
    return this.#submittedCount - this.operationCount;
  }

  get stepCount(): number {
    return this.#steps.length;
  }

  get droppedStepCount(): number {
    return this.#stepCount - this.#steps.length;
  }

  /**
   * An operation is about to be sent.
   *
   * @param connection - See `BlockDevice.association`.
   * @returns A number for {@link complete} and {@link fence}.
   */
  submit(
    position: number,
    {
      volume,
      event,
      connection,
    }: { readonly volume: number; readonly event: number; readonly connection: number | undefined },
  ): number {
    const number = this.#submittedCount++;
    if (number === this.#rowCount && number < this.#capacity) this.#grow();
    const rows = this.#rows;
    const row = (number % this.#rowCount) * fieldCount;
    rows[row + field.position] = position;
    rows[row + field.volume] = volume;
    rows[row + field.submittedEvent] = event;
    rows[row + field.completedEvent] = 0;
    rows[row + field.fencedEvent] = 0;
    rows[row + field.submittedMs] = this.#clock.now();
    rows[row + field.outcome] = 0;
    rows[row + field.connection] = connection ?? 0;
    return number;
  }

  /** What {@link submit} gave a number to has an outcome; nothing happens if it is forgotten already. */
  complete(
    number: number,
    outcome: Outcome,
    { event, connection }: { readonly event: number; readonly connection: number | undefined },
  ): void {
    if (this.#isForgotten(number)) return;
    const rows = this.#rows;
    const row = (number % this.#rowCount) * fieldCount;
    rows[row + field.completedEvent] = event;
    rows[row + field.completedMs] = this.#clock.now();
    rows[row + field.outcome] = outcome.kind === "ok" ? okIndex : this.#outcomeNumber(outcome);
    rows[row + field.connection] = connection ?? 0;
  }

  /** An operation whose outcome is unknown can not be applied any more. */
  fence(number: number, event: number): void {
    if (this.#isForgotten(number)) return;
    this.#rows[(number % this.#rowCount) * fieldCount + field.fencedEvent] = event;
  }

  /** A control step begins; the result is for {@link endStep}. */
  beginStep(step: Pick<LoggedStep, "lts" | "kind" | "words" | "submittedEvent">): OpenStep {
    const { lts, kind, words, submittedEvent } = step;
    const open: OpenStep = {
      ...{ lts, kind, words, submittedEvent },
      completedEvent: undefined,
      submittedMs: this.#clock.now(),
      completedMs: undefined,
      outcome: undefined,
    };
    this.#steps[this.#stepCount++ % this.#stepCapacity] = open;
    return open;
  }

  endStep(step: OpenStep, { event, outcome }: { readonly event: number; readonly outcome: string }): void {
    step.completedEvent = event;
    step.completedMs = this.#clock.now();
    step.outcome = outcome;
  }

  /** The operations that are remembered, as they are now, in the order of their submission. */
  *operations(): Generator<LoggedOperation> {
    for (let number = this.droppedCount; number < this.#submittedCount; number++)
      yield this.#operation((number % this.#rowCount) * fieldCount);
  }

  /** The steps that are remembered, in the order in which they began. */
  *steps(): Generator<LoggedStep> {
    for (let number = this.droppedStepCount; number < this.#stepCount; number++)
      yield { ...this.#steps[number % this.#stepCapacity]! };
  }

  #operation(row: number): LoggedOperation {
    const at = (index: number): number => this.#rows[row + index]!;
    const outcome = at(field.outcome);
    const isInFlight = outcome === 0;
    const { lts, operationId } = operationAt(at(field.position));
    return {
      lts,
      operationId,
      volume: at(field.volume),
      submittedEvent: at(field.submittedEvent),
      completedEvent: isInFlight ? undefined : at(field.completedEvent),
      fencedEvent: at(field.fencedEvent) || undefined,
      submittedMs: at(field.submittedMs),
      completedMs: isInFlight ? undefined : at(field.completedMs),
      outcome: outcomes[outcome % outcomes.length]!,
      code: outcome < outcomes.length ? undefined : this.#codes[Math.floor(outcome / outcomes.length) - 1],
      connection: at(field.connection) || undefined,
    };
  }

  /** Codes are few, so each is kept once, and found by its number. */
  #outcomeNumber({ kind, code }: Exclude<Outcome, { kind: "ok" }>): number {
    let index = this.#codes.indexOf(code);
    if (index < 0) index = this.#codes.push(code) - 1;
    return outcomes.indexOf(kind) + outcomes.length * (index + 1);
  }

  #isForgotten(number: number): boolean {
    return number < this.#submittedCount - this.#rowCount;
  }

  /** While it grows, no row was used twice: each stays where it is. */
  #grow(): void {
    this.#rowCount = Math.min(this.#capacity, this.#rowCount * 2);
    const grown = new Float64Array(this.#rowCount * fieldCount);
    grown.set(this.#rows);
    this.#rows = grown;
  }
}
