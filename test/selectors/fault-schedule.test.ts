import { describe, expect, test } from "vitest";
import { type FaultOptions, FaultSchedule } from "../../src/selectors/fault-schedule.ts";
import { smallWorkload } from "../support/workloads.ts";

const { run } = smallWorkload(4n);

const options: FaultOptions = {
  crash: { every: 100 },
  resetConnections: { every: 30 },
  cutConnections: { every: 50, durationMs: { min: 10, max: 20 } },
  slow: { every: 40, delayMs: { min: 1, max: 5 }, ltsCount: { min: 3, max: 20 } },
};

const faultsOf = (of: FaultOptions, ltsCount = 12_000) => {
  const schedule = new FaultSchedule(run, of);
  return Array.from({ length: ltsCount }, (_, lts) =>
    schedule.stepsAfter(lts).map((step) => ({ lts, step })),
  ).flat();
};

describe("the fault schedule", () => {
  const faults = faultsOf(options);

  test.for([
    ["crash", 100],
    ["resetConnections", 30],
    ["cutConnections", 50],
    ["slow", 40],
  ] as const)("has one %s in the first half of every %d lts but the first", ([kind, every]) => {
    const found = faults.filter(({ step }) => step.kind === kind).map(({ lts }) => lts);
    expect(found.map((lts) => Math.floor(lts / every))).toEqual(
      Array.from({ length: 12_000 / every - 1 }, (_, index) => index + 1),
    );
    const jitters = found.map((lts) => lts % every);
    expect(Math.max(...jitters)).toBeLessThan(every / 2);
    expect(new Set(jitters).size).toBeGreaterThan(10);
  });

  test("draws durations and delays from all of their ranges", () => {
    const steps = faults.map(({ step }) => step);
    const seen = (values: readonly number[]) => [...new Set(values)].toSorted((a, b) => a - b);
    const cuts = steps.flatMap((step) => (step.kind === "cutConnections" ? [step] : []));
    const slows = steps.flatMap((step) => (step.kind === "slow" ? [step] : []));
    expect(seen(cuts.map(({ durationMs }) => durationMs))).toEqual([
      10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ]);
    expect(seen(slows.map(({ delayMs }) => delayMs))).toEqual([1, 2, 3, 4, 5]);
    expect(seen(slows.map(({ ltsCount }) => ltsCount)).length).toBe(18);
    // A delay says nothing of how long it lasts: 90 pairs are possible, 22 if both came from one number.
    expect(new Set(slows.map(({ delayMs, ltsCount }) => `${delayMs} ${ltsCount}`)).size).toBeGreaterThan(60);
  });

  test("is never slow twice at a time", () => {
    let until = 0;
    for (const { lts, step } of faults) {
      if (step.kind !== "slow") continue;
      expect(lts).toBeGreaterThanOrEqual(until);
      until = lts + step.ltsCount;
    }
  });

  test("leaves the faults of one kind where they are when another kind is asked for", () => {
    expect(faultsOf({ slow: options.slow! })).toEqual(faults.filter(({ step }) => step.kind === "slow"));
  });

  test("has none of those that are off", () => {
    expect(faultsOf({})).toEqual([]);
    expect(faultsOf({ crash: { every: 0 }, slow: { ...options.slow!, every: 0 } })).toEqual([]);
  });

  test("may have one after every lts", () => {
    expect(faultsOf({ crash: { every: 1 } }, 5).map(({ lts }) => lts)).toEqual([1, 2, 3, 4]);
  });

  test("refuses to be slow for longer than half of the time", () => {
    const slow = { every: 40, delayMs: { min: 1, max: 5 }, ltsCount: { min: 3, max: 21 } };
    expect(() => new FaultSchedule(run, { slow })).toThrow("slow for up to 21 lts, every 40");
  });
});
