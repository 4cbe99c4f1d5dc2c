import fc from "fast-check";
import { expect, test } from "vitest";
import { contentFormat } from "../../src/generators/content.ts";
import { Kernel, RunKernel } from "../../src/generators/kernel.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { WrittenHistory } from "../../src/selectors/written-history.ts";

const geometry = new Geometry({ blockSizeBytes: 512, volumeBlocks: [64, 40], extentBlocks: 16 });
const run = new RunKernel(
  new Kernel({ memoryBytes: 2 ** 20 }),
  contentFormat({
    seed: 1n,
    order: "ascending",
    weights: { incompressible: 1, compressible: 0, text: 0 },
    compressionRatio: 2,
  }),
);

function historyOf(pds: readonly number[]): WrittenHistory {
  return new WrittenHistory({ run, geometry, visits: pds.map((pd) => ({ pd, operations: [] })) });
}

const anyPds = fc.array(fc.integer({ min: 0, max: geometry.extentCount - 1 }), {
  minLength: 1,
  maxLength: 40,
});

test("visits of an extent are found from any of them, and from any lts", () => {
  fc.assert(
    fc.property(anyPds, fc.integer({ min: 0, max: geometry.extentCount - 1 }), (pds, pd) => {
      const { window } = historyOf(pds);
      const visits = pds.flatMap((one, lts) => (one === pd ? [lts] : []));
      expect(window.firstLts(pd)).toBe(visits[0] ?? Number.POSITIVE_INFINITY);
      for (const [index, lts] of visits.entries()) {
        expect(window.pd(lts)).toBe(pd);
        expect(window.nextLts(lts)).toBe(visits[index + 1] ?? Number.POSITIVE_INFINITY);
        expect(window.prevLts(lts)).toBe(visits[index - 1]);
      }
      for (let lts = -1; lts <= pds.length + 1; lts++)
        expect(window.lastLts(pd, lts)).toBe(visits.filter((one) => one <= lts).at(-1));
    }),
  );
});

test("extents are reached in the order of their first visits", () => {
  fc.assert(
    fc.property(anyPds, (pds) => {
      const { window } = historyOf(pds);
      for (let lts = -1; lts <= pds.length; lts++) {
        const reached = [...new Set(pds.slice(0, lts + 1))];
        expect(window.reachedCount(lts)).toBe(reached.length);
        expect(reached.map((_, index) => window.reachedPd(index))).toEqual(reached);
      }
    }),
  );
});

test("volumes are as large as the resizes before an lts have made them", () => {
  const resize = (blockCounts: readonly number[]) => ({ kind: "resize", step: 1, blockCounts }) as const;
  const { sizes } = new WrittenHistory({
    run,
    geometry,
    startExtents: [2, 3],
    visits: [
      { pd: 0, operations: [] },
      { pd: 0, operations: [], steps: [resize([48, 40])] },
      { pd: 0, operations: [], steps: [resize([64, 40])] },
      { pd: 0, operations: [] },
    ],
  });
  expect([0, 1, 2, 3, 9].map((lts) => sizes.blockCountAt(0, lts))).toEqual([32, 32, 48, 64, 64]);
  expect([0, 9].map((lts) => sizes.blockCountAt(1, lts))).toEqual([40, 40]);
  const third = geometry.extent(geometry.pdOf(0, 32));
  expect([1, 2].map((lts) => sizes.hasExtent(third, lts))).toEqual([false, true]);
});

test("an extent that the geometry has not is refused", () => {
  expect(() => historyOf([0, 99])).toThrow(
    "lts 1 visits extent 99: expected 0 to 6, the extents of the geometry",
  );
});
