/**
 * The coarse tick that the deadlines of the initiator count.
 *
 * Deadlines are counted in ticks rather than read from a clock: an event loop that stood still for ten
 * seconds has ticked once, and does not declare answers late that wait in the socket.
 *
 * @packageDocumentation
 */
import type { Clock } from "../clock.ts";

/** Milliseconds between two ticks, and so the accuracy of every deadline. */
const tickMs = 100;

/** Ticks that cover `durationMs`. */
export function ticksOf(durationMs: number): number {
  return Math.ceil(durationMs / tickMs);
}

/** Counts ticks and tells its listeners, from construction until {@link stop}. */
export class Ticker {
  tick = 0;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #handle: unknown;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#schedule();
  }

  add(listener: () => void): void {
    this.#listeners.add(listener);
  }

  remove(listener: () => void): void {
    this.#listeners.delete(listener);
  }

  stop(): void {
    this.#clock.clearTimeout(this.#handle);
    this.#listeners.clear();
  }

  #schedule(): void {
    this.#handle = this.#clock.setTimeout(() => {
      this.#schedule();
      this.tick += 1;
      for (const listener of this.#listeners) listener();
    }, tickMs);
  }
}
