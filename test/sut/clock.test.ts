import { describe, expect, test } from "vitest";
import { delay, systemClock } from "../../src/sut/clock.ts";
import { SimulatedClock } from "../../src/sut/simulated-clock.ts";

describe("the system's clock", () => {
  test("tells the time of day and does not go back", () => {
    const first = systemClock.now();
    expect(Math.abs(first - Date.now())).toBeLessThan(1000);
    expect(systemClock.now()).toBeGreaterThanOrEqual(first);
  });

  test("calls back, unless that is taken back", async () => {
    const calls: string[] = [];
    const handle = systemClock.setTimeout(() => calls.push("taken back"), 1);
    await new Promise<void>((resolve) => {
      systemClock.setTimeout(() => calls.push("first"), 2);
      systemClock.setTimeout(resolve, 2);
      systemClock.clearTimeout(handle);
    });
    expect(calls).toEqual(["first"]);
    systemClock.clearTimeout(handle);
    systemClock.clearTimeout(undefined);
  });
});

describe("delay", () => {
  test("ends with its signal and leaves no timer behind", async () => {
    const clock = new SimulatedClock();
    const abort = new AbortController();
    const waiting = delay(clock, 1000, abort.signal);
    expect(clock.pendingCount).toBe(1);
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    expect(clock.pendingCount).toBe(0);
    await expect(delay(clock, 1000, abort.signal)).rejects.toThrow("enough");
  });

  test("ends with its time, and the signal means nothing any more", async () => {
    const clock = new SimulatedClock();
    const abort = new AbortController();
    const waiting = delay(clock, 1000, abort.signal);
    await clock.advance(1000);
    abort.abort(new Error("too late"));
    await expect(waiting).resolves.toBe(undefined);
  });
});
