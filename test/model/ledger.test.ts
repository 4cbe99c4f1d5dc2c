import { describe, expect, test } from "vitest";
import { Ledger } from "../../src/model/ledger.ts";
import { Reconciler } from "../../src/model/reconciler.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { completeAll, Replay, smallWorkload } from "../support/workloads.ts";

/** A model of a history up to an lts. */
function setUp(seed: bigint, ltsMax: number) {
  const workload = smallWorkload(seed);
  const tracker = new Tracker();
  completeAll(tracker, workload, ltsMax);
  return { workload, tracker, reconciler: new Reconciler(workload, tracker) };
}

describe("the ledger", () => {
  test("counts every version once, as proven, still unproven or never seen", () => {
    const ltsMax = 240;
    const { workload, tracker, reconciler } = setUp(8n, -1);
    const ledger = new Ledger(workload, tracker, reconciler);
    const replay = new Replay(workload);
    let made = 0;
    const proven = new Set<string>();
    for (let lts = 0; lts <= ltsMax; lts++) {
      completeAll(tracker, workload, lts);
      ledger.count("ltsCount");
      for (const { kind, blockCount } of workload.visit(lts).operations) {
        ledger.completed(kind, blockCount, "ok");
        made += blockCount;
      }
      const { states } = replay.upTo(lts);
      if (lts % 9 !== 8) continue;
      const pd = workload.window.pd(lts);
      const extent = workload.geometry.extent(pd);
      const seen = statesOf(states, extent.firstBlock, extent.blockCount);
      ledger.extentCompared(extent, lts, seen, []);
      for (const [block, state] of seen.entries()) if (state !== 0) proven.add(`${pd}:${block}:${state}`);
    }
    const report = ledger.report();
    expect(report.versions.made).toBe(made);
    expect(report.versions.proven).toBe(proven.size);
    let last = 0;
    let lastProven = 0;
    for (let pd = 0; pd < workload.geometry.extentCount; pd++) {
      const extent = workload.geometry.extent(pd);
      const states = statesOf(replay.states, extent.firstBlock, extent.blockCount);
      for (const [block, state] of states.entries()) {
        if (state === 0) continue;
        last++;
        if (proven.has(`${pd}:${block}:${state}`)) lastProven++;
      }
    }
    expect(report.lastVersions).toMatchObject({ blocks: last, proven: lastProven });
    expect(report.versions.neverSeen).toBe(made - proven.size - (last - lastProven));
    expect(report.lastVersions.provenPercent).toBeLessThan(100);
  });

  test("does not count a block that was wrong", () => {
    const { workload, tracker, reconciler } = setUp(8n, 50);
    const ledger = new Ledger(workload, tracker, reconciler);
    const { states } = new Replay(workload).upTo(50);
    const extent = workload.geometry.extent(workload.window.pd(50));
    const seen = statesOf(states, extent.firstBlock, extent.blockCount);
    const wrong = seen.findIndex((state) => state !== 0);
    ledger.extentCompared(extent, 50, seen, [wrong]);
    expect(ledger.report().versions.proven).toBe(seen.filter((state) => state !== 0).length - 1);
    const touched = seen.filter((state) => state !== 0).length;
    expect(ledger.report().lastVersions).toMatchObject({
      blocks: ledger.report().lastVersions.blocks,
      proven: touched - 1,
    });
    // Still wrong, looked at again: nothing is counted twice. Then right: it counts once.
    ledger.extentCompared(extent, 50, seen, [wrong]);
    expect(ledger.report().versions.proven).toBe(touched - 1);
    ledger.extentCompared(extent, 50, seen, []);
    expect(ledger.report().versions.proven).toBe(touched);
    expect(ledger.report().lastVersions.proven).toBe(touched);
  });

  test("goes on from a saved state as if it had never stopped, and counts nothing twice", () => {
    const { workload, tracker, reconciler } = setUp(8n, -1);
    const whole = new Ledger(workload, tracker, reconciler);
    let resumed = new Ledger(workload, tracker, reconciler);
    const replay = new Replay(workload);
    const stoppedAt = 120;
    const perform = (ltsMax: number, ledgers: readonly Ledger[]): void => {
      for (let lts = tracker.ltsCompleteMax + 1; lts <= ltsMax; lts++) {
        completeAll(tracker, workload, lts);
        replay.upTo(lts);
        for (const ledger of ledgers)
          for (const { kind, blockCount } of workload.visit(lts).operations)
            ledger.completed(kind, blockCount, "ok");
      }
    };
    const compareAll = (ledgers: readonly Ledger[]): void => {
      for (let index = 0; index < workload.window.reachedCount(tracker.ltsCompleteMax); index++) {
        const extent = workload.geometry.extent(workload.window.reachedPd(index));
        const seen = statesOf(replay.states, extent.firstBlock, extent.blockCount);
        for (const ledger of ledgers) ledger.extentCompared(extent, tracker.ltsCompleteMax, seen, []);
      }
    };
    perform(stoppedAt, [whole, resumed]);
    compareAll([whole, resumed]);
    const state = structuredClone(resumed.state);
    resumed = new Ledger(workload, tracker, reconciler, { state, ltsMax: stoppedAt });
    expect(resumed.state).toEqual(state);
    expect(resumed.report().lastVersions.proven).toBe(0);
    compareAll([whole, resumed]);
    perform(240, [whole, resumed]);
    compareAll([whole, resumed]);
    const [{ versions, lastVersions, operations }, report] = [whole.report(), resumed.report()];
    expect(report).toMatchObject({ versions, lastVersions, operations });
    expect(lastVersions.provenPercent).toBe(100);
  });

  test("takes back the proof of an extent that a crash may have changed", () => {
    const { workload, tracker, reconciler } = setUp(8n, 50);
    const ledger = new Ledger(workload, tracker, reconciler);
    const { states } = new Replay(workload).upTo(50);
    const extent = workload.geometry.extent(workload.window.pd(50));
    ledger.extentCompared(extent, 50, statesOf(states, extent.firstBlock, extent.blockCount), []);
    expect(ledger.report().lastVersions.proven).toBeGreaterThan(0);
    ledger.unproven(extent);
    expect(ledger.report().lastVersions.proven).toBe(0);
  });

  test("counts what was read just before it is overwritten, once", () => {
    const { workload, tracker, reconciler } = setUp(8n, 50);
    const ledger = new Ledger(workload, tracker, reconciler);
    const { states } = new Replay(workload).upTo(50);
    const extent = workload.geometry.extent(workload.window.pd(50));
    const seen = statesOf(states, extent.firstBlock, extent.blockCount);
    ledger.preRead(extent, seen);
    const touched = seen.filter((state) => state !== 0).length;
    expect(ledger.report().versions.proven).toBe(touched);
    expect(ledger.report().reads.preReadBlocks).toBe(seen.length);
  });
});

function statesOf(states: Float64Array, first: number, count: number): Float64Array {
  return states.slice(first, first + count);
}
