import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ContentChecker, type WrongBlock } from "../../src/model/content-checker.ts";
import { Reconciler } from "../../src/model/reconciler.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { volumeView } from "../../src/model/view.ts";
import { positionOf } from "../../src/selectors/operations.ts";
import { completeAll, Replay, smallWorkload } from "../support/workloads.ts";

const blockBytes = 4096;

/** A volume in memory that holds given states, one extent of which can be shown to a checker. */
function setUp(seed: bigint, ltsMax: number, outcomes?: ReadonlyMap<number, "failed" | "unknown">) {
  const workload = smallWorkload(seed);
  const tracker = new Tracker();
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
    return {
      extent,
      ...checker.check({ extent, view: volumeView(tracker, 0, ltsMax), address: buffer.address }),
    };
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
          expect(blocksOf(show(pd, states))).toEqual([block]);
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
    expect(blocksOf(show(extent.pd, withIt))).toEqual([operation.firstBlock]);
    const gone = mixed.slice();
    gone[first + operation.blockCount - 1] = withoutIt[first + operation.blockCount - 1]!;
    expect(blocksOf(show(extent.pd, gone))).toEqual([operation.firstBlock + operation.blockCount - 1]);
  });

  test("holds the target to the older of two operations in doubt, once that one has shown", () => {
    const ltsMax = 150;
    const plain = smallWorkload(3n);
    const replay = new Replay(plain).upTo(ltsMax);
    const { reconciler, tracker: sure } = setUp(3n, ltsMax);
    const view = volumeView(sure, 0, ltsMax);
    const block = [...replay.states.keys()].find((one) => {
      const extent = plain.geometry.extent(plain.geometry.pdOf(0, one));
      const versions = [...reconciler.versions(extent, one - extent.firstBlock, view)];
      return versions.length > 3 && versions.slice(0, 3).every((state) => state > 0);
    })!;
    const extent = plain.geometry.extent(plain.geometry.pdOf(0, block));
    const [newest, middle, oldest] = reconciler.versions(extent, block - extent.firstBlock, view);
    const doubt = new Map([newest, middle].map((state) => [state!, "unknown" as const]));
    const { show, tracker } = setUp(3n, ltsMax, doubt);
    const states = new Replay(plain).upTo(ltsMax).states;
    states[block] = middle!;
    expect(show(extent.pd, states).wrong).toEqual([]);
    expect([tracker.decisionOn(newest!, block), tracker.decisionOn(middle!, block)]).toEqual([false, true]);
    states[block] = oldest!;
    expect(blocksOf(show(extent.pd, states))).toEqual([block - extent.firstBlock]);
  });

  test("accepts no third outcome of an operation in doubt", () => {
    const { show, extent, operation, withIt, tracker, position } = inDoubt();
    const first = extent.firstBlock + operation.firstBlock;
    const third = withIt.slice();
    third[first] = positionOf(100_000, 0);
    expect(blocksOf(show(extent.pd, third))).toEqual([operation.firstBlock]);
    expect(tracker.decisionOn(position, first)).toBeUndefined();
  });
});

function blocksOf({ wrong }: { readonly wrong: readonly WrongBlock[] }): readonly number[] {
  return wrong.map(({ block }) => block);
}
