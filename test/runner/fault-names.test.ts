import { describe, expect, test } from "vitest";
import type { BlockRange, Outcome } from "../../src/sut/port.ts";
import { memoryRun, smallConfig } from "../support/memory-run.ts";
import { replacing } from "../support/replacing.ts";

/** Whole extents at rest and nothing else is looked at, now and then. */
const config = smallConfig
  .replace("every: 40", "every: 0")
  .replace(
    "operations: {",
    "reads: { perLts: { max: 0 }, preRead: 0/1 }\noperations: { weights: { compareAndWrite: 0, compareAndWriteMiss: 0, writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 },",
  );
const underLoad = config
  .replace("perLts: { max: 0 }", "perLts: { min: 2, max: 4 }")
  .replace("recent: { every: 5", "recent: { every: 0")
  .replace("sample: { every: 20", "sample: { every: 0");
const lookingOften = config.replace("recent: { every: 5, extents: 3 }", "recent: { every: 1, extents: 3 }");
const lookingLate = config
  .replace("recent: { every: 5", "recent: { every: 0")
  .replace("sample: { every: 20", "sample: { every: 0")
  .replace("lts: 300", "lts: 60");

interface Written extends BlockRange {
  readonly from: Uint8Array;
}

const overlaps = (a: BlockRange, b: BlockRange): boolean =>
  a.block < b.block + b.blockCount && b.block < a.block + a.blockCount;

/** A target that cuts one write of several blocks down to its first ones, or drops it. */
function shortened(n: number, keptBlocks: number) {
  let seen = 0;
  return replacing((device) => ({
    write: (request) => {
      if (request.blockCount < 4 || ++seen !== n) return device.write(request);
      if (keptBlocks === 0) return Promise.resolve({ kind: "ok" });
      return device.write({
        ...request,
        blockCount: keptBlocks,
        from: request.from.subarray(0, keptBlocks * 4096),
      });
    },
  }));
}

describe("a run on a target that stores a part of a write", () => {
  test("calls it torn, and names a block that has it", async () => {
    const result = await memoryRun({ config, wrap: shortened(100, 2) });
    expect(result.violations[0]).toMatchObject({ class: "torn", rule: "quiescent", rereads: "same" });
    const { block, summary } = result.violations[0]!;
    expect(summary).toContain(`block ${block - 2} has it, this one is as it was before`);
  });

  test("sees the same in reads under load", async () => {
    const result = await memoryRun({ config: underLoad, wrap: shortened(100, 2) });
    expect(result.violations[0]).toMatchObject({ class: "torn", rule: "exhaustive" });
  });

  test("calls it lost if nothing of it is there", async () => {
    const result = await memoryRun({ config, wrap: shortened(100, 0) });
    const classes = new Set(result.violations.map((violation) => violation.class));
    expect(classes).toContain("lost-write");
    expect(classes).not.toContain("torn");
  });
});

/** Applies the n-th write once more or at last: over a newer one, and if it was acknowledged when that has been read. */
function applyingLate(n: number, outcome: Outcome) {
  const isAcknowledged = outcome.kind === "ok";
  let seen = 0;
  let held: Written | undefined;
  let isOver = false;
  return replacing((device) => ({
    write: async (request) => {
      if (++seen === n) {
        held = { block: request.block, blockCount: request.blockCount, from: request.from.slice() };
        return isAcknowledged ? device.write(request) : outcome;
      }
      const done = await device.write(request);
      isOver ||= held !== undefined && overlaps(held, request);
      if (held !== undefined && isOver && !isAcknowledged) {
        await device.write(held);
        held = undefined;
      }
      return done;
    },
    read: async (request) => {
      const done = await device.read(request);
      if (held !== undefined && isOver && isAcknowledged && overlaps(held, request)) {
        await device.write(held);
        held = undefined;
      }
      return done;
    },
  }));
}

describe("a run on a target that applies a write late", () => {
  const lost: Outcome = { kind: "unknown", code: "ERR_CONNECTION_LOST", message: "lost" };

  test.for([
    ["after it was seen not to have happened", config],
    ["before anybody had looked", lookingLate],
  ])("calls one in doubt a ghost that comes %s", async ([, text]) => {
    const classes = new Set<string>();
    for (const n of [20, 30, 40, 50]) {
      const result = await memoryRun({ config: text!, wrap: applyingLate(n, lost) });
      for (const violation of result.violations) classes.add(violation.class);
    }
    expect([...classes]).toEqual(["ghost-write"]);
  });

  test("says of one that was acknowledged, and is back over what was read, that it has come back", async () => {
    const result = await memoryRun({ config: lookingOften, wrap: applyingLate(100, { kind: "ok" }) });
    const [violation] = result.violations;
    expect(["lost-write", "stale"]).toContain(violation!.class);
    expect(violation!.summary).toContain("come back");
  });

  test("does not say so of one that was dropped at once", async () => {
    for (const n of [60, 80, 100]) {
      const result = await memoryRun({ config: lookingOften, wrap: shortened(n, 0) });
      expect(result.violations.length).toBeGreaterThan(0);
      expect(result.violations[0]!.summary).not.toContain("come back");
    }
  });
});
