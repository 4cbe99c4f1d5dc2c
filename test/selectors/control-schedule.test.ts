import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import type { ControlStep } from "../../src/selectors/control-schedule.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { Workload, type WorkloadShape } from "../../src/selectors/workload.ts";
import { smallShape } from "../support/workloads.ts";

const kernel = new Kernel({ memoryBytes: 16 * 2 ** 20 });
const geometry = new Geometry({ blockSizeBytes: 4096, volumeBlocks: [10_000, 700], extentBlocks: 256 });
const half = { numerator: 1, denominator: 2 };
const quarter = { numerator: 1, denominator: 4 };

const plain: WorkloadShape = {
  ...smallShape,
  geometry,
  control: { every: 50, keep: 4, far: half, withoutBase: quarter, deletedBase: quarter },
};

/** Everything at once, and often. */
const busy: WorkloadShape = {
  ...plain,
  control: {
    ...plain.control,
    every: 10,
    hot: half,
    clones: half,
    rollback: quarter,
    syncEvery: 2,
    faults: {
      crash: { every: 13 },
      resetConnections: { every: 7 },
      cutConnections: { every: 11, durationMs: { min: 5, max: 90 } },
      slow: { every: 20, delayMs: { min: 1, max: 3 }, ltsCount: { min: 1, max: 10 } },
    },
  },
  growth: { start: quarter, every: 300, steps: 5 },
};

const stepsOf = ({ control }: Workload, ltsCount: number) =>
  Array.from({ length: ltsCount }, (_, lts) => control.stepsAfter(lts).map((step) => ({ lts, step }))).flat();

/** What the steps do, by doing it: lists of what is alive, and the parent of each snapshot. */
class Simulation {
  readonly alive = new Set<number>();
  readonly clones = new Set<number>();
  readonly parents = new Map<number, number | undefined>();
  readonly sizes = new Map<number, string>();
  readonly counts = new Map<string, number>();
  newest = -1;
  synced: number | undefined;
  #parent: number | undefined;
  #size = "start";

  ancestors(snapshot: number): readonly number[] {
    const parent = this.parents.get(snapshot);
    return parent === undefined ? [] : [parent, ...this.ancestors(parent)];
  }

  perform(step: ControlStep): void {
    this.counts.set(step.kind, (this.counts.get(step.kind) ?? 0) + 1);
    switch (step.kind) {
      case "snapshot":
        expect(step.snapshot).toBe(++this.newest);
        this.alive.add(step.snapshot);
        this.parents.set(step.snapshot, this.#parent);
        this.sizes.set(step.snapshot, this.#size);
        this.#parent = step.snapshot;
        return;
      case "diff":
        this.#expectNewest(step.snapshot);
        if (step.base === undefined) {
          expect(step.isFar).toBe(false);
          return;
        }
        expect(this.alive).toContain(step.base);
        expect(this.ancestors(step.snapshot)).toContain(step.base);
        expect(step.isFar).toBe(step.base !== this.parents.get(step.snapshot));
        return;
      case "diffDeletedBase":
        this.#expectNewest(step.snapshot);
        expect(this.parents.has(step.base)).toBe(true);
        expect(this.alive).not.toContain(step.base);
        return;
      case "sync": {
        this.#expectNewest(step.snapshot);
        const isBase =
          this.synced !== undefined &&
          this.alive.has(this.synced) &&
          this.ancestors(step.snapshot).includes(this.synced);
        expect(step.base).toBe(isBase ? this.synced : undefined);
        this.synced = step.snapshot;
        return;
      }
      case "clone":
        expect(this.alive).toContain(step.snapshot);
        expect(this.clones).not.toContain(step.clone);
        this.clones.add(step.clone);
        return;
      case "checkClone":
        expect(this.clones).toContain(step.clone);
        return;
      case "deleteClone":
        expect(this.clones.delete(step.clone)).toBe(true);
        return;
      case "deleteSnapshot":
        expect(this.alive.delete(step.snapshot)).toBe(true);
        return;
      case "rollback":
        expect(this.alive).toContain(step.snapshot);
        expect(this.sizes.get(step.snapshot)).toBe(this.#size);
        this.#parent = step.snapshot;
        return;
      case "resize":
        this.#size = `${step.blockCounts}`;
        return;
    }
  }

  #expectNewest(snapshot: number): void {
    expect(snapshot).toBe(this.newest);
  }
}

const order: readonly ControlStep["kind"][][] = [
  ["snapshot"],
  ["diff"],
  ["diffDeletedBase"],
  ["sync"],
  ["checkClone", "deleteClone"],
  ["clone"],
  ["deleteSnapshot"],
  ["rollback"],
  ["resize"],
  ["crash"],
  ["resetConnections"],
  ["cutConnections"],
  ["slow"],
];
const rank = (kind: ControlStep["kind"]) => order.findIndex((kinds) => kinds.includes(kind));

const controlArb = fc.record({
  every: fc.integer({ min: 2, max: 9 }),
  keep: fc.integer({ min: 1, max: 5 }),
  hot: fc.constantFrom(half, quarter),
  clones: fc.constantFrom(half, { numerator: 1, denominator: 1 }),
  rollback: fc.constantFrom(half, quarter, { numerator: 1, denominator: 1 }),
  syncEvery: fc.integer({ min: 0, max: 4 }),
});

describe("the control schedule", () => {
  test("asks only for what is there, and knows at any time what is, and what descends from what", () => {
    fc.assert(
      fc.property(controlArb, fc.bigInt({ min: 0n, max: 1000n }), (options, seed) => {
        const workload = new Workload(kernel, seed, { ...busy, control: { ...busy.control, ...options } });
        const { snapshots, clones } = workload.control;
        const simulation = new Simulation();
        for (let lts = 0; lts < 40 * options.every; lts++) {
          const before = simulation.newest;
          const steps = workload.control.stepsAfter(lts);
          for (const step of steps) simulation.perform(step);
          const ranks = steps.map(({ kind }) => rank(kind));
          expect(ranks).toEqual(ranks.toSorted((a, b) => a - b));
          const { newest } = simulation;
          if (newest === before) continue;
          expect(snapshots.ltsOf(newest)).toBe(lts);
          expect(snapshots.aliveAfter(newest)).toEqual([...simulation.alive]);
          expect(clones.aliveAfter(newest)).toEqual([...simulation.clones]);
          expect(snapshots.parentOf(newest)).toBe(simulation.parents.get(newest));
          const ancestors = simulation.ancestors(newest);
          const aliveAncestors = ancestors.filter((other) =>
            snapshots.aliveAfter(newest - 1).includes(other),
          );
          expect(snapshots.aliveAncestorsOf(newest)).toEqual(aliveAncestors.toReversed());
          for (let other = 0; other <= newest; other++)
            expect(snapshots.isAncestor(other, newest)).toBe(ancestors.includes(other));
        }
      }),
      { numRuns: 30 },
    );
  });

  test("says the same in whatever order it is asked", () => {
    const [workload, again] = [new Workload(kernel, 5n, busy), new Workload(kernel, 5n, busy)];
    const forwards = Array.from({ length: 600 }, (_, lts) => workload.control.stepsAfter(lts));
    const backwards = Array.from({ length: 600 }, (_, index) => again.control.stepsAfter(599 - index));
    expect(backwards.toReversed()).toEqual(forwards);
    fc.assert(
      fc.property(fc.nat({ max: 599 }), (lts) => {
        expect(workload.control.stepsAfter(lts)).toEqual(forwards[lts]);
      }),
    );
  });

  test("keeps the steps, reads and clones of a seed as they have always been", () => {
    const workload = new Workload(kernel, 5n, {
      ...busy,
      reads: { perLts: { min: 0, max: 3 }, preRead: half },
    });
    const hash = createHash("sha256");
    for (let lts = 0; lts < 2000; lts++) {
      const { extent, operations } = workload.visit(lts);
      const preReads = operations.map(({ operationId }) => workload.preRead(lts, operationId));
      const parts = [extent.pd, operations, workload.control.stepsAfter(lts), preReads];
      hash.update(JSON.stringify([...parts, workload.readsAt(lts), workload.cloneVisits(lts, lts)]));
    }
    expect(hash.digest("hex")).toBe("3612160b26035fa7ff0addfd2ce214265a2c11156d7490dc2dddb85fc338d475");
  });

  test("does everything that it was asked for, in the proportions given", () => {
    const simulation = new Simulation();
    let hot = 0;
    for (const { step } of stepsOf(new Workload(kernel, 3n, busy), 6000)) {
      simulation.perform(step);
      if (step.kind === "snapshot" && step.isHot) hot++;
    }
    const { counts } = simulation;
    expect(counts.get("snapshot")).toBe(600);
    for (const [count, expected] of [
      [hot, 300],
      [counts.get("clone"), 300],
      [counts.get("deleteClone"), 300],
      [counts.get("rollback"), 150],
      [counts.get("sync"), 300],
      [counts.get("deleteSnapshot"), 600],
    ] as const)
      expect(Math.abs(count! - expected)).toBeLessThan(expected / 6);
    expect(counts.get("resize")).toBe(5);
    expect(counts.get("diff")).toBeGreaterThan(800);
    expect(counts.get("diffDeletedBase")).toBeGreaterThan(120);
    expect(simulation.alive.size).toBeLessThan(12);
  });

  test("goes on at once after any number of snapshots", () => {
    const { control } = new Workload(kernel, 3n, busy);
    const first = 2 ** 40;
    const kinds = new Set<string>();
    for (let lts = first; lts < first + 2000; lts++)
      for (const { kind } of control.stepsAfter(lts)) kinds.add(kind);
    expect([...kinds].toSorted()).toEqual(
      order
        .flat()
        .filter((kind) => kind !== "resize")
        .toSorted(),
    );
  });

  test("rolls back to the newest snapshot too, and leaves branches whose snapshots live on", () => {
    const steps = stepsOf(new Workload(kernel, 3n, busy), 5000);
    const rollbacks = steps.filter(({ step }) => step.kind === "rollback");
    const { snapshots } = new Workload(kernel, 3n, busy).control;
    const toNewest = rollbacks.filter(
      ({ lts, step }) => "snapshot" in step && snapshots.ltsOf(step.snapshot) === lts,
    );
    expect(toNewest.length).toBeGreaterThan(5);
    expect(rollbacks.length - toNewest.length).toBeGreaterThan(20);
    const orphans = Array.from({ length: 400 }, (_, snapshot) =>
      snapshots
        .aliveAfter(snapshot)
        .filter((other) => other !== snapshot && !snapshots.isAncestor(other, snapshot)),
    );
    expect(orphans.flat().length).toBeGreaterThan(100);
  });
});

describe("the control schedule of a run without branches", () => {
  const { control } = new Workload(kernel, 7n, plain);
  const steps = stepsOf(new Workload(kernel, 7n, plain), 20_000);

  test("takes each snapshot once, in order, after its own lts, at rest", () => {
    const taken = steps.flatMap(({ lts, step }) => (step.kind === "snapshot" ? [{ lts, ...step }] : []));
    expect(taken.map(({ snapshot }) => snapshot)).toEqual(taken.map((_, index) => index));
    expect(taken.map(({ lts }) => lts)).toEqual(taken.map((_, index) => control.snapshots.ltsOf(index)));
    expect(taken.some(({ isHot }) => isHot)).toBe(false);
    expect(taken.length).toBe(400);
  });

  test("deletes many snapshots in the middle of the chain", () => {
    const simulation = new Simulation();
    let middle = 0;
    for (const { step } of steps) {
      simulation.perform(step);
      if (step.kind === "deleteSnapshot" && [...simulation.alive].some((other) => other < step.snapshot))
        middle++;
    }
    expect(middle).toBeGreaterThan(50);
    expect(new Set(simulation.counts.keys())).toEqual(
      new Set(["snapshot", "diff", "diffDeletedBase", "deleteSnapshot"]),
    );
  });

  test("diffs each snapshot with the one before, and some far apart, without base and with a deleted base", () => {
    const diffs = steps.flatMap(({ step }) => (step.kind === "diff" ? [step] : []));
    expect(diffs.filter(({ snapshot, base }) => base === snapshot - 1).length).toBe(399);
    expect(diffs.filter(({ isFar }) => isFar).length).toBeGreaterThan(100);
    expect(diffs.filter(({ base }) => base === undefined).length).toBeGreaterThan(50);
    expect(steps.filter(({ step }) => step.kind === "diffDeletedBase").length).toBeGreaterThan(50);
  });

  test("takes no snapshot if none is wanted, and refuses one after every lts", () => {
    const every = (count: number) => ({ ...plain, control: { ...plain.control, every: count } });
    expect(stepsOf(new Workload(kernel, 7n, every(0)), 500)).toEqual([]);
    expect(() => new Workload(kernel, 7n, every(1))).toThrow(
      "a snapshot every 1 lts: expected 0 (none), or 2",
    );
  });
});
