/**
 * Volumes that were put back to snapshots: the model, which keeps nothing, against copies of every snapshot.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DiffChecker } from "../../src/model/diff-checker.ts";
import { Reconciler, sameContent } from "../../src/model/reconciler.ts";
import { SnapshotCall } from "../../src/model/snapshot-call.ts";
import type { SnapshotRecord } from "../../src/model/snapshot-record.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { liveView, snapshotView, type View, volumeView } from "../../src/model/view.ts";
import { answer } from "../support/answers.ts";
import type { ScheduledWrite } from "../support/brute-force/execution.ts";
import { coldSnapshot, completeAll, Replay, smallWorkload } from "../support/workloads.ts";
import { ToldHistory } from "./told-history.ts";

const stepsArb = fc.array(
  fc.record({ ltsCount: fc.integer({ min: 1, max: 25 }), rollsBack: fc.boolean(), pick: fc.nat(99) }),
  { minLength: 2, maxLength: 8 },
);

/** A history of snapshots and rollbacks, and a copy of what each snapshot and the volume hold. */
function history(seed: bigint, steps: readonly { ltsCount: number; rollsBack: boolean; pick: number }[]) {
  const workload = smallWorkload(seed);
  const tracker = new Tracker();
  const replay = new Replay(workload);
  const taken: { record: SnapshotRecord; states: Float64Array }[] = [];
  for (const { ltsCount, rollsBack, pick } of steps) {
    const ltsMax = tracker.ltsCompleteMax + ltsCount;
    completeAll(tracker, workload, ltsMax);
    replay.upTo(ltsMax);
    const target = rollsBack ? taken[pick % Math.max(1, taken.length)] : undefined;
    if (target === undefined)
      taken.push({ record: coldSnapshot(tracker, taken.length), states: replay.states.slice() });
    else {
      replay.states.set(target.states);
      tracker.rolledBack({ volume: 0, afterLts: ltsMax, record: target.record });
    }
  }
  return { workload, tracker, taken, states: replay.states, reconciler: new Reconciler(workload, tracker) };
}

const historyArb = fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), stepsArb);

describe("of a volume that was put back to snapshots", () => {
  test("the reconciler knows the volume and all snapshots, of whatever branch", () => {
    fc.assert(
      fc.property(historyArb, ([seed, steps]) => {
        const { workload, tracker, taken, states, reconciler } = history(seed, steps);
        const into = new Float64Array(128);
        const expectStates = (view: View, all: Float64Array): void => {
          for (let pd = 0; pd < workload.geometry.extentCount; pd++) {
            const { firstBlock, blockCount } = workload.geometry.extent(pd);
            expect(reconciler.stateOf(workload.geometry.extent(pd), view, into)).toEqual([]);
            expect(into.subarray(0, blockCount)).toEqual(all.subarray(firstBlock, firstBlock + blockCount));
          }
        };
        expectStates(volumeView(tracker, 0, tracker.ltsCompleteMax), states);
        for (const { record, states: copy } of taken) expectStates(snapshotView(tracker, record), copy);
      }),
      { numRuns: 60 },
    );
  });

  test("the diff checker accepts what differs between any two snapshots, and misses no block", () => {
    fc.assert(
      fc.property(historyArb, fc.nat(), ([seed, steps], salt) => {
        const { workload, tracker, taken, reconciler } = history(seed, steps);
        const checker = new DiffChecker(workload, tracker, reconciler);
        const promise = { granularityBlocks: 1, chunkBlocks: 64, precision: "covering" } as const;
        for (const base of taken)
          for (const { record: snapshot, states } of taken) {
            if (snapshot.snapshot <= base.record.snapshot) continue;
            const judge = (blocks: Iterable<number>): readonly string[] => {
              const question = { volume: 0, snapshot, base: base.record, blockCount: states.length, promise };
              const pages = [answer(blocks)];
              return checker.check(question, pages, pages).violations.map((violation) => violation.class);
            };
            const all = [...states.keys()];
            const changed = all.filter((block) => !sameContent(states[block]!, base.states[block]!));
            const same = all.filter((block) => states[block] === base.states[block]);
            expect(judge(changed)).toEqual([]);
            if (changed.length > 0)
              expect(judge(changed.toSpliced(salt % changed.length, 1))).toEqual(["omission"]);
            if (same.length > 0)
              expect(judge([...changed, same[salt % same.length]!])).toEqual(["over-report"]);
          }
      }),
      { numRuns: 40 },
    );
  });

  const write = (content: number, submitted: number, completed: number): ScheduledWrite => ({
    id: content,
    volume: 0,
    blocks: [0, 1],
    content,
    submitted,
    completed,
    outcome: "ok",
    fua: false,
    lts: content - 1,
  });

  /** The second write was under way around the snapshot, and a read has shown it; then the volume is put back. */
  function putBack() {
    const writes = [write(1, 1, 2), write(2, 3, 8)];
    const told = new ToldHistory(
      { volumeCount: 1, blockCount: 2, writes },
      { judgedAfter: 0, asAtRest: false, unknownAtOnce: false, hasRefused: false },
    );
    let record!: SnapshotRecord;
    told.happen([
      ...told.writeEvents(),
      ...told.snapshotEvents({ submitted: 4, completed: 6 }, 0, ([taken]) => {
        record = taken!;
      }),
      ...told.readEvents([{ volume: 0, block: 0, content: 2, submitted: 5, completed: 7 }]),
    ]);
    const { tracker } = told;
    tracker.rolledBack({ volume: 0, afterLts: tracker.ltsCompleteMax, record });
    const showsOnVolume = (content: number): boolean => {
      told.isRight = true;
      const look = tracker.observe();
      tracker.observed(look);
      told.judge(liveView(tracker, 0, look), [{ block: 0, content }]);
      tracker.release(look);
      return told.isRight;
    };
    const showsInSnapshot = (content: number): boolean => {
      told.isRight = true;
      told.judge(snapshotView(tracker, record), [{ block: 0, content }]);
      return told.isRight;
    };
    return { showsOnVolume, showsInSnapshot };
  }

  test("the volume may show either side of the cut, whatever it showed before, and is held to it", () => {
    const { showsOnVolume, showsInSnapshot } = putBack();
    expect(showsOnVolume(1)).toBe(true);
    expect(showsOnVolume(2)).toBe(false);
    expect(showsInSnapshot(2)).toBe(false);
    expect(showsInSnapshot(1)).toBe(true);
  });

  test("the volume is held to what the snapshot has shown", () => {
    const { showsOnVolume, showsInSnapshot } = putBack();
    expect(showsInSnapshot(2)).toBe(true);
    expect(showsOnVolume(1)).toBe(false);
    expect(showsOnVolume(2)).toBe(true);
  });

  test("what is written after a rollback may show or not while it is under way, without deciding the cut", () => {
    const workload = smallWorkload(2n);
    const tracker = new Tracker();
    completeAll(tracker, workload, 0);
    const call = new SnapshotCall(tracker);
    completeAll(tracker, workload, 1);
    const record = call.completed({ snapshot: 0, volume: 0, name: "s0", lts: 1 });
    tracker.addSnapshot(record);
    tracker.rolledBack({ volume: 0, afterLts: 1, record });
    const reconciler = new Reconciler(workload, tracker);
    const extent = workload.geometry.extent(workload.window.pd(1));
    const states = new Float64Array(128);
    const open = reconciler.stateOf(extent, volumeView(tracker, 0, 1), states);
    expect(open.length).toBeGreaterThan(0);
    for (const { candidates } of open) expect(candidates.every((one) => one.record === record)).toBe(true);
  });
});
