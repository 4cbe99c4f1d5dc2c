import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Reconciler } from "../../src/model/reconciler.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { volumeView } from "../../src/model/view.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { completeAll, Replay, smallWorkload } from "../support/workloads.ts";

const seedArb = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

describe("the reconciler", () => {
  test("finds the state that doing all visits in order leaves, as of any lts", () => {
    fc.assert(
      fc.property(seedArb, fc.integer({ min: 0, max: 400 }), (seed, ltsMax) => {
        const workload = smallWorkload(seed);
        const tracker = new Tracker();
        completeAll(tracker, workload, ltsMax);
        const { states } = new Replay(workload).upTo(ltsMax);
        const reconciler = new Reconciler(workload, tracker);
        const into = new Float64Array(128);
        for (let pd = 0; pd < workload.geometry.extentCount; pd++) {
          const extent = workload.geometry.extent(pd);
          expect(reconciler.stateOf(extent, volumeView(tracker, 0, ltsMax), into)).toEqual([]);
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
        const tracker = new Tracker();
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
          new Reconciler(workload, tracker).stateOf(extent, volumeView(tracker, 0, ltsMax), into);
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
    const tracker = new Tracker();
    completeAll(tracker, workload, 300);
    const reconciler = new Reconciler(workload, tracker);
    const replay = new Replay(workload);
    const seen: number[] = [];
    for (let lts = 0; lts <= 300; lts++) {
      const state = replay.upTo(lts).states[130]!;
      if (state !== seen[0] && state !== 0) seen.unshift(state);
    }
    const pd = workload.geometry.pdOf(0, 130);
    expect([...reconciler.versions(workload.geometry.extent(pd), 2, volumeView(tracker, 0, 300))]).toEqual([
      ...seen,
      0,
    ]);
    expect(seen.length).toBeGreaterThan(3);
  });

  test("visits no more of an extent's history than it takes to explain every block", () => {
    const workload = smallWorkload(1n);
    const tracker = new Tracker();
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
    new Reconciler(counting, tracker).stateOf(
      extent,
      volumeView(tracker, 0, 3_000_000),
      new Float64Array(128),
    );
    expect(visits).toBeLessThan(60);
  });
});
