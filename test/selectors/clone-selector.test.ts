import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import { volumeCountMax } from "../../src/generators/streams.ts";
import { cloneVisitsMax } from "../../src/selectors/clone-selector.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { operationKinds } from "../../src/selectors/operations.ts";
import { Workload, type WorkloadShape } from "../../src/selectors/workload.ts";
import { smallShape } from "../support/workloads.ts";

const kernel = new Kernel({ memoryBytes: 2 ** 20 });
const shape: WorkloadShape = {
  ...smallShape,
  geometry: new Geometry({ blockSizeBytes: 4096, volumeBlocks: [4000, 700], extentBlocks: 128 }),
  operations: {
    ...smallShape.operations,
    weights: Object.fromEntries(operationKinds.map((kind) => [kind, 3])),
  },
};
const workload = new Workload(kernel, 6n, shape);

describe("the visits of a clone", () => {
  test("go to different extents of its snapshot, with writes and zeroings on disjoint blocks", () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(fc.nat({ max: 2 ** 40 }), fc.nat({ max: 3000 }), (clone, snapshotLts) => {
        const visits = workload.cloneVisits(clone, snapshotLts);
        expect(visits.length).toBeGreaterThan(0);
        expect(visits.length).toBeLessThanOrEqual(Math.min(4, workload.window.reachedCount(snapshotLts)));
        expect(new Set(visits.map(({ extent }) => extent.pd)).size).toBe(visits.length);
        for (const [index, { extent, operations, lts }] of visits.entries()) {
          expect(lts).toBe(clone * cloneVisitsMax + index);
          expect(workload.window.lastLts(extent.pd, snapshotLts)).toBeDefined();
          expect(operations.length).toBeGreaterThan(0);
          const taken = new Set<number>();
          for (const { kind, firstBlock, blockCount } of operations) {
            kinds.add(kind);
            expect(firstBlock + blockCount).toBeLessThanOrEqual(extent.blockCount);
            for (let block = firstBlock; block < firstBlock + blockCount; block++) {
              expect(taken.has(block)).toBe(false);
              taken.add(block);
            }
          }
        }
      }),
      { numRuns: 300 },
    );
    expect([...kinds].toSorted()).toEqual([
      "deallocate",
      "deallocateExtent",
      "deallocateTail",
      "write",
      "writeFua",
      "writeZeroes",
    ]);
  });

  test("are the same whenever they are asked for, and others for another clone or seed", () => {
    const again = new Workload(kernel, 6n, shape);
    again.visit(77);
    again.cloneVisits(9, 500);
    expect(again.cloneVisits(8, 500)).toEqual(workload.cloneVisits(8, 500));
    expect(workload.cloneVisits(9, 500)).not.toEqual(workload.cloneVisits(8, 500));
    expect(new Workload(kernel, 7n, shape).cloneVisits(8, 500)).not.toEqual(workload.cloneVisits(8, 500));
  });

  test("do not repeat what the history does at an lts of the same number", () => {
    let same = 0;
    for (let clone = 0; clone < 100; clone++)
      for (const { lts, operations } of workload.cloneVisits(clone, 500)) {
        const starts = operations.map(({ firstBlock }) => firstBlock).join();
        if (
          starts ===
          workload
            .visit(lts)
            .operations.map(({ firstBlock }) => firstBlock)
            .join()
        )
          same++;
      }
    expect(same).toBeLessThan(40);
  });

  test("write, if the history only flushes and compares", () => {
    const compares = { ...shape.operations, weights: { flush: 1, compareAndWriteMiss: 1 } };
    const visits = new Workload(kernel, 6n, { ...shape, operations: compares }).cloneVisits(1, 500);
    expect(new Set(visits.flatMap(({ operations }) => operations.map(({ kind }) => kind)))).toEqual(
      new Set(["write"]),
    );
  });
});

describe("the volume of a clone", () => {
  test("is none of the workload's, and comes round after all that are left", () => {
    expect([0, 1, 4093, 4094, 4095].map((clone) => workload.cloneVolume(clone))).toEqual([2, 3, 4095, 2, 3]);
  });

  test("is missed where the workload has taken all of them", () => {
    const volumeBlocks = Array.from({ length: volumeCountMax }, () => 128);
    const geometry = new Geometry({ blockSizeBytes: 4096, volumeBlocks, extentBlocks: 128 });
    expect(() => new Workload(kernel, 6n, { ...shape, geometry }).cloneVolume(0)).toThrow(
      "4096 volumes leave no number for a clone",
    );
  });
});
