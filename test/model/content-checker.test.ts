import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ContentChecker } from "../../src/model/content-checker.ts";
import { Ledger } from "../../src/model/ledger.ts";
import { Reconciler } from "../../src/model/reconciler.ts";
import { MemoryTracker } from "../../src/model/tracker.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { completeAll, Replay, smallWorkload } from "../support/workloads.ts";

const blockBytes = 4096;

/** A volume in memory that holds given states, one extent of which can be shown to a checker. */
function setUp(seed: bigint, ltsMax: number, outcomes?: ReadonlyMap<number, "failed" | "unknown">) {
  const workload = smallWorkload(seed);
  const tracker = new MemoryTracker();
  completeAll(tracker, workload, ltsMax, outcomes);
  const reconciler = new Reconciler(workload, tracker);
  const checker = new ContentChecker(workload, tracker, reconciler);
  const buffer = workload.run.kernel.allocate(128 * blockBytes);
  const show = (pd: number, states: Float64Array) => {
    const extent = workload.geometry.extent(pd);
    buffer.bytes.fill(0);
    for (let block = 0; block < extent.blockCount; block++) {
      const state = states[extent.firstBlock + block]!;
      const at = { volume: 0, block: extent.firstBlock + block, blockCount: 1, sectorCount: 8 };
      if (state > 0) workload.run.inflate(at, buffer.address + block * blockBytes, state);
    }
    return { extent, ...checker.check({ extent, ltsMax, address: buffer.address }) };
  };
  return { workload, tracker, reconciler, show, buffer };
}

describe("the quiescent checker", () => {
  test("finds nothing wrong with what the history left, and exactly the blocks that are not so", () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
        fc.integer({ min: 10, max: 200 }),
        fc.nat(),
        (seed, ltsMax, salt) => {
          const { workload, show } = setUp(seed, ltsMax);
          const { states } = new Replay(workload).upTo(ltsMax);
          const pd = workload.window.pd(ltsMax);
          expect(show(pd, states).wrong).toEqual([]);
          const extent = workload.geometry.extent(pd);
          const block = salt % extent.blockCount;
          const old = states[extent.firstBlock + block]!;
          states[extent.firstBlock + block] = old > 0 ? 0 : positionOf(ltsMax + 1, 0);
          expect(show(pd, states).wrong).toEqual([block]);
        },
      ),
      { numRuns: 30 },
    );
  });

  /** The newest write of the history, whose outcome is made unknown, and the state without it. */
  function inDoubt() {
    const ltsMax = 150;
    const plain = smallWorkload(3n);
    for (let lts = ltsMax; ; lts--) {
      const { extent, operations } = plain.visit(lts);
      const operation = operations.find(({ kind, blockCount }) => kind === "write" && blockCount > 1);
      if (operation === undefined || plain.window.lastLts(extent.pd, ltsMax) !== lts) continue;
      const position = positionOf(lts, operation.operationId);
      const set = setUp(3n, ltsMax, new Map([[position, "unknown"]]));
      const withIt = new Replay(set.workload).upTo(ltsMax).states;
      const withoutIt = new Replay(set.workload).upTo(ltsMax, (one) => one === position).states;
      return { ...set, extent, operation, position, withIt, withoutIt };
    }
  }

  test("lets an operation in doubt have happened, or not, block by block, and holds the target to it", () => {
    const { show, tracker, extent, operation, position, withIt, withoutIt } = inDoubt();
    const first = extent.firstBlock + operation.firstBlock;
    const mixed = withIt.slice();
    mixed[first] = withoutIt[first]!;
    expect(show(extent.pd, mixed).wrong).toEqual([]);
    expect(tracker.decisionOn(position, first)).toBe(false);
    expect(tracker.decisionOn(position, first + 1)).toBe(true);
    // What did not happen must not show later, what happened must not go.
    expect(show(extent.pd, withIt).wrong).toEqual([operation.firstBlock]);
    const gone = mixed.slice();
    gone[first + operation.blockCount - 1] = withoutIt[first + operation.blockCount - 1]!;
    expect(show(extent.pd, gone).wrong).toEqual([operation.firstBlock + operation.blockCount - 1]);
  });

  test("holds the target to the older of two operations in doubt, once that one has shown", () => {
    const ltsMax = 150;
    const plain = smallWorkload(3n);
    const replay = new Replay(plain).upTo(ltsMax);
    const { reconciler } = setUp(3n, ltsMax);
    const block = [...replay.states.keys()].find((one) => {
      const extent = plain.geometry.extent(plain.geometry.pdOf(0, one));
      const versions = [...reconciler.versions(extent, one - extent.firstBlock, ltsMax)];
      return versions.length > 3 && versions.slice(0, 3).every((state) => state > 0);
    })!;
    const extent = plain.geometry.extent(plain.geometry.pdOf(0, block));
    const [newest, middle, oldest] = reconciler.versions(extent, block - extent.firstBlock, ltsMax);
    const doubt = new Map([newest, middle].map((state) => [state!, "unknown" as const]));
    const { show, tracker } = setUp(3n, ltsMax, doubt);
    const states = new Replay(plain).upTo(ltsMax).states;
    states[block] = middle!;
    expect(show(extent.pd, states).wrong).toEqual([]);
    expect([tracker.decisionOn(newest!, block), tracker.decisionOn(middle!, block)]).toEqual([false, true]);
    states[block] = oldest!;
    expect(show(extent.pd, states).wrong).toEqual([block - extent.firstBlock]);
  });

  test("accepts no third outcome of an operation in doubt", () => {
    const { show, extent, operation, withIt, tracker, position } = inDoubt();
    const first = extent.firstBlock + operation.firstBlock;
    const third = withIt.slice();
    third[first] = positionOf(100_000, 0);
    expect(show(extent.pd, third).wrong).toEqual([operation.firstBlock]);
    expect(tracker.decisionOn(position, first)).toBeUndefined();
  });
});

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
      ledger.visited();
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
});

function statesOf(states: Float64Array, first: number, count: number): Float64Array {
  return states.slice(first, first + count);
}
