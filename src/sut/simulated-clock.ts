/**
 * A clock that waits for nobody: its time moves when it is told to, or whenever this process has nothing to do.
 *
 * Sockets stay real. So before every step, and after every callback, the clock looks at the event loop until it
 * has been quiet for a while: no event of a socket, pipe or thread in {@link SimulatedClockOptions.quietTurns}
 * turns in a row. An answer that lies in a socket of this process is read before time moves, and is never
 * declared late. This holds for peers in this process, because on loopback what was sent has arrived. It does
 * not hold for a peer in another process, for files, and for work that is cut into turns of its own: these take
 * real time that no one here can see. For them there is `quietMs`, which is a guess like any time-out.
 *
 * While there is always something to do, time stands still, but not for ever: see
 * {@link SimulatedClockOptions.turnsMax}.
 *
 * @packageDocumentation
 */
import { setImmediate as nextTurn, setTimeout as realDelay } from "node:timers/promises";
import type { Clock } from "./clock.ts";

export interface SimulatedClockOptions {
  /** What {@link SimulatedClock.now} starts with; 0 if absent. */
  readonly startMs?: number;
  /** Turns of the event loop without an event before time moves; 16 if absent. */
  readonly quietTurns?: number;
  /** Real milliseconds without an event that are waited besides; none if absent. */
  readonly quietMs?: number;
  /**
   * Turns after which time moves although the loop was never quiet; 1000 if absent. A callback that was set
   * within these turns is not called: whatever it is the deadline of is being worked on.
   */
  readonly turnsMax?: number;
}

export interface AdvanceLimits {
  /** Longest single step where no callback is due sooner, in simulated milliseconds; 1000 if absent. */
  readonly stepMs?: number;
  /** Simulated milliseconds after which waiting is an error; an hour if absent. */
  readonly limitMs?: number;
}

interface Timer {
  readonly dueMs: number;
  /** Turn in which it was set. */
  readonly setTurn: number;
  readonly callback: () => void;
}

/** Longest delay that a timer of Node takes; it calls back at once for more. */
const delayMsMax = 2 ** 31 - 1;

export class SimulatedClock implements Clock {
  readonly #quietTurns: number;
  readonly #quietMs: number;
  readonly #turnsMax: number;
  /** In the order in which they come. */
  readonly #timers: Timer[] = [];
  #nowMs: number;
  #turnCount = 0;
  /** Timers that were ever set: whoever sets one has just begun something. */
  #setCount = 0;
  #mover: { readonly isAutomatic: boolean } | undefined;
  #wake: (() => void) | undefined;

  constructor(options: SimulatedClockOptions = {}) {
    this.#nowMs = options.startMs ?? 0;
    this.#quietTurns = options.quietTurns ?? 16;
    this.#quietMs = options.quietMs ?? 0;
    this.#turnsMax = options.turnsMax ?? 1000;
  }

  now(): number {
    return this.#nowMs;
  }

  /** Callbacks that are still to come. */
  get pendingCount(): number {
    return this.#timers.length;
  }

  /** @throws {RangeError} A delay that a real clock could not keep. */
  setTimeout(callback: () => void, delayMs: number): unknown {
    if (!(delayMs <= delayMsMax)) {
      throw new RangeError(`a timer of ${delayMs} ms: at most ${delayMsMax} ms can be waited`);
    }
    const dueMs = this.#nowMs + Math.max(1, delayMs);
    const timer: Timer = { dueMs, setTurn: this.#turnCount, callback };
    const before = this.#timers.findLastIndex((other) => other.dueMs <= dueMs);
    this.#timers.splice(before + 1, 0, timer);
    this.#setCount += 1;
    this.#wake?.();
    return timer;
  }

  clearTimeout(handle: unknown): void {
    const index = this.#timers.indexOf(handle as Timer);
    if (index !== -1) this.#timers.splice(index, 1);
  }

  /**
   * Moves time by `durationMs`, calling what falls due in order, with quiet before each.
   *
   * @throws {Error} What a callback throws; time then stands where that happened.
   */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    await this.#moveBy({ isAutomatic: false }, async () => {
      for (;;) {
        const isQuiet = await this.#settle();
        if (this.#nowMs >= endMs && !this.#isDueBy(endMs)) return;
        this.#step(endMs, isQuiet);
      }
    });
  }

  /**
   * Moves time from callback to callback until `condition` holds, which is asked when all is quiet.
   *
   * @returns The simulated milliseconds that it took; 0 if no time had to pass.
   * @throws {Error} The condition does not hold after `limitMs`.
   */
  async advanceUntil(condition: () => boolean, limits: AdvanceLimits = {}): Promise<number> {
    const { stepMs = 1000, limitMs = 3_600_000 } = limits;
    const startMs = this.#nowMs;
    await this.#moveBy({ isAutomatic: false }, async () => {
      for (;;) {
        const isQuiet = await this.#settle();
        if (condition()) return;
        if (this.#nowMs >= startMs + limitMs) {
          const left = `pending timers: ${this.#timers.length}`;
          throw new Error(`what was waited for has not come within ${limitMs} simulated ms; ${left}`);
        }
        this.#step(Math.min(this.#nowMs + stepMs, startMs + limitMs), isQuiet);
      }
    });
    return this.#nowMs - startMs;
  }

  /** Moves time until `promise` has settled, and settles as it did. */
  async advanceThrough<Value>(promise: Promise<Value>, limits: AdvanceLimits = {}): Promise<Value> {
    let isSettled = false;
    const note = () => void (isSettled = true);
    promise.then(note, note);
    await this.advanceUntil(() => isSettled, limits);
    return promise;
  }

  /**
   * From now on, jumps to the next callback whenever the event loop is quiet, until the result is disposed.
   *
   * It keeps a processor busy as long as any timer is pending. What a callback throws is an unhandled rejection.
   */
  runAutomatically(): Disposable {
    const mover = { isAutomatic: true };
    void this.#moveBy(mover, async () => {
      for (;;) {
        const isQuiet = await this.#settle();
        if (this.#mover !== mover) return;
        const next = this.#timers[0];
        if (next === undefined) await this.#untilWoken();
        else this.#step(next.dueMs, isQuiet);
      }
    });
    return {
      [Symbol.dispose]: () => {
        if (this.#mover === mover) this.#mover = undefined;
        this.#wake?.();
      },
    };
  }

  /** To the next callback, or to `untilMs` if there is none before. */
  #step(untilMs: number, isQuiet: boolean): void {
    const next = this.#timers[0];
    if (next === undefined || next.dueMs > untilMs) {
      this.#nowMs = untilMs;
    } else if (!isQuiet && this.#turnCount - next.setTurn < this.#turnsMax) {
      // Time goes on, but not past it; who works under it will take it back, or it will be old enough.
      this.#nowMs += (next.dueMs - this.#nowMs) / 2;
    } else {
      this.#nowMs = next.dueMs;
      this.#timers.shift();
      next.callback();
    }
  }

  #isDueBy(untilMs: number): boolean {
    const next = this.#timers[0];
    return next !== undefined && next.dueMs <= untilMs;
  }

  /** Waits until the loop has been quiet for long enough; `false` if it never was. */
  async #settle(): Promise<boolean> {
    let seenCount = this.#activityCount();
    let quietCount = 0;
    for (let turn = 0; turn < this.#turnsMax; turn++) {
      const isLast = quietCount === this.#quietTurns - 1;
      if (isLast && this.#quietMs > 0) await realDelay(this.#quietMs);
      else await nextTurn();
      this.#turnCount += 1;
      const count = this.#activityCount();
      quietCount = count === seenCount ? quietCount + 1 : 0;
      if (quietCount === this.#quietTurns) return true;
      seenCount = count;
    }
    return false;
  }

  /** Grows with every event of a socket, pipe or thread that the loop handles, and with every timer. */
  #activityCount(): number {
    return performance.nodeTiming.uvMetricsInfo.events + this.#setCount;
  }

  #untilWoken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }

  async #moveBy(mover: { readonly isAutomatic: boolean }, move: () => Promise<void>): Promise<void> {
    if (this.#mover !== undefined) {
      const by = this.#mover.isAutomatic ? "by itself" : "by another call";
      throw new Error(`the simulated clock is being moved ${by}: only one may move it at a time`);
    }
    this.#mover = mover;
    try {
      await move();
    } finally {
      if (this.#mover === mover) this.#mover = undefined;
    }
  }
}
