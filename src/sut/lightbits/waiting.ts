/**
 * Waiting for a service that acts in the background and may say "not now": with delays that double, with
 * jitter, and with a limit in all.
 *
 * @packageDocumentation
 */

import { type Clock, delay } from "../clock.ts";
import { type CallOptions, ServiceError, type Snapshot, type Volume } from "../port.ts";
import { RefusalError } from "./answer.ts";

interface Delays {
  readonly firstMs: number;
  /** Longest single delay. */
  readonly delayMsMax: number;
}

/** Between two looks at a state. */
const pollDelays: Delays = { firstMs: 1, delayMsMax: 1000 };
/** After "not now". */
const busyDelays: Delays = { firstMs: 25, delayMsMax: 4000 };

/** Tries of one call that may end in HTTP 500 or 504 before that is believed. */
export const targetErrorsMax = 5;

/** One wait for one thing: asks to be called between tries. */
class Backoff {
  readonly #delayMsMax: number;
  readonly #totalMs: number;
  readonly #random: () => number;
  readonly #clock: Clock;
  readonly #startMs: number;
  #nextMs: number;
  #waitCount = 0;

  constructor(
    options: Delays & { readonly totalMs: number; readonly random: () => number; readonly clock: Clock },
  ) {
    this.#nextMs = options.firstMs;
    this.#delayMsMax = options.delayMsMax;
    this.#totalMs = options.totalMs;
    this.#random = options.random;
    this.#clock = options.clock;
    this.#startMs = options.clock.now();
  }

  /** For messages: how long and how often has been waited. */
  get summary(): string {
    return `${((this.#clock.now() - this.#startMs) / 1000).toFixed(1)} s and ${this.#waitCount + 1} tries`;
  }

  /**
   * Waits for the next try.
   *
   * @param atLeastMs - What the other side asks for.
   * @returns `false`, at once, if the time is used up, or does not suffice for what is asked for.
   * @throws {ServiceError} `ERR_ABORTED`.
   */
  async wait(signal: AbortSignal | undefined, atLeastMs = 0): Promise<boolean> {
    const leftMs = this.#startMs + this.#totalMs - this.#clock.now();
    if (leftMs <= 0 || atLeastMs > leftMs) return false;
    const ownMs = this.#nextMs * (0.5 + this.#random() / 2);
    const delayMs = Math.min(Math.max(ownMs, atLeastMs), leftMs);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#delayMsMax);
    this.#waitCount += 1;
    try {
      await delay(this.#clock, delayMs, signal);
    } catch (cause) {
      throw new ServiceError("ERR_ABORTED", "the wait was cancelled", { cause });
    }
    return true;
  }
}

/** A volume or snapshot that something is expected of. */
export interface AwaitedObject<Shown extends Volume | Snapshot> {
  /** For messages, such as `volume 0f…`. */
  readonly what: string;
  readonly read: () => Promise<Shown>;
}

export class Patience {
  readonly #waitTimeoutMs: number;
  readonly #random: () => number;
  readonly #clock: Clock;

  /**
   * @param options.waitTimeoutMs - Limit of one wait in all.
   * @param options.random - Draws from [0, 1); spreads clients that wait for the same thing.
   */
  constructor(options: {
    readonly waitTimeoutMs: number;
    readonly random: () => number;
    readonly clock: Clock;
  }) {
    this.#waitTimeoutMs = options.waitTimeoutMs;
    this.#random = options.random;
    this.#clock = options.clock;
  }

  backoff(delays: Delays = busyDelays): Backoff {
    return new Backoff({
      ...delays,
      totalMs: this.#waitTimeoutMs,
      random: this.#random,
      clock: this.#clock,
    });
  }

  /**
   * Repeats a call for as long as the service says "not now".
   *
   * @param attempt - May be made more than once.
   * @param isNotNow - Which refusals say so.
   */
  async whileBusy<Value>(
    attempt: () => Promise<Value>,
    options?: CallOptions,
    isNotNow: (error: unknown) => boolean = isBusy,
  ): Promise<Value> {
    const backoff = this.backoff();
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof ServiceError) || !isNotNow(error)) throw error;
        await this.waitOn(backoff, error, options);
      }
    }
  }

  /** Repeats a call that only reads: also, a few times, after HTTP 500 and 504. */
  reading<Value>(attempt: () => Promise<Value>, options?: CallOptions): Promise<Value> {
    let targetErrorCount = 0;
    const isNotNow = (error: unknown) =>
      isBusy(error) || (isTargetError(error) && ++targetErrorCount < targetErrorsMax);
    return this.whileBusy(attempt, options, isNotNow);
  }

  /**
   * Looks at an object until it is as wanted.
   *
   * @param goal - What it is to become, for messages.
   * @throws {ServiceError} `ERR_TARGET` if it failed or is being deleted, `ERR_TIMEOUT` if it does not change.
   */
  async until<Shown extends Volume | Snapshot>(
    object: AwaitedObject<Shown> & { readonly first: Shown },
    goal: { readonly name: string; readonly isReached: (shown: Shown) => boolean },
    options?: CallOptions,
  ): Promise<Shown> {
    const polls = this.backoff(pollDelays);
    let shown = object.first;
    while (!goal.isReached(shown)) {
      const { state, sizeBytes } = shown;
      if (state === "failed" || state === "deleting" || state === "deleted") {
        throw new ServiceError("ERR_TARGET", `${object.what} was to become ${goal.name} and is ${state}`);
      }
      if (!(await polls.wait(options?.signal))) {
        throw new ServiceError(
          "ERR_TIMEOUT",
          `${object.what} is not ${goal.name} after ${polls.summary}: ${state}, ${sizeBytes} bytes`,
        );
      }
      shown = await object.read();
    }
    return shown;
  }

  /**
   * Deletes an object and waits until it is gone: not found, or in state Deleted.
   *
   * After an answer that leaves it open the object is looked at: what it shows decides.
   */
  async remove(
    object: AwaitedObject<Volume | Snapshot> & { readonly remove: () => Promise<unknown> },
    options?: CallOptions,
  ): Promise<void> {
    const backoff = this.backoff();
    for (let targetErrorCount = 0; ; ) {
      try {
        await object.remove();
        break;
      } catch (error) {
        if (!(error instanceof ServiceError) || !mayBeRemoved(error)) throw error;
        const state = await stateOf(object.read, error);
        if (state === "deleting" || state === "deleted") break;
        if (isTargetError(error)) targetErrorCount += 1;
        const again = isOccupied(error) || (isTargetError(error) && targetErrorCount < targetErrorsMax);
        if (!again) throw error;
        await this.waitOn(backoff, error, options);
      }
    }
    const polls = this.backoff(pollDelays);
    while ((await stateOf(object.read)) !== "deleted") {
      if (!(await polls.wait(options?.signal))) {
        throw new ServiceError("ERR_TIMEOUT", `${object.what} is not gone after ${polls.summary}`);
      }
    }
  }

  /**
   * Waits for another try after a refusal, at least as long as it asks for.
   *
   * @param holder - Finds out, for the message, what is still in the way.
   * @throws {ServiceError} `ERR_BUSY` if there is no time for another.
   */
  async waitOn(
    backoff: Backoff,
    refusal: ServiceError,
    options: CallOptions | undefined,
    holder?: () => Promise<string | undefined>,
  ): Promise<void> {
    const askedMs = refusal instanceof RefusalError ? refusal.retryAfterMs : undefined;
    if (await backoff.wait(options?.signal, askedMs)) return;
    const asks = askedMs === undefined ? "" : `; it asks to wait ${askedMs / 1000} s`;
    const held = await holder?.();
    throw new ServiceError(
      "ERR_BUSY",
      `${refusal.message}; still so after ${backoff.summary}${asks}${held === undefined ? "" : `: ${held}`}`,
      { cause: refusal },
    );
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof ServiceError && error.code === "ERR_BUSY";
}

/** As {@link isBusy}, for calls that give no name: a conflict can only be with another operation. */
export function isOccupied(error: unknown): boolean {
  return isBusy(error) || (error instanceof RefusalError && error.httpStatus === 409);
}

/** The service failed at its work, and said so. */
export function isTargetError(error: unknown): boolean {
  return error instanceof RefusalError && (error.httpStatus === 500 || error.httpStatus === 504);
}

/** Refusals and failures after which an object may be going, or gone, all the same. */
function mayBeRemoved(error: ServiceError): boolean {
  if (isOccupied(error) || isTargetError(error)) return true;
  return ["ERR_INVALID_REQUEST", "ERR_TIMEOUT", "ERR_UNREACHABLE", "ERR_BAD_ANSWER"].includes(error.code);
}

/**
 * State of an object, where one that is not found is deleted.
 *
 * @param first - What is thrown if the object cannot be read: it says more than the failure to find out.
 */
async function stateOf(
  read: () => Promise<Volume | Snapshot>,
  first?: ServiceError,
): Promise<Volume["state"]> {
  try {
    return (await read()).state;
  } catch (error) {
    if (!(error instanceof ServiceError) || error.code === "ERR_ABORTED") throw error;
    if (error.code === "ERR_NOT_FOUND") return "deleted";
    throw first ?? error;
  }
}
