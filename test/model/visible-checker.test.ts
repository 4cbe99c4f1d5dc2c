import { describe, expect, test } from "vitest";
import { Tracker } from "../../src/model/tracker.ts";
import { VisibleChecker } from "../../src/model/visible-checker.ts";
import { effectOf, positionOf } from "../../src/selectors/operations.ts";
import { coldSnapshot, completeAll, Replay, smallWorkload } from "../support/workloads.ts";

const ltsMax = 12;
const blockBytes = 4096;

/** A history, and a volume that can be made to hold any states. */
function setUp({ outcomes = new Map<number, "failed" | "unknown">() } = {}) {
  const workload = smallWorkload(8n);
  const tracker = new Tracker();
  completeAll(tracker, workload, ltsMax, outcomes);
  const checker = new VisibleChecker(workload, tracker);
  const buffer = workload.run.kernel.allocate(128 * blockBytes);
  const look = () => {
    const observation = tracker.observe();
    tracker.observed(observation);
    tracker.release(observation);
    return observation;
  };
  const states = new Replay(workload).upTo(ltsMax).states;
  /** Versions of a block of an extent, newest first. */
  const versionsOf = (pd: number, block: number): number[] => {
    const versions: number[] = [];
    let lts = workload.window.lastLts(pd, ltsMax);
    for (; lts !== undefined; lts = workload.window.prevLts(lts)) {
      const operation = workload.operationOn(lts, block);
      if (operation === undefined || effectOf(operation.kind) === "none") continue;
      versions.push(positionOf(lts, operation.operationId) * (effectOf(operation.kind) === "data" ? 1 : -1));
    }
    return versions;
  };
  /** The first block that was written at least twice, and never made zeros. */
  const onVolume = [...states.keys()].find((one) => {
    const pd = workload.geometry.pdOf(0, one);
    const versions = versionsOf(pd, one - workload.geometry.extent(pd).firstBlock);
    return versions.length > 1 && versions.every((state) => state > 0);
  })!;
  const extent = workload.geometry.extent(workload.geometry.pdOf(0, onVolume));
  const block = onVolume - extent.firstBlock;
  const show = (
    held: Float64Array,
    { isStateful = true, observation = look(), ltsBefore = tracker.ltsCompleteMax } = {},
  ): readonly number[] => {
    buffer.bytes.fill(0);
    for (let index = 0; index < extent.blockCount; index++) {
      const state = held[extent.firstBlock + index]!;
      const at = { volume: 0, block: extent.firstBlock + index, blockCount: 1, sectorCount: 8 };
      if (state > 0) workload.run.inflate(at, buffer.address + index * blockBytes, state);
    }
    return checker.check({ extent, address: buffer.address, isStateful, ltsBefore, observation });
  };
  const [newest, older] = versionsOf(extent.pd, block) as [number, number];
  const holding = (state: number): Float64Array => states.with(extent.firstBlock + block, state);
  return { workload, tracker, checker, show, look, extent, states, block, newest, older, holding };
}

describe("the checker of visible blocks", () => {
  test("accepts any version of a block, in any order, in its stateless form", () => {
    const { show, states, holding, older } = setUp();
    expect(show(states, { isStateful: false })).toEqual([]);
    expect(show(holding(older), { isStateful: false })).toEqual([]);
  });

  test("finds what no operation wrote there, and what none has written yet", () => {
    const { show, block, holding, workload, extent } = setUp();
    expect(show(holding(positionOf(ltsMax, 200)))).toEqual([block]);
    let lts = workload.window.nextLts(workload.window.lastLts(extent.pd, ltsMax)!);
    let operation = workload.operationOn(lts, block);
    while (operation === undefined || effectOf(operation.kind) !== "data") {
      lts = workload.window.nextLts(lts);
      operation = workload.operationOn(lts, block);
    }
    expect(show(holding(positionOf(lts, operation.operationId)), { isStateful: false })).toEqual([block]);
  });

  test("finds zeros where only data was written, unless it was under way when the look began", () => {
    const { show, holding, block, tracker } = setUp();
    const zeroed = holding(0);
    expect(show(zeroed)).toEqual([block]);
    expect(show(zeroed, { ltsBefore: -1 })).toEqual([]);
    tracker.rolledBack({
      volume: 0,
      afterLts: ltsMax,
      record: { ...coldSnapshot(new Tracker(), 0), branch: 0 },
    });
    expect(show(zeroed)).toEqual([]);
  });

  test("asks the tracker, in its stateful form, whether an operation was refused", () => {
    const { newest } = setUp();
    const { show, block, states } = setUp({ outcomes: new Map([[newest, "failed"]]) });
    expect(show(states)).toEqual([block]);
    expect(show(states, { isStateful: false })).toEqual([]);
  });

  test("lets no block go back behind what an earlier look has shown", () => {
    const { show, states, block, older, holding } = setUp();
    expect(show(holding(older))).toEqual([]);
    expect(show(states)).toEqual([]);
    expect(show(holding(older))).toEqual([block]);
    expect(show(states)).toEqual([]);
  });

  test("compares no two looks that were under way together", () => {
    const { show, states, look, tracker, holding, older } = setUp();
    const early = tracker.observe();
    expect(show(states)).toEqual([]);
    tracker.observed(early);
    tracker.release(early);
    expect(show(holding(older), { observation: early })).toEqual([]);
    expect(show(holding(older), { observation: look() })).not.toEqual([]);
  });

  test("leaves the order of operations open that were under way together", () => {
    const { show, states, holding, older, tracker, block } = setUp();
    expect(show(states)).toEqual([]);
    expect(show(holding(older))).toEqual([block]);
    const times = { submitted: 1, completed: 2 };
    tracker.lose(older, tracker.lastEvent, times);
    tracker.overlapped(older);
    tracker.exceptionOf(older)!.hasOverlap = true;
    expect(show(holding(older))).toEqual([]);
  });

  test("forgets what it saw, and what looks under way will show, after a crash or a rollback", () => {
    const { show, states, holding, older, tracker, checker } = setUp();
    expect(show(states)).toEqual([]);
    const across = tracker.observe();
    checker.forget();
    tracker.observed(across);
    tracker.release(across);
    expect(checker.extentsSeen).toBe(0);
    expect(show(states, { observation: across })).toEqual([]);
    expect(checker.extentsSeen).toBe(0);
    expect(show(holding(older))).toEqual([]);
    expect(checker.extentsSeen).toBe(1);
  });
});
