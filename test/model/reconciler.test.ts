import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Reconciler } from "../../src/model/reconciler.ts";
import { MemoryTracker } from "../../src/model/tracker.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { completeAll, Replay, smallWorkload } from "../support/workloads.ts";

const seedArb = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

describe("the reconciler", () => {
  test("finds the state that doing all visits in order leaves, as of any lts", () => {
    fc.assert(
      fc.property(seedArb, fc.integer({ min: 0, max: 400 }), (seed, ltsMax) => {
        const workload = smallWorkload(seed);
        const tracker = new MemoryTracker();
        completeAll(tracker, workload, ltsMax);
        const { states } = new Replay(workload).upTo(ltsMax);
        const reconciler = new Reconciler(workload, tracker);
        const into = new Float64Array(128);
        for (let pd = 0; pd < workload.geometry.extentCount; pd++) {
          const extent = workload.geometry.extent(pd);
          expect(reconciler.stateAt(extent, ltsMax, into)).toEqual([]);
          expect(into.subarray(0, extent.blockCount)).toEqual(
            states.subarray(extent.firstBlock, extent.firstBlock + extent.blockCount),
          );
        }
      }),
      { numRuns: 40 },
    );
  });

  test("leaves out what the target refused", () => {
    fc.assert(
      fc.property(seedArb, fc.integer({ min: 5, max: 100 }), fc.nat(), (seed, ltsMax, salt) => {
        const workload = smallWorkload(seed);
        const refused = new Set<number>();
        for (let lts = 0; lts <= ltsMax; lts++)
          for (const { operationId } of workload.visit(lts).operations)
            if ((lts * 7 + operationId * 13 + salt) % 4 === 0) refused.add(positionOf(lts, operationId));
        const tracker = new MemoryTracker();
        completeAll(
          tracker,
          workload,
          ltsMax,
          new Map([...refused].map((position) => [position, "failed" as const])),
        );
        const { states } = new Replay(workload).upTo(ltsMax, (position) => refused.has(position));
        const into = new Float64Array(128);
        for (let pd = 0; pd < workload.geometry.extentCount; pd++) {
          const extent = workload.geometry.extent(pd);
          new Reconciler(workload, tracker).stateAt(extent, ltsMax, into);
          expect(into.subarray(0, extent.blockCount)).toEqual(
            states.subarray(extent.firstBlock, extent.firstBlock + extent.blockCount),
          );
        }
      }),
      { numRuns: 20 },
    );
  });

  test("lists all versions of a block, newest first, down to never touched", () => {
    const workload = smallWorkload(5n);
    const tracker = new MemoryTracker();
    completeAll(tracker, workload, 300);
    const reconciler = new Reconciler(workload, tracker);
    const replay = new Replay(workload);
    const seen: number[] = [];
    for (let lts = 0; lts <= 300; lts++) {
      const state = replay.upTo(lts).states[130]!;
      if (state !== seen[0] && state !== 0) seen.unshift(state);
    }
    const pd = workload.geometry.pdOf(0, 130);
    expect([...reconciler.versions(workload.geometry.extent(pd), 2, 300)]).toEqual([...seen, 0]);
    expect(seen.length).toBeGreaterThan(3);
  });

  test("visits no more of an extent's history than it takes to explain every block", () => {
    const workload = smallWorkload(1n);
    const tracker = new MemoryTracker();
    completeAll(tracker, workload, 0);
    let visits = 0;
    const counting = Object.create(workload, {
      visit: {
        value: (lts: number) => {
          visits++;
          return workload.visit(lts);
        },
      },
    }) as typeof workload;
    const extent = workload.geometry.extent(workload.window.pd(3_000_000));
    new Reconciler(counting, tracker).stateAt(extent, 3_000_000, new Float64Array(128));
    expect(visits).toBeLessThan(60);
  });
});

describe("the tracker", () => {
  test("knows what is complete without a gap", () => {
    const tracker = new MemoryTracker();
    for (const lts of [0, 1, 2, 3]) tracker.beginLts(lts);
    tracker.endLts(2);
    tracker.endLts(0);
    expect([tracker.ltsStartedMax, tracker.ltsCompleteMax]).toEqual([3, 0]);
    tracker.endLts(1);
    expect(tracker.ltsCompleteMax).toBe(2);
  });

  test("numbers events in the order in which they happened", () => {
    const tracker = new MemoryTracker();
    tracker.beginLts(0);
    const events = [
      tracker.submit(1),
      tracker.submit(2),
      tracker.complete(2, "ok"),
      tracker.event(),
      tracker.complete(1, "unknown"),
    ];
    expect(events).toEqual([...events].sort((a, b) => a - b));
    expect(new Set(events).size).toBe(5);
    expect(tracker.inDoubt).toEqual([1]);
    expect(tracker.inFlightCount).toBe(0);
  });

  test("refuses a second opinion on an operation in doubt", () => {
    const tracker = new MemoryTracker();
    tracker.decide(positionOf(4, 2), 17, true);
    tracker.decide(positionOf(4, 2), 17, true);
    expect(() => tracker.decide(positionOf(4, 2), 17, false)).toThrow(
      "operation 2 of lts 4 is already decided on block 17: it happened",
    );
  });

  test("refuses completions of what was never submitted, and an end without a beginning", () => {
    const tracker = new MemoryTracker();
    expect(() => tracker.complete(1, "ok")).toThrow(
      "operation 0 of lts 0 completes without having been submitted",
    );
    expect(() => tracker.endLts(3)).toThrow("lts 3 ends without having begun");
  });
});
