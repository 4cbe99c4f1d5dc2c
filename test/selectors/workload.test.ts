import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { operationAt, operationKinds, positionOf } from "../../src/selectors/operations.ts";
import { weightedChoice } from "../../src/selectors/weighted.ts";
import { Workload, type WorkloadShape } from "../../src/selectors/workload.ts";
import { smallShape } from "../support/workloads.ts";

const kernel = new Kernel({ memoryBytes: 16 * 2 ** 20 });

/** Two volumes, the second shorter than an even number of extents. */
const shape: WorkloadShape = {
  ...smallShape,
  geometry: new Geometry({ blockSizeBytes: 4096, volumeBlocks: [10_000, 700], extentBlocks: 256 }),
  window: { windowSize: 8, slideAfterRepeats: 4 },
  operations: {
    ...smallShape.operations,
    batches: { min: 1, max: 3 },
    operationsPerBatch: { min: 1, max: 4 },
    blocksPerOperation: { min: 1, max: 96 },
  },
  control: {
    every: 50,
    keep: 4,
    far: { numerator: 1, denominator: 2 },
    withoutBase: { numerator: 1, denominator: 4 },
    deletedBase: { numerator: 1, denominator: 4 },
  },
};

const workload = new Workload(kernel, 7n, shape);

describe("a visit", () => {
  test("is the same whenever it is asked for, and another for another seed", () => {
    const again = new Workload(new Kernel({ memoryBytes: 2 ** 20 }), 7n, shape);
    const other = new Workload(kernel, 8n, shape);
    const visits = (w: Workload) => Array.from({ length: 200 }, (_, lts) => w.visit(199 - lts));
    expect(visits(workload)).toEqual(visits(again));
    expect(visits(workload)).not.toEqual(visits(other));
  });

  test("has operations on disjoint blocks inside its extent", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (lts) => {
        const { extent, operations } = workload.visit(lts);
        const taken = new Set<number>();
        for (const { kind, firstBlock, blockCount, operationId } of operations) {
          expect(operationId).toBeLessThan(255);
          if (kind === "flush") expect(blockCount).toBe(0);
          else expect(blockCount).toBeGreaterThan(0);
          expect(firstBlock + blockCount).toBeLessThanOrEqual(extent.blockCount);
          for (let block = firstBlock; block < firstBlock + blockCount; block++) {
            expect(taken.has(block)).toBe(false);
            taken.add(block);
          }
        }
        for (let block = 0; block < extent.blockCount; block++)
          expect(workload.operationOn(lts, block) !== undefined).toBe(taken.has(block));
      }),
      { numRuns: 300 },
    );
  });

  test("reaches every block of both volumes, the short last extents too", () => {
    const touched = [new Uint8Array(10_000), new Uint8Array(700)];
    for (let lts = 0; lts < 12_000; lts++) {
      const { extent, operations } = workload.visit(lts);
      for (const { firstBlock, blockCount } of operations)
        touched[extent.volume]!.fill(
          1,
          extent.firstBlock + firstBlock,
          extent.firstBlock + firstBlock + blockCount,
        );
    }
    expect(touched.map((blocks) => blocks.indexOf(0))).toEqual([-1, -1]);
  });

  test("starts and ends at edges far more often than chance would", () => {
    let atEdge = 0;
    let total = 0;
    for (let lts = 0; lts < 5000; lts++)
      for (const { kind, firstBlock, blockCount } of workload.visit(lts).operations) {
        if (kind !== "write") continue;
        total++;
        if (firstBlock % 32 === 0 || (firstBlock + blockCount) % 32 === 0) atEdge++;
      }
    // Chance alone: about 2 of 32.
    expect(atEdge / total).toBeGreaterThan(0.25);
    const starts = Array.from({ length: 5000 }, (_, lts) => workload.visit(lts).operations)
      .flat()
      .filter(({ kind }) => kind === "write");
    const near = starts.filter(({ firstBlock }) => [31, 0, 1].includes(firstBlock % 32));
    // Chance alone: 3 of 32.
    expect(near.length / starts.length).toBeGreaterThan(0.35);
  });

  test("has kinds in the proportion of their weights, and none of weight zero", () => {
    const weights = {
      write: 5,
      writeFua: 0,
      writeZeroes: 3,
      deallocate: 0,
      deallocateTail: 0,
      deallocateExtent: 0,
      flush: 2,
    };
    const w = new Workload(kernel, 3n, {
      ...shape,
      operations: {
        ...shape.operations,
        weights,
        batches: { min: 1, max: 1 },
        operationsPerBatch: { min: 1, max: 1 },
      },
    });
    const counts = Object.fromEntries(operationKinds.map((kind) => [kind, 0]));
    for (let lts = 0; lts < 10_000; lts++) for (const { kind } of w.visit(lts).operations) counts[kind]!++;
    for (const kind of operationKinds)
      expect(Math.abs(counts[kind]! - weights[kind] * 1000)).toBeLessThanOrEqual(
        weights[kind] === 0 ? 0 : 200,
      );
  });
});

describe("a weighted choice", () => {
  test("gives each name exactly its weight of the draws", () => {
    const choice = weightedChoice(["a", "b", "c", "d"], { a: 0, b: 3, c: 0, d: 2 });
    expect(Array.from({ length: choice.total }, (_, drawn) => choice.pick(drawn))).toEqual([
      "b",
      "b",
      "b",
      "d",
      "d",
    ]);
  });

  test("refuses weights that are all zero", () => {
    expect(() => weightedChoice(["a"], { a: 0 })).toThrow(/needs a weight above 0/);
  });
});

describe("a position", () => {
  test("leads back to its operation, as data or as zeros", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 45 - 2 }),
        fc.integer({ min: 0, max: 254 }),
        (lts, operationId) => {
          const position = positionOf(lts, operationId);
          expect(Number.isSafeInteger(position)).toBe(true);
          expect(operationAt(position)).toEqual({ lts, operationId });
          expect(operationAt(-position)).toEqual({ lts, operationId });
        },
      ),
    );
  });
});

describe("the control schedule", () => {
  const { control } = workload;
  const steps = Array.from({ length: 20_000 }, (_, lts) =>
    control.stepsAfter(lts).map((step) => ({ lts, step })),
  ).flat();

  test("takes each snapshot once, in order, after its own lts", () => {
    const taken = steps.filter(({ step }) => step.kind === "snapshot");
    expect(taken.map(({ step }) => step.snapshot)).toEqual(taken.map((_, index) => index));
    expect(taken.map(({ lts }) => lts)).toEqual(taken.map((_, index) => control.ltsOf(index)));
    expect(taken.length).toBe(400);
  });

  test("uses only snapshots that are alive, deletes each once, and knows at any time which are alive", () => {
    const alive = new Set<number>();
    let middle = 0;
    for (const { step } of steps) {
      if (step.kind === "snapshot") {
        expect([...alive]).toEqual(control.aliveAfter(step.snapshot - 1));
        alive.add(step.snapshot);
      } else if (step.kind === "deleteSnapshot") {
        expect(alive.delete(step.snapshot)).toBe(true);
        if ([...alive].some((other) => other < step.snapshot)) middle++;
      } else {
        expect(alive.has(step.snapshot)).toBe(true);
        if (step.base !== undefined) expect(alive.has(step.base)).toBe(step.kind === "diff");
      }
    }
    expect(middle).toBeGreaterThan(50);
    expect(alive.size).toBeLessThan(12);
  });

  test("diffs each snapshot with the one before, and some far apart, without base and with a deleted base", () => {
    const diffs = steps.map(({ step }) => step).filter((step) => step.kind === "diff");
    expect(diffs.filter(({ snapshot, base }) => base === snapshot - 1).length).toBe(399);
    expect(
      diffs.filter(({ snapshot, base }) => base !== undefined && base < snapshot - 1).length,
    ).toBeGreaterThan(100);
    expect(diffs.filter(({ base }) => base === undefined).length).toBeGreaterThan(50);
    expect(steps.filter(({ step }) => step.kind === "diffDeletedBase").length).toBeGreaterThan(50);
  });
});
