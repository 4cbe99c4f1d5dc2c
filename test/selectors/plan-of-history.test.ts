import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import type { ControlStep } from "../../src/selectors/control-schedule.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import type { HistoryPlan } from "../../src/selectors/history-builder.ts";
import { historyText, parseHistory } from "../../src/selectors/history-text.ts";
import { type PlanOptions, planOfHistory } from "../../src/selectors/plan-of-history.ts";
import { Workload, type WorkloadShape } from "../../src/selectors/workload.ts";
import { WrittenHistory } from "../../src/selectors/written-history.ts";

const kernel = new Kernel({ memoryBytes: 4 * 2 ** 20 });

const ratio = fc.constantFrom({ numerator: 0, denominator: 1 }, { numerator: 1, denominator: 2 });
const every = fc.constantFrom(0, 7, 31);
const slow = { timeout: 60_000 };
const never = { numerator: 0, denominator: 1 };

const shape: fc.Arbitrary<WorkloadShape> = fc
  .record({
    blockSizeBytes: fc.constantFrom(512, 4096),
    extentBlocks: fc.constantFrom(8, 16),
    volumeBlocks: fc.constantFrom([128], [128, 128], [100, 33]),
    windowSize: fc.integer({ min: 1, max: 5 }),
    slideAfterRepeats: fc.integer({ min: 1, max: 3 }),
    perLtsMax: fc.integer({ min: 0, max: 3 }),
    snapshotEvery: fc.constantFrom(0, 2, 5, 20),
    keep: fc.integer({ min: 1, max: 5 }),
    chances: fc.array(ratio, { minLength: 6, maxLength: 6 }),
    syncEvery: fc.integer({ min: 0, max: 3 }),
    growthEvery: fc.constantFrom(0, 1, 10),
    fault: every,
  })
  .map((one) => {
    const { blockSizeBytes, extentBlocks, volumeBlocks, windowSize, slideAfterRepeats } = one;
    const [far, withoutBase, deletedBase, hot, clones, rollback] = one.chances;
    return {
      geometry: new Geometry({ blockSizeBytes, extentBlocks, volumeBlocks }),
      window: { windowSize, slideAfterRepeats },
      operations: {
        batches: { min: 1, max: 2 },
        operationsPerBatch: { min: 1, max: 3 },
        blocksPerOperation: { min: 1, max: 6 },
        compareAndWriteBlocksMax: 2,
        weights: { write: 5, writeFua: 1, writeZeroes: 1, deallocateTail: 1, flush: 2, compareAndWrite: 1 },
        edgeBlocks: [4],
      },
      control: {
        ...{ every: one.snapshotEvery, keep: one.keep, syncEvery: one.syncEvery },
        ...{ far: far!, withoutBase: withoutBase!, deletedBase: deletedBase!, hot: hot! },
        ...{ clones: clones!, rollback: rollback! },
        faults: {
          crash: { every: one.fault },
          slow: { every: one.fault, delayMs: { min: 1, max: 9 }, ltsCount: { min: 1, max: 3 } },
          cutConnections: { every: one.fault, durationMs: { min: 50, max: 99 } },
        },
      },
      growth: { start: { numerator: 1, denominator: 4 }, every: one.growthEvery, steps: 3 },
      reads: { perLts: { min: 0, max: one.perLtsMax } },
      content: {
        order: "ascending",
        weights: { incompressible: 1, compressible: 0, text: 0 },
        compressionRatio: 2,
      },
    };
  });

const seed = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** A plan that can be compared: geometries hold functions. */
function comparable({ geometry, ...plan }: HistoryPlan) {
  const { blockSizeBytes, volumeBlocks, extentBlocks } = geometry;
  return { ...plan, geometry: { blockSizeBytes, volumeBlocks, extentBlocks } };
}

function expectReadable(plan: HistoryPlan): void {
  expect(comparable(parseHistory(historyText(plan), "plan"))).toEqual(comparable(plan));
}

/** Steps as a plan numbers them: clones and resizes are counted. */
function renumbered(workload: Workload, ltsCount: number): (lts: number) => readonly ControlStep[] {
  const clones = new Map<number, number>();
  const after = new Map<number, readonly ControlStep[]>();
  let resizes = 0;
  for (let lts = 0; lts < ltsCount; lts++)
    after.set(
      lts,
      workload.control.stepsAfter(lts).map((step) => {
        if (step.kind === "clone") clones.set(step.clone, clones.size);
        if ("clone" in step) return { ...step, clone: clones.get(step.clone)! };
        if (step.kind !== "resize") return step;
        return { ...step, step: ++resizes };
      }),
    );
  return (lts) => after.get(lts)!;
}

describe("the plan of a drawn history", () => {
  test("has the operations, the reads and the steps of each lts", slow, () => {
    fc.assert(
      fc.property(shape, seed, fc.integer({ min: 1, max: 150 }), (one, from, ltsCount) => {
        fc.pre(new Set(one.geometry.volumeBlocks).size === 1);
        const workload = new Workload(kernel, from, one);
        const plan = planOfHistory(workload, { seed: from, ltsCount });
        const steps = renumbered(workload, ltsCount);
        expect(plan.visits.length).toBe(ltsCount);
        for (const [lts, visit] of plan.visits.entries()) {
          const { extent, operations } = workload.visit(lts);
          if (workload.sizes.hasExtent(extent, lts)) expect(visit.pd).toBe(extent.pd);
          expect(visit.operations).toEqual(operations);
          expect(visit.steps).toEqual(steps(lts));
          expect(
            visit.reads!.map(({ pd = visit.pd, ...span }) => ({ extent: one.geometry.extent(pd), ...span })),
          ).toEqual(workload.readsAt(lts));
        }
        const made = plan.visits.flatMap(({ steps: some = [] }) =>
          some.filter(({ kind }) => kind === "clone"),
        );
        expect(plan.clones.size).toBe(made.length);
        expectReadable(plan);
      }),
      { numRuns: 100 },
    );
  });

  test("can be written and read as the same, whatever part of the history it is of", slow, () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(
        shape,
        seed,
        fc.integer({ min: 1, max: 200 }),
        fc.integer({ min: 0, max: 100 }),
        fc.option(fc.uniqueArray(fc.nat(31), { maxLength: 5 }), { nil: undefined }),
        fc.constantFrom<PlanOptions["snapshots"]>("all", "all", "none"),
        fc.option(fc.integer({ min: 1, max: 8 }), { nil: undefined }),
        (one, from, ltsCount, skipped, wanted, snapshots, depth) => {
          const workload = new Workload(kernel, from, one);
          const ltsMin = Math.min(skipped, ltsCount - 1);
          const pds = wanted && new Set(wanted.map((pd) => pd % one.geometry.extentCount));
          const plan = planOfHistory(workload, {
            ...{ seed: from, ltsCount, ltsMin, snapshots: snapshots! },
            ...(pds === undefined ? {} : { pds }),
            ...(depth === undefined ? {} : { depth }),
          });
          expectReadable(plan);
          for (const { steps = [] } of plan.visits) for (const { kind } of steps) kinds.add(kind);
          const visited = plan.visits.filter(({ operations }) => operations.length > 0);
          const drawn = Array.from({ length: ltsCount - ltsMin }, (_, index) =>
            workload.visit(ltsMin + index),
          );
          const meant = drawn.filter(
            ({ extent, operations }) => operations.length > 0 && (pds?.has(extent.pd) ?? true),
          );
          expect(visited.map(({ operations }) => operations)).toEqual(
            meant.map(({ operations }) => operations),
          );
          expect(visited.map(({ pd }) => pd)).toEqual(meant.map(({ extent }) => extent.pd));
        },
      ),
      { numRuns: 300 },
    );
    expect([...kinds].sort()).toEqual(
      [
        ...["snapshot", "deleteSnapshot", "diff", "diffDeletedBase", "sync", "clone", "checkClone"],
        ...["deleteClone", "rollback", "resize", "crash", "slow", "cutConnections"],
      ].sort(),
    );
  });

  test("of a plan is that plan", slow, () => {
    fc.assert(
      fc.property(shape, seed, fc.integer({ min: 1, max: 100 }), (one, from, ltsCount) => {
        const options = { seed: from, depth: 4 };
        const plan = planOfHistory(new Workload(kernel, from, one), { ...options, ltsCount });
        const { run } = new Workload(kernel, from, one);
        const again = planOfHistory(new WrittenHistory({ ...plan, run }), {
          ...options,
          ltsCount: plan.visits.length,
        });
        expect(comparable(again)).toEqual(comparable(plan));
      }),
      { numRuns: 50 },
    );
  });

  const snapshots = { every: 4, keep: 1000, far: never, withoutBase: never, deletedBase: never };
  const plain: WorkloadShape = {
    geometry: new Geometry({ blockSizeBytes: 4096, extentBlocks: 16, volumeBlocks: [1600] }),
    window: { windowSize: 10, slideAfterRepeats: 2 },
    operations: {
      batches: { min: 1, max: 1 },
      operationsPerBatch: { min: 1, max: 2 },
      blocksPerOperation: { min: 1, max: 4 },
      weights: { write: 1 },
      edgeBlocks: [4],
    },
    control: snapshots,
    content: {
      order: "ascending",
      weights: { incompressible: 1, compressible: 0, text: 0 },
      compressionRatio: 2,
    },
  };

  test("keeps steps between the visits that they were between, those before all in a visit without operations", () => {
    const workload = new Workload(kernel, 5n, plain);
    const pd = workload.window.pd(9);
    const plan = planOfHistory(workload, { seed: 5n, ltsCount: 60, pds: new Set([pd]) });
    const kept = Array.from({ length: 60 }, (_, lts) => lts).filter((lts) => workload.window.pd(lts) === pd);
    expect(plan.visits.map(({ operations }) => operations.length > 0)).toEqual([
      false,
      ...kept.map(() => true),
    ]);
    const takenAt = (visit: number) =>
      plan.visits[visit]!.steps!.flatMap((step) => (step.kind === "snapshot" ? [step.snapshot] : []));
    for (const [place, lts] of [-1, ...kept].entries()) {
      const until = kept[place] ?? 60;
      const between = Array.from({ length: 15 }, (_, number) => number).filter((number) => {
        const after = workload.control.snapshots.ltsOf(number);
        return after >= lts && after < until;
      });
      expect(takenAt(place)).toEqual(between);
    }
  });

  test("has a visit of its own after a resize, on the same extent, for what comes next", () => {
    const growing = { ...plain, growth: { start: { numerator: 1, denominator: 4 }, every: 10, steps: 3 } };
    const workload = new Workload(kernel, 5n, growing);
    const pds = new Set([workload.window.pd(0)]);
    const { visits } = planOfHistory(workload, { seed: 5n, ltsCount: 200, pds });
    for (const { steps = [] } of visits)
      expect(steps.slice(0, -1).map(({ kind }) => kind)).not.toContain("resize");
    expect(visits.flatMap(({ steps = [] }) => steps).filter(({ kind }) => kind === "resize").length).toBe(3);
  });

  test("without snapshots has nothing that needs one", () => {
    const workload = new Workload(kernel, 5n, plain);
    const plan = planOfHistory(workload, { seed: 5n, ltsCount: 60, snapshots: "none" });
    expect(plan.visits.flatMap(({ steps = [] }) => steps)).toEqual([]);
    expect(plan.snapshotNames).toEqual([]);
  });

  test("has one visit if no extent of interest was visited", () => {
    const workload = new Workload(kernel, 5n, { ...plain, control: { ...snapshots, every: 0 } });
    const plan = planOfHistory(workload, { seed: 5n, ltsCount: 60, pds: new Set() });
    expect(plan.visits.length).toBe(1);
    expectReadable(plan);
  });

  test("of one extent in ten million lts takes seconds at most, and has every visit of it", slow, () => {
    const workload = new Workload(kernel, 5n, plain);
    const pds = new Set([workload.window.pd(0)]);
    const startedAt = performance.now();
    const plan = planOfHistory(workload, { seed: 5n, ltsCount: 10_000_000, pds });
    expect(performance.now() - startedAt).toBeLessThan(20_000);
    // The newest snapshots alone: as many as a text may hold.
    expect(plan.snapshotNames.length).toBe(1000);
    expect(plan.visits.length).toBeGreaterThan(99_000);
    expect(plan.visits.length).toBeLessThanOrEqual(100_000);
  });

  test(
    "of a history that is too long has its newest lts and steps, and volumes of the size that they had",
    slow,
    () => {
      const growing = {
        ...plain,
        growth: { start: { numerator: 1, denominator: 4 }, every: 1000, steps: 300 },
      };
      const workload = new Workload(kernel, 5n, growing);
      const ltsCount = 150_000;
      const plan = planOfHistory(workload, { seed: 5n, ltsCount });
      const last = plan.visits.length - 1;
      expect(last).toBeGreaterThan(99_000);
      for (const back of [0, 1, 500])
        expect(plan.visits[last - back]!.operations).toEqual(workload.visit(ltsCount - 1 - back).operations);
      const oldest = plan.visits.findIndex(({ steps = [] }) => steps.some(({ kind }) => kind === "snapshot"));
      const lts = ltsCount - plan.visits.length + oldest;
      expect(plan.startExtents[0]! * 16).toBe(workload.sizes.blockCountAt(0, lts));
      expectReadable(plan);
    },
  );
});
