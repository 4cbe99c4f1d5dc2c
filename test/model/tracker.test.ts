import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Observation } from "../../src/model/operation-times.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { completeAll, smallWorkload } from "../support/workloads.ts";

describe("the tracker", () => {
  test("knows what is complete without a gap", () => {
    const tracker = new Tracker();
    for (const lts of [0, 1, 2, 3]) tracker.beginLts(lts);
    tracker.endLts(2);
    tracker.endLts(0);
    expect([tracker.ltsStartedMax, tracker.ltsCompleteMax]).toEqual([3, 0]);
    tracker.endLts(1);
    expect(tracker.ltsCompleteMax).toBe(2);
  });

  test("numbers events in the order in which they happened", () => {
    const tracker = new Tracker();
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
    const tracker = new Tracker();
    tracker.decide(positionOf(4, 2), 17, true);
    tracker.decide(positionOf(4, 2), 17, true);
    expect(() => tracker.decide(positionOf(4, 2), 17, false)).toThrow(
      "operation 2 of lts 4 is already decided on block 17: it happened",
    );
  });

  test("refuses completions of what was never submitted, and an end without a beginning", () => {
    const tracker = new Tracker();
    expect(() => tracker.complete(1, "ok")).toThrow(
      "operation 0 of lts 0 completes without having been submitted",
    );
    expect(() => tracker.endLts(3)).toThrow("lts 3 ends without having begun");
  });

  test("keeps only the exceptions, whatever went on, once all is complete and nobody looks", () => {
    const step = fc.record({ kind: fc.nat(9), pick: fc.nat(1000) });
    fc.assert(
      fc.property(fc.array(step, { minLength: 200, maxLength: 600 }), (steps) => {
        const tracker = new Tracker();
        const open: { lts: number; position: number }[] = [];
        const looks: Observation[] = [];
        let next = 0;
        const exceptions = new Set<number>();
        const finish = (index: number, kind: number): void => {
          const [{ lts, position }] = open.splice(index, 1) as [{ lts: number; position: number }];
          const outcome = kind === 7 ? "failed" : kind === 8 ? "unknown" : "ok";
          tracker.complete(position, outcome);
          if (outcome === "unknown") tracker.fence(position);
          if (outcome !== "ok") exceptions.add(position);
          tracker.endLts(lts);
        };
        for (const { kind, pick } of steps) {
          if (kind < 4 && open.length < 8) {
            const lts = next++;
            const position = positionOf(lts, 0);
            tracker.beginLts(lts);
            tracker.submit(position, { hasOverlap: kind === 0 });
            if (kind === 0) exceptions.add(position);
            open.push({ lts, position });
          } else if (kind < 9 && open.length > 0) finish(pick % open.length, kind);
          else if (looks.length < 3) looks.push(tracker.observe());
          else {
            const [look] = looks.splice(pick % 3, 1);
            tracker.observed(look!);
            tracker.release(look!);
          }
        }
        while (open.length > 0) finish(0, 1);
        for (const look of looks) {
          tracker.observed(look);
          tracker.release(look);
        }
        expect(tracker.timesHeld).toBe(exceptions.size);
        expect(tracker.inFlightCount).toBe(0);
        expect(tracker.ltsCompleteMax).toBe(next - 1);
      }),
      { numRuns: 100 },
    );
  });

  test("keeps the times of what an observation overlaps until that is released, and no longer", () => {
    const tracker = new Tracker();
    const perform = (lts: number): number => {
      tracker.beginLts(lts);
      tracker.submit(positionOf(lts, 0));
      tracker.complete(positionOf(lts, 0), "ok");
      tracker.endLts(lts);
      return positionOf(lts, 0);
    };
    const before = perform(0);
    const look = tracker.observe();
    const [during, other] = [perform(1), perform(2)];
    tracker.observed(look);
    const after = perform(3);
    expect(tracker.timesOf(before)).toBeUndefined();
    expect(tracker.timesOf(during)).toMatchObject({
      submitted: look.submitted + 1,
      completed: look.submitted + 2,
    });
    expect([...tracker.timesSince(look.submitted)].map(({ position }) => position)).toEqual([
      during,
      other,
      after,
    ]);
    tracker.release(look);
    expect(tracker.timesHeld).toBe(0);
    expect(() => tracker.release(look)).toThrow("an observation is over twice");
  });

  test("has an operation in doubt under way until its fence", () => {
    const tracker = new Tracker();
    const position = positionOf(0, 0);
    tracker.beginLts(0);
    tracker.submit(position);
    tracker.complete(position, "unknown");
    expect(tracker.timesOf(position)!.completed).toBe(Number.POSITIVE_INFINITY);
    const fence = tracker.fence(position);
    expect(tracker.timesOf(position)!.completed).toBe(fence);
    expect(() => tracker.fence(positionOf(0, 1))).toThrow(
      "operation 1 of lts 0 is fenced without being in doubt",
    );
  });

  test("takes back, at a crash, what the crash may have undone, and nothing else", () => {
    const tracker = new Tracker();
    const [lost, beneath, never] = [positionOf(0, 0), positionOf(0, 1), positionOf(0, 2)];
    tracker.beginLts(0);
    for (const position of [lost, beneath]) tracker.submit(position, { hasOverlap: true });
    tracker.submit(never);
    const times = { submitted: 1, completed: tracker.complete(lost, "ok") };
    tracker.complete(beneath, "ok");
    tracker.complete(never, "unknown");
    tracker.fence(never);
    tracker.endLts(0);
    tracker.decide(lost, 7, true);
    tracker.decide(beneath, 7, false);
    tracker.decide(never, 8, false);
    const told: unknown[] = [];
    const nothing = (): void => {};
    tracker.listen({
      ltsComplete: nothing,
      exception: nothing,
      snapshot: nothing,
      snapshotForgotten: nothing,
      rollback: nothing,
      decision: (...decision) => told.push(decision),
    });
    tracker.lose(lost, tracker.crashed(), times);
    expect([lost, beneath].map((position) => tracker.decisionOn(position, 7))).toEqual([
      undefined,
      undefined,
    ]);
    expect(tracker.decisionOn(never, 8)).toBe(false);
    expect(told).toEqual([
      [beneath, 7, undefined],
      [lost, 7, undefined],
    ]);
  });

  test("goes on from a saved state with nothing under way and all exceptions in force", () => {
    const before = new Tracker();
    completeAll(before, smallWorkload(3n), 5, new Map([[positionOf(4, 0), "unknown"]]));
    const exceptions = [before.exceptionOf(positionOf(4, 0))!];
    const decisions = [{ position: positionOf(4, 0), block: 9, happened: true }];
    const tracker = Tracker.resumed({
      event: before.lastEvent,
      ltsReserved: 20,
      ltsComplete: 5,
      exceptions,
      decisions,
      snapshots: [],
      rollbacks: [],
    });
    expect([tracker.ltsStartedMax, tracker.ltsCompleteMax, tracker.timesHeld]).toEqual([20, 20, 1]);
    expect(tracker.inDoubt).toEqual([positionOf(4, 0)]);
    expect(tracker.decisionOn(positionOf(4, 0), 9)).toBe(true);
    expect(tracker.event()).toBe(before.lastEvent + 1);
    expect(() => tracker.beginLts(20)).toThrow("lts 20 was begun before");
  });
});
