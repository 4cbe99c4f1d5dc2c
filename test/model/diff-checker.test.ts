import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BlockSet } from "../../src/model/block-set.ts";
import type { AnswerPage } from "../../src/model/diff-contract.ts";
import { DiffChecker, type DiffQuestion } from "../../src/model/diff-checker.ts";
import { Reconciler, sameContent } from "../../src/model/reconciler.ts";
import { Tracker } from "../../src/model/tracker.ts";
import type { FaultClass } from "../../src/model/violation.ts";
import { effectOf, operationAt, positionOf } from "../../src/selectors/operations.ts";
import { answer } from "../support/answers.ts";
import { coldSnapshot, completeAll, Replay, smallWorkload } from "../support/workloads.ts";

const volumeBlocks = 680;

/** A history with two cuts, and by brute force the blocks touched between them and those that differ. */
function history(seed: bigint, cuts: { base: number | undefined; snapshot: number }) {
  const workload = smallWorkload(seed);
  const tracker = new Tracker();
  if (cuts.base !== undefined) completeAll(tracker, workload, cuts.base);
  const base = cuts.base === undefined ? undefined : coldSnapshot(tracker, 0);
  completeAll(tracker, workload, cuts.snapshot);
  const snapshot = coldSnapshot(tracker, 1);
  const before = new Replay(workload).upTo(cuts.base ?? -1).states.slice();
  const { states: after } = new Replay(workload).upTo(cuts.snapshot);
  const touched = new Set<number>();
  for (let lts = (cuts.base ?? -1) + 1; lts <= cuts.snapshot; lts++) {
    const { extent, operations } = workload.visit(lts);
    for (const { kind, firstBlock, blockCount } of operations)
      for (let block = 0; block < blockCount && effectOf(kind) !== "none"; block++)
        touched.add(extent.firstBlock + firstBlock + block);
  }
  const changed = [...after.keys()].filter((block) => !sameContent(before[block]!, after[block]!));
  const question = (precision: "exact" | "covering"): DiffQuestion => ({
    volume: 0,
    snapshot,
    base,
    blockCount: volumeBlocks,
    promise: { granularityBlocks: 1, chunkBlocks: 64, precision },
  });
  const checker = new DiffChecker(workload, tracker, new Reconciler(workload, tracker));
  const judge = (page: AnswerPage | AnswerPage[], precision: "exact" | "covering" = "covering") => {
    const pages = Array.isArray(page) ? page : [page];
    return checker.check(question(precision), pages, pages).violations.map((violation) => violation.class);
  };
  return { touched, changed, checker, question, judge };
}

const cutsArb = fc.record({
  seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  base: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
  length: fc.integer({ min: 1, max: 60 }),
});

describe("the diff checker", () => {
  test("is content with all touched blocks, and when covering with all that differ", () => {
    fc.assert(
      fc.property(cutsArb, ({ seed, base, length }) => {
        const { touched, changed, judge } = history(seed, { base, snapshot: (base ?? 0) + length });
        expect(judge(answer(touched), "exact")).toEqual([]);
        expect(judge(answer(touched), "covering")).toEqual([]);
        expect(judge(answer(changed), "covering")).toEqual([]);
        if (changed.length < touched.size) expect(judge(answer(changed), "exact")).toEqual(["omission"]);
      }),
      { numRuns: 60 },
    );
  });

  test("sees each single block that is left out or added", () => {
    fc.assert(
      fc.property(cutsArb, fc.nat(), ({ seed, base, length }, salt) => {
        const { touched, changed, judge } = history(seed, { base, snapshot: (base ?? 0) + length });
        if (changed.length > 0) {
          const lost = changed[salt % changed.length]!;
          expect(judge(answer([...touched].filter((block) => block !== lost)))).toEqual(["omission"]);
        }
        const untouched = Array.from({ length: volumeBlocks }, (_, block) => block).filter(
          (block) => !touched.has(block),
        );
        if (untouched.length > 0) {
          const invented = untouched[salt % untouched.length]!;
          expect(judge(answer([...touched, invented]))).toEqual(["over-report"]);
        }
      }),
      { numRuns: 60 },
    );
  });

  const { touched, changed, checker, question, judge } = history(4n, { base: 30, snapshot: 70 });
  const { ranges } = answer(touched);
  const page = (some: AnswerPage["ranges"], offsetLba = 0, nextOffsetLba = 0): AnswerPage => ({
    offsetLba,
    ranges: some,
    nextOffsetLba,
  });

  const breaches: Record<string, [AnswerPage[], FaultClass]> = {
    "out of order": [[page(ranges.toReversed())], "contract"],
    "twice the same": [[page([ranges[0]!, ...ranges])], "contract"],
    "not aligned to chunks": [[page([{ lbaStart: 8, bitmap: new Uint8Array(8) }])], "contract"],
    "beyond the volume": [
      [page([...ranges, { lbaStart: 704, bitmap: Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0) }])],
      "contract",
    ],
    "on a last page that names another": [
      [page(ranges, 0, 0), page([], 0, 0)].slice(0, 1).map((one) => ({ ...one, nextOffsetLba: 64 })),
      "contract",
    ],
    "before their page": [
      [page(ranges.slice(1), 0, 640), page([{ lbaStart: 0, bitmap: new Uint8Array(8) }], 640, 0)],
      "contract",
    ],
    "on a page that does not lead on": [
      [page(ranges.slice(0, 1), 64, 64), page(ranges.slice(1), 64)],
      "contract",
    ],
    "on a page that leads back into itself": [
      [page(ranges, 0, ranges.at(-1)!.lbaStart), page([], ranges.at(-1)!.lbaStart)],
      "contract",
    ],
    "again on the next page": [
      [page(ranges.slice(0, 2), 0, ranges[1]!.lbaStart), page(ranges.slice(1), ranges[1]!.lbaStart)],
      "contract",
    ],
  };
  test.for(Object.entries(breaches))("refuses ranges that are %s", ([, [pages, expected]]) => {
    expect(judge(pages)).toContain(expected);
  });

  test("accepts an answer in any number of pages", () => {
    const pages = ranges.map((range, index) =>
      page([range], index === 0 ? 0 : range.lbaStart, ranges[index + 1]?.lbaStart ?? 0),
    );
    expect(judge(pages)).toEqual([]);
  });

  test("lets blocks that only an operation in doubt touched be reported or not", () => {
    const workload = smallWorkload(4n);
    for (let lts = 70; lts > 30; lts--) {
      const { extent, operations } = workload.visit(lts);
      const operation = operations.find(({ kind }) => kind === "write");
      if (operation === undefined || workload.window.lastLts(extent.pd, 70) !== lts) continue;
      const position = positionOf(lts, operation.operationId);
      const tracker = new Tracker();
      const unknown = new Map([[position, "unknown" as const]]);
      completeAll(tracker, workload, 30, unknown);
      const base = coldSnapshot(tracker, 0);
      completeAll(tracker, workload, 70, unknown);
      const cuts = { base, snapshot: coldSnapshot(tracker, 1) };
      const doubtful = new DiffChecker(workload, tracker, new Reconciler(workload, tracker));
      const first = extent.firstBlock + operation.firstBlock;
      const { states } = new Replay(workload).upTo(70, (one) => one === position);
      const isOthers = (block: number): boolean =>
        states[block] !== 0 && operationAt(states[block]!).lts > 30;
      const without = [...touched].filter(
        (block) => block < first || block >= first + operation.blockCount || isOthers(block),
      );
      if (without.length === touched.size) continue;
      for (const blocks of [touched, without]) {
        const pages = [answer(blocks)];
        for (const precision of ["covering", "exact"] as const)
          expect(doubtful.check({ ...question(precision), ...cuts }, pages, pages).violations).toEqual([]);
      }
      return;
    }
    throw new Error("no operation is alone on a block");
  });

  test("names a diff that is right but for its offset", () => {
    const small = history(4n, { base: 30, snapshot: 31 });
    const shifted = small.changed.map((block) => (block + 64 < volumeBlocks ? block + 64 : block));
    const [violation] = small.checker.check(
      small.question("covering"),
      [answer(shifted)],
      [answer(shifted)],
    ).violations;
    expect(violation).toMatchObject({ class: "wrong-offset", snapshot: 1, base: 0 });
    expect(violation?.summary).toContain("64 blocks too high");
  });

  test("compares the two answers to one question", () => {
    const violations = checker.check(question("covering"), [answer(touched)], [answer(changed)]).violations;
    expect(violations.map((violation) => violation.class)).toEqual(["nondeterministic"]);
  });

  test("names the operation that should have been reported, and the blocks", () => {
    const lost = changed[0]!;
    const [violation] = checker.check(
      question("covering"),
      [answer(changed.slice(1))],
      [answer(changed.slice(1))],
    ).violations;
    expect(violation).toMatchObject({ class: "omission", block: lost, blockCount: 1 });
    const [operation] = violation!.operations;
    expect(operation!.lts).toBeGreaterThan(30);
    expect(operation!.block <= lost && lost < operation!.block + operation!.blockCount).toBe(true);
  });

  test("allows over-reporting up to the granularity that the target declares, and no further", () => {
    const coarse = (units: number): DiffQuestion => ({
      ...question("covering"),
      promise: { granularityBlocks: units, chunkBlocks: 64, precision: "covering" },
    });
    const rounded = new Set(
      [...touched].flatMap((block) => Array.from({ length: 16 }, (_, k) => block - (block % 16) + k)),
    );
    const inside = [...rounded].filter((block) => block < volumeBlocks);
    expect(inside.length).toBeGreaterThan(touched.size);
    expect(checker.check(coarse(16), [answer(inside)], [answer(inside)]).violations).toEqual([]);
    expect(
      checker.check(coarse(8), [answer(inside)], [answer(inside)]).violations.map((one) => one.class),
    ).toEqual(["over-report"]);
  });

  test("refuses any answer against a deleted base", () => {
    expect(checker.deletedBase(question("covering"), [answer([])])).toMatchObject({
      class: "deleted-base-answered",
      rule: "diff",
    });
  });
});

describe("a set of blocks", () => {
  const blocksArb = fc.array(
    fc.oneof(fc.integer({ min: 0, max: 5000 }), fc.constantFrom(0, 1023, 1024, 2 ** 40)),
    { maxLength: 60 },
  );

  test("holds what was added, in order", () => {
    fc.assert(
      fc.property(blocksArb, (blocks) => {
        const set = new BlockSet();
        for (const block of blocks) set.add(block);
        const unique = [...new Set(blocks)].sort((a, b) => a - b);
        expect([...set.blocks()]).toEqual(unique);
        expect(set.size).toBe(unique.length);
        expect(unique.every((block) => set.has(block))).toBe(true);
      }),
    );
  });

  test("subtracts, into the longest runs", () => {
    fc.assert(
      fc.property(blocksArb, blocksArb, (a, b) => {
        const [left, right] = [new BlockSet(), new BlockSet()];
        for (const block of a) left.add(block);
        for (const block of b) right.add(block);
        const runs = [...left.minus(right)];
        const rest = runs.flatMap(({ block, blockCount }) =>
          Array.from({ length: blockCount }, (_, k) => block + k),
        );
        expect(rest).toEqual([...new Set(a)].filter((block) => !b.includes(block)).sort((x, y) => x - y));
        for (const [index, run] of runs.entries())
          if (index > 0)
            expect(run.block).toBeGreaterThan(runs[index - 1]!.block + runs[index - 1]!.blockCount);
        expect(left.equals(right)).toBe(rest.length === 0 && new Set(a).size === new Set(b).size);
      }),
    );
  });
});
