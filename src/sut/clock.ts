/**
 * Time on the host's side: what the hour is, and a way to be called later.
 *
 * Everything that waits for a system under test takes a clock, so that a test can bring one that does not wait
 * (`simulated-clock.ts`). What a child process or a served target does is left to real time.
 *
 * @packageDocumentation
 */

export interface Clock {
  /**
   * Milliseconds since 1970 as this process saw them when it started, counted on from there: it never goes back,
   * whatever happens to the time of day.
   */
  now(): number;
  /**
   * Calls `callback` once, when `delayMs` have passed; callbacks that are due at the same time come in the order
   * in which they were set.
   *
   * @param delayMs - At most 2^31 - 1; less than 1 counts as 1.
   * @returns A handle for {@link Clock.clearTimeout}.
   */
  setTimeout(callback: () => void, delayMs: number): unknown;
  /** Forgets a callback; one that was called, or was forgotten before, and `undefined` are fine. */
  clearTimeout(handle: unknown): void;
}

/** Asked for once: the question costs as much as the time itself. */
const origin = performance.timeOrigin;

export const systemClock: Clock = {
  now: () => origin + performance.now(),
  setTimeout: (callback, delayMs) => setTimeout(callback, delayMs),
  clearTimeout: (handle) => clearTimeout(handle as NodeJS.Timeout | undefined),
};

/** Resolves after `delayMs`; rejects with the signal's reason if that comes first. */
export function delay(clock: Clock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      clock.clearTimeout(handle);
      reject(signal?.reason);
    };
    const handle = clock.setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, delayMs);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
