import { describe, expect, test } from "vitest";
import { Ticker, ticksOf } from "../../../src/sut/initiator/ticker.ts";
import { SimulatedClock } from "../../../src/sut/simulated-clock.ts";

describe("Ticker", () => {
  test("counts every tenth of a second until it is stopped", async () => {
    const clock = new SimulatedClock();
    const ticker = new Ticker(clock);
    const seen: number[] = [];
    ticker.add(() => seen.push(ticker.tick));
    await clock.advance(299);
    expect(seen).toEqual([1, 2]);
    ticker.stop();
    expect(clock.pendingCount).toBe(0);
  });

  test("counts its timer rather than a clock, so that a process that stood still is not late", () => {
    const due: (() => void)[] = [];
    let nowMs = 0;
    const ticker = new Ticker({
      now: () => nowMs,
      setTimeout: (callback) => due.push(callback),
      clearTimeout: () => {},
    });
    nowMs = 3_600_000;
    due.shift()!();
    expect(ticker.tick).toBe(1);
  });

  test("covers a duration with whole ticks", () => {
    expect([1, 100, 101, 30_000].map(ticksOf)).toEqual([1, 1, 2, 300]);
  });
});
