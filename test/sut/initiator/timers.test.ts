import { describe, expect, test } from "vitest";
import { reconnectDelayMs, reconnectPolicyDefault } from "../../../src/sut/initiator/reconnect.ts";
import { delay, Ticker, ticksOf, type Timers } from "../../../src/sut/initiator/timers.ts";

/** Timers that fire when the test says so. */
class ManualTimers implements Timers {
  readonly pending = new Map<number, () => void>();
  #next = 0;

  setTimeout(callback: () => void): unknown {
    this.pending.set(++this.#next, callback);
    return this.#next;
  }

  clearTimeout(handle: unknown): void {
    this.pending.delete(handle as number);
  }

  fire(): void {
    const callbacks = [...this.pending.values()];
    this.pending.clear();
    for (const callback of callbacks) callback();
  }
}

describe("Ticker", () => {
  test("counts its timer rather than a clock, so that a process that stood still is not late", () => {
    const timers = new ManualTimers();
    const ticker = new Ticker(timers);
    const seen: number[] = [];
    ticker.add(() => seen.push(ticker.tick));
    timers.fire();
    timers.fire();
    expect(seen).toEqual([1, 2]);
    ticker.stop();
    expect(timers.pending.size).toBe(0);
  });

  test("covers a duration with whole ticks", () => {
    expect([1, 100, 101, 30_000].map(ticksOf)).toEqual([1, 1, 2, 300]);
  });
});

describe("delay", () => {
  test("ends with its signal and leaves no timer behind", async () => {
    const timers = new ManualTimers();
    const abort = new AbortController();
    const waiting = delay(timers, 1000, abort.signal);
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    expect(timers.pending.size).toBe(0);
    await expect(delay(timers, 1000, abort.signal)).rejects.toThrow("enough");
  });
});

describe("reconnecting", () => {
  test("backs off from 0.2 to 5 seconds, with jitter down to the half", () => {
    const delays = (random: number) =>
      [1, 2, 3, 5, 6, 60].map((attempt) =>
        reconnectDelayMs({ ...reconnectPolicyDefault, random: () => random }, attempt),
      );
    expect(delays(0)).toEqual([100, 200, 400, 1600, 2500, 2500]);
    expect(delays(0.5)).toEqual([150, 300, 600, 2400, 3750, 3750]);
  });
});
