/**
 * The port for trouble: what can be done to a target to see whether its promises hold.
 *
 * A call resolves when what it asks for has happened, so that what follows meets a target in that condition.
 * Data that is wrong on purpose is another matter: see `faults.ts`.
 *
 * @packageDocumentation
 */

/** Trouble between hosts and a target that goes on running. Only the data path is meant, not the control plane. */
export interface ConnectionFaults {
  /** Resets every connection at once; hosts may connect anew. */
  resetConnections(): Promise<void>;
  /** Makes the target stand still, or go on: connections stay, and nothing that arrives is looked at. */
  setPaused(isPaused: boolean): Promise<void>;
  /** Delays whatever arrives from now on, on each connection, by 0 (not at all) to {@link delayMsMax} ms. */
  setDelay(delayMs: number): Promise<void>;
  /** Cuts hosts off until they are let back: every connection is reset, and none can be made. */
  setCut(isCut: boolean): Promise<void>;
}

/**
 * Trouble that a target can be put to; calls that start or end it take their turns.
 *
 * Every method rejects with a {@link TargetFaultError} if the target cannot do it, does not say in time that
 * it did, or ends meanwhile. A target that starts again is free of pauses, delays and cuts.
 */
export interface TargetFaults extends ConnectionFaults {
  /**
   * Ends the target at once, as a power failure would, and starts it again with what it had made durable.
   *
   * It serves again at the same addresses when this resolves. Calls in flight fail; open devices go on by
   * themselves.
   */
  crash(): Promise<void>;
  /** Ends the target in order; nobody answers until it is started again. */
  stop(): Promise<void>;
  /** Starts the target at the same addresses, after ending in order one that still runs. */
  restart(): Promise<void>;
}

/** Longest delay that a target can be told, in ms. */
export const delayMsMax = 600_000;

/** A fault was not brought about; the message says which and why. */
export class TargetFaultError extends Error {
  override readonly name = "TargetFaultError";
}
