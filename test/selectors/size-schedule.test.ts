import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { type GrowthOptions, SizeSchedule } from "../../src/selectors/size-schedule.ts";
import { Workload, type WorkloadShape } from "../../src/selectors/workload.ts";
import { smallShape } from "../support/workloads.ts";

const kernel = new Kernel({ memoryBytes: 4 * 2 ** 20 });
const extentBlocks = 64;

const growthArb: fc.Arbitrary<GrowthOptions> = fc.record({
  start: fc
    .tuple(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 8 }))
    .map(([numerator, more]) => ({ numerator, denominator: numerator + more })),
  every: fc.integer({ min: 1, max: 40 }),
  steps: fc.integer({ min: 1, max: 6 }),
});
const volumeBlocksArb = fc.array(fc.integer({ min: 1, max: 20 * extentBlocks }), {
  minLength: 1,
  maxLength: 3,
});
const geometryOf = (volumeBlocks: readonly number[]) =>
  new Geometry({ blockSizeBytes: 4096, volumeBlocks, extentBlocks });

describe("volumes that grow", () => {
  test("have at each lts the size that the steps before it gave them, and are complete in the end", () => {
    fc.assert(
      fc.property(volumeBlocksArb, growthArb, (volumeBlocks, growth) => {
        const sizes = new SizeSchedule(geometryOf(volumeBlocks), growth);
        let blockCounts = volumeBlocks.map((_, volume) => sizes.blockCountAt(volume, 0));
        for (let lts = 0; lts <= growth.every * growth.steps + 2; lts++) {
          for (const [volume, blocks] of blockCounts.entries()) {
            expect(sizes.blockCountAt(volume, lts)).toBe(blocks);
            expect(sizes.extentsAt(volume, lts)).toBe(Math.ceil(blocks / extentBlocks));
            if (blocks !== volumeBlocks[volume]) expect(blocks % extentBlocks).toBe(0);
          }
          const step = sizes.stepAfter(lts);
          if (step === undefined) continue;
          expect(lts).toBe(step.step * growth.every);
          expect(step.blockCounts).not.toEqual(blockCounts);
          for (const [volume, blocks] of step.blockCounts.entries())
            expect(blocks).toBeGreaterThanOrEqual(blockCounts[volume]!);
          blockCounts = [...step.blockCounts];
        }
        expect(blockCounts).toEqual(volumeBlocks);
      }),
      { numRuns: 60 },
    );
  });

  test("start at the part that was asked for, rounded up to whole extents", () => {
    const growth: GrowthOptions = { start: { numerator: 1, denominator: 4 }, every: 10, steps: 3 };
    const sizes = new SizeSchedule(geometryOf([16 * extentBlocks, 5 * extentBlocks + 1, 3]), growth);
    expect([0, 10, 11, 20, 21, 30, 31].map((lts) => sizes.extentsAt(0, lts))).toEqual([
      4, 4, 8, 8, 12, 12, 16,
    ]);
    expect([0, 11, 21, 31].map((lts) => sizes.blockCountAt(1, lts))).toEqual([128, 192, 256, 321]);
    expect(sizes.blockCountAt(2, 0)).toBe(3);
    expect(sizes.stepAfter(10)).toEqual({ kind: "resize", step: 1, blockCounts: [512, 192, 3] });
  });

  test("are complete from the start if they never grow", () => {
    const growth: GrowthOptions = { start: { numerator: 1, denominator: 4 }, every: 0, steps: 3 };
    const sizes = new SizeSchedule(geometryOf([1000]), growth);
    expect(sizes.blockCountAt(0, 0)).toBe(1000);
    expect(Array.from({ length: 500 }, (_, lts) => sizes.stepAfter(lts))).toEqual(
      Array.from({ length: 500 }, () => undefined),
    );
  });

  test.for([
    [{ start: { numerator: 0, denominator: 4 }, every: 1, steps: 1 }, "start at 0/4 of their size"],
    [{ start: { numerator: 5, denominator: 4 }, every: 1, steps: 1 }, "start at 5/4 of their size"],
    [{ start: { numerator: 1, denominator: 4 }, every: 1, steps: 0 }, "growth in 0 steps"],
  ] as const)("refuse %o", ([growth, message]) => {
    expect(() => new SizeSchedule(geometryOf([1000]), growth)).toThrow(message);
  });
});

describe("a workload on volumes that grow", () => {
  test("never names an extent that does not exist yet, and visits each one that does", () => {
    fc.assert(
      fc.property(
        volumeBlocksArb,
        growthArb,
        fc.bigInt({ min: 0n, max: 99n }),
        (volumeBlocks, growth, seed) => {
          const shape: WorkloadShape = {
            ...smallShape,
            geometry: geometryOf(volumeBlocks),
            window: { windowSize: 1, slideAfterRepeats: 3 },
            growth,
            reads: { perLts: { min: 1, max: 3 } },
          };
          const workload = new Workload(kernel, seed, shape);
          const exists = (
            { volume, firstBlock, blockCount }: { volume: number; firstBlock: number; blockCount: number },
            lts: number,
          ) => firstBlock + blockCount <= workload.sizes.blockCountAt(volume, lts);
          let missing = 0;
          for (let lts = 0; lts < 150; lts++) {
            const { extent, operations } = workload.visit(lts);
            if (exists(extent, lts)) expect(operations.length).toBeGreaterThan(0);
            else {
              missing++;
              expect(operations).toEqual([]);
            }
            for (let block = 0; block < extent.blockCount; block += 7)
              expect(workload.operationOn(lts, block)).toEqual(
                operations.find(
                  ({ firstBlock, blockCount }) => block >= firstBlock && block < firstBlock + blockCount,
                ),
              );
            for (const drawn of [
              workload.sampleExtent(lts, 0),
              workload.sampleExtent(lts, 1),
              ...workload.readsAt(lts).map((read) => read.extent),
              ...workload.cloneVisits(lts, lts).map((visit) => visit.extent),
            ]) {
              expect(exists(drawn, lts)).toBe(true);
              expect(drawn).toEqual(workload.geometry.extent(drawn.pd));
            }
          }
          fc.pre(missing > 0);
        },
      ),
      { numRuns: 30 },
    );
  });
});
