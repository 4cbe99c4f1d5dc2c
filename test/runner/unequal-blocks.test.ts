import { expect, test } from "vitest";
import { UnequalBlocks } from "../../src/runner/unequal-blocks.ts";
import { Geometry } from "../../src/selectors/geometry.ts";

const geometry = new Geometry({ volumeBlocks: [64, 64], blockSizeBytes: 4096, extentBlocks: 16 });
const write = { kind: "write", operationId: 0, batch: 0, firstBlock: 2, blockCount: 3 } as const;

test("blocks stay unequal until both volumes have taken an operation on them", () => {
  let added = 0;
  const unequal = new UnequalBlocks(2, { onAdded: () => added++ });
  const extent = geometry.extent(geometry.pdOf(1, 16));
  unequal.add(extent, write);
  expect([17, 18, 20, 21].map((block) => unequal.has(1, block))).toEqual([false, true, true, false]);
  expect(unequal.has(0, 18)).toBe(false);
  unequal.delete(extent, { ...write, firstBlock: 3, blockCount: 1 });
  expect([18, 19, 20].map((block) => unequal.has(1, block))).toEqual([true, false, true]);
  expect(added).toBe(1);
});

test("a run that goes on knows the unequal blocks of the one before", () => {
  const before = new UnequalBlocks(2);
  before.add(geometry.extent(geometry.pdOf(1, 16)), write);
  const after = new UnequalBlocks(2, { known: JSON.parse(JSON.stringify(before)) });
  expect([17, 18, 20, 21].map((block) => after.has(1, block))).toEqual([false, true, true, false]);
});
