import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { effectOf, operationAt, operationKinds, positionOf } from "../../src/selectors/operations.ts";
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

  test("keeps the history of a seed as it has always been, as long as nothing new is asked for", () => {
    const digest = (seed: bigint, of: WorkloadShape) => {
      const w = new Workload(kernel, seed, of);
      const hash = createHash("sha256");
      for (let lts = 0; lts < 3000; lts++) {
        const { extent, operations } = w.visit(lts);
        hash.update(`v ${lts} ${extent.pd} ${w.sampleExtent(lts, 3).pd}\n`);
        for (const { kind, operationId, batch, firstBlock, blockCount } of operations)
          hash.update(
            `o ${operationKinds.indexOf(kind)} ${operationId} ${batch} ${firstBlock} ${blockCount}\n`,
          );
        for (const step of w.control.stepsAfter(lts))
          hash.update(
            `c ${step.kind} ${"snapshot" in step ? step.snapshot : ""} ${"base" in step ? step.base : ""}\n`,
          );
      }
      return hash.digest("hex");
    };
    const none = { numerator: 0, denominator: 5 };
    const spelledOut: WorkloadShape = {
      ...shape,
      operations: {
        ...shape.operations,
        compareAndWriteBlocksMax: 8,
        weights: { ...shape.operations.weights, compareAndWrite: 0, compareAndWriteMiss: 0 },
      },
      control: {
        ...shape.control,
        hot: none,
        clones: none,
        rollback: none,
        syncEvery: 0,
        faults: { crash: { every: 0 }, resetConnections: { every: 0 } },
      },
      growth: { start: { numerator: 1, denominator: 2 }, every: 0, steps: 3 },
      reads: { perLts: { min: 1, max: 9 }, preRead: { numerator: 1, denominator: 2 } },
    };
    for (const of of [shape, spelledOut]) {
      expect(digest(7n, of)).toBe("d08011bf1083dabae55454807e71d6cdbab37eb4a9f1e2aaffc71508d80697af");
      expect(digest(8n, of)).toBe("6315e9ea812fb0caed4d8a77ea1625e43f4abe712e4de8875ab61b4c0cb80f76");
    }
  });

  test.for([
    ["without compares", {}],
    ["with compares", { compareAndWrite: 9, compareAndWriteMiss: 5 }],
  ] as const)("has operations on disjoint blocks inside its extent, %s", ([, fused]) => {
    const { weights } = shape.operations;
    const workload = new Workload(kernel, 7n, {
      ...shape,
      operations: { ...shape.operations, weights: { ...weights, ...fused } },
    });
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
      compareAndWrite: 4,
      compareAndWriteMiss: 1,
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
      expect(Math.abs(counts[kind]! - (weights[kind] * 10_000) / 15)).toBeLessThanOrEqual(
        weights[kind] === 0 ? 0 : 200,
      );
  });
});

describe("a compare-and-write", () => {
  const of = (compareAndWriteBlocksMax: number | undefined, min = 1) =>
    new Workload(kernel, 3n, {
      ...shape,
      operations: {
        ...shape.operations,
        blocksPerOperation: { min, max: 96 },
        ...(compareAndWriteBlocksMax === undefined ? {} : { compareAndWriteBlocksMax }),
        weights: { write: 1, compareAndWrite: 1, compareAndWriteMiss: 1 },
      },
    });

  test.for([
    ["of its own greatest length", 16, 1, 16],
    ["of one block, unless more are allowed", undefined, 1, 1],
    ["of its own greatest length, where any other operation is longer", 4, 8, 4],
  ] as const)("is at most %s", ([, option, min, most]) => {
    const workload = of(option, min);
    const lengths = { write: 0, compareAndWrite: 0, compareAndWriteMiss: 0 };
    for (let lts = 0; lts < 2000; lts++)
      for (const { kind, blockCount } of workload.visit(lts).operations)
        lengths[kind as keyof typeof lengths] = Math.max(lengths[kind as keyof typeof lengths], blockCount);
    expect(lengths).toMatchObject({ compareAndWrite: most, compareAndWriteMiss: most });
    expect(lengths.write).toBeGreaterThan(90);
  });

  test("leaves data if its compare holds, and nothing if it is to fail", () => {
    expect(effectOf("compareAndWrite")).toBe("data");
    expect(effectOf("compareAndWriteMiss")).toBe("none");
  });

  test("may not be longer than every other operation", () => {
    expect(() => of(97)).toThrow("a compare-and-write of up to 97 blocks: expected 1 to 96");
    expect(() => of(0)).toThrow("a compare-and-write of up to 0 blocks: expected 1 to 96");
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
