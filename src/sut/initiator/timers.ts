/**
 * Time for the initiator: a way to be called later, and the coarse tick that deadlines count.
 *
 * Deadlines are counted in ticks rather than read from a clock: an event loop that stood still for ten
 * seconds has ticked once, and does not declare answers late that wait in the socket.
 *
 * @packageDocumentation
 */

/** What the initiator needs of a scheduler; tests bring their own. */
export interface Timers {
  setTimeout(callback: () => void, delayMs: number): unknown;
  clearTimeout(handle: unknown): void;
}

export const systemTimers: Timers = {
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** Milliseconds between two ticks, and so the accuracy of every deadline. */
const tickMs = 100;

/** Ticks that cover `durationMs`. */
export function ticksOf(durationMs: number): number {
  return Math.ceil(durationMs / tickMs);
}

/** Counts ticks and tells its listeners, from construction until {@link stop}. */
export class Ticker {
  tick = 0;
  readonly #timers: Timers;
  readonly #listeners = new Set<() => void>();
  #handle: unknown;

  constructor(timers: Timers) {
    this.#timers = timers;
    this.#schedule();
  }

  add(listener: () => void): void {
    this.#listeners.add(listener);
  }

  remove(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  stop(): void {
    this.#timers.clearTimeout(this.#handle);
    this.#listeners.clear();
  }

  #schedule(): void {
    this.#handle = this.#timers.setTimeout(() => {
      this.#schedule();
      this.tick += 1;
      for (const listener of this.#listeners) listener();
    }, tickMs);
  }
}

/** Resolves after `delayMs`; rejects with the signal's reason if that comes first. */
export function delay(timers: Timers, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timers.clearTimeout(handle);
      reject(signal?.reason);
    };
    const handle = timers.setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
