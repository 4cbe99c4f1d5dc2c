import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import type { ReadOptions } from "../../src/selectors/read-selector.ts";
import { Workload } from "../../src/selectors/workload.ts";
import { smallShape } from "../support/workloads.ts";

const kernel = new Kernel({ memoryBytes: 2 ** 20 });
const windowSize = 3;
const workloadOf = (reads: ReadOptions, seed = 6n) =>
  new Workload(kernel, seed, {
    ...smallShape,
    geometry: new Geometry({ blockSizeBytes: 4096, volumeBlocks: [16_000, 700], extentBlocks: 128 }),
    window: { windowSize, slideAfterRepeats: 4 },
    reads,
  });

describe("the reads beside an lts", () => {
  const workload = workloadOf({ perLts: { min: 0, max: 5 } });

  test("are as many as asked for, inside their extents, as long as operations are", () => {
    const counts = new Set<number>();
    const lengths = new Set<number>();
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 40 }), (lts) => {
        const reads = workload.readsAt(lts);
        counts.add(reads.length);
        for (const { extent, firstBlock, blockCount } of reads) {
          expect(extent).toEqual(workload.geometry.extent(extent.pd));
          expect(firstBlock).toBeGreaterThanOrEqual(0);
          expect(firstBlock + blockCount).toBeLessThanOrEqual(extent.blockCount);
          lengths.add(blockCount);
        }
      }),
      { numRuns: 400 },
    );
    expect([...counts].toSorted((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(Math.min(...lengths)).toBe(1);
    expect(Math.max(...lengths)).toBe(smallShape.operations.blocksPerOperation.max);
    expect(lengths.size).toBeGreaterThan(30);
  });

  test("go to all of the window, which its visits are in, and rarely to an extent reached before", () => {
    let inside = 0;
    let total = 0;
    for (let slide = 30; slide < 100; slide++) {
      const steps = Array.from({ length: 4 * windowSize }, (_, step) => slide * 4 * windowSize + step);
      const visited = new Set(steps.map((lts) => workload.window.pd(lts)));
      const reads = steps.flatMap((lts) => workload.readsAt(lts).map((read) => ({ lts, ...read })));
      const pds = reads.map(({ extent }) => extent.pd);
      for (const pd of visited) expect(pds).toContain(pd);
      for (const { lts, extent } of reads) {
        total++;
        if (visited.has(extent.pd)) inside++;
        else expect(workload.window.lastLts(extent.pd, lts)).toBeDefined();
      }
    }
    expect(inside / total).toBeGreaterThan(0.8);
    expect(inside / total).toBeLessThan(0.95);
  });

  test("are the same whenever they are asked for, and others for another seed", () => {
    const again = workloadOf({ perLts: { min: 0, max: 5 } });
    const other = workloadOf({ perLts: { min: 0, max: 5 } }, 7n);
    const reads = (of: Workload) => Array.from({ length: 100 }, (_, lts) => of.readsAt(99 - lts));
    expect(reads(workload).toReversed()).toEqual(Array.from({ length: 100 }, (_, lts) => again.readsAt(lts)));
    expect(reads(workload)).not.toEqual(reads(other));
  });

  test("are none unless asked for, and at most as many as have a place of their own", () => {
    expect(workloadOf({}).readsAt(5)).toEqual([]);
    expect(() => workloadOf({ perLts: { min: 0, max: 256 } })).toThrow(
      "256 reads per lts: expected at most 255",
    );
  });
});

describe("reading before an operation", () => {
  test.for([
    [undefined, 0, 0],
    [{ numerator: 0, denominator: 7 }, 0, 0],
    [{ numerator: 1, denominator: 4 }, 2300, 2700],
    [{ numerator: 7, denominator: 7 }, 10_000, 10_000],
  ] as const)("happens with the chance given: %o", ([preRead, least, most]) => {
    const workload = workloadOf(preRead === undefined ? {} : { preRead });
    let count = 0;
    for (let lts = 0; lts < 2000; lts++)
      for (let operationId = 0; operationId < 5; operationId++)
        if (workload.preRead(lts, operationId)) count++;
    expect(count).toBeGreaterThanOrEqual(least);
    expect(count).toBeLessThanOrEqual(most);
  });
});
