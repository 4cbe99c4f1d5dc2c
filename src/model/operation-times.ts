/**
 * When operations and looks at volumes were under way, in numbers of one counter of events.
 *
 * @packageDocumentation
 */

export type OperationOutcome = "ok" | "failed" | "unknown";

/** When an operation was under way, and what came of it; updated in place as it goes on. */
export interface OperationTimes {
  readonly position: number;
  /** Event of its submission. */
  readonly submitted: number;
  /** Event of its completion, of one in doubt of its fence; infinite before. */
  completed: number;
  outcome: OperationOutcome | "inFlight";
  /** Event of the crash that may have dropped it after it had completed; infinite if none has. */
  lostAt: number;
  /** Another operation on some of its blocks was under way at the same time. */
  hasOverlap: boolean;
  /** What reads showed of its blocks while it was under way or in doubt, by block of the volume. */
  reads: Map<number, RememberedRead[]> | undefined;
}

/** A read of one block. */
export interface ReadInterval {
  /** p for data written at p, 0 for zeros of whatever origin. */
  readonly content: number;
  readonly submitted: number;
  readonly completed: number;
  /** What it could have shown. */
  readonly among: readonly ReadableWrite[];
}

/** A read that the operations it could show remember. */
export interface RememberedRead extends ReadInterval {
  /** Rollbacks of the volume before the part of its history that was read; other parts have no order with it. */
  readonly branch: number;
  /** Crashes of the target before it: what was seen before one need not be there after it. */
  readonly epoch: number;
}

/** An operation that a read of one block could show. */
export interface ReadableWrite {
  readonly state: number;
  /** Absent for what completed long ago. */
  readonly times: OperationTimes | undefined;
  /** Deallocation that may leave the old data. */
  readonly mayBeIgnored: boolean;
}

/** Something that looks at volumes while operations go on: a read, a snapshot call. */
export interface Observation {
  readonly submitted: number;
  /** Infinite until it is over. */
  completed: number;
}
