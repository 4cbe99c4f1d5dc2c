import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Violation } from "../../../src/model/violation.ts";
import { performable, sizeOf, without } from "../../../src/reproduce/shrink/outline.ts";
import { failingOf, keyOf, smallest } from "../../../src/reproduce/shrink/search.ts";
import { HistoryBuilder, type HistoryPlan } from "../../../src/selectors/history-builder.ts";
import { historyText, parseHistory } from "../../../src/selectors/history-text.ts";
import { bodyOf, drawnPlan, expectValid, geometry, plans, violationOf } from "./histories.ts";

const violation = violationOf();

/** Shrinks with an oracle that never has doubts. */
async function shrunkBy(
  plan: HistoryPlan,
  fails: (plan: HistoryPlan) => boolean,
  options: { readonly passed?: Set<string>; readonly onTry?: (plan: HistoryPlan, text: string) => void } = {},
): Promise<{ readonly plan: HistoryPlan; readonly text: string }> {
  return smallest(failingOf(plan, violation)!, {
    isOver: () => false,
    ...(options.passed === undefined ? {} : { passed: options.passed }),
    fails: async ({ plan, text }): Promise<Violation | undefined> => {
      options.onTry?.(plan, text);
      return fails(plan) ? violation : undefined;
    },
  });
}

/** What is done, in words that stay the same when things are renumbered. */
function wordsOf({ visits, clones, snapshotNames }: HistoryPlan): readonly string[] {
  return [
    ...visits.flatMap(({ operations, reads = [], steps = [] }) => [
      ...operations.map(({ kind }) => kind as string),
      ...reads.map(() => "read"),
      ...steps.map((step) =>
        "snapshot" in step ? `${step.kind} ${snapshotNames[step.snapshot]}` : step.kind,
      ),
    ]),
    ...[...clones.values()]
      .flat()
      .flatMap(({ operations }) => operations.map(({ kind }) => `clone's ${kind}`)),
  ];
}

/** An oracle that needs some of what a history does, all of it, in any order. */
function needs(words: readonly string[]): (plan: HistoryPlan) => boolean {
  return (plan) => {
    const left = [...wordsOf(plan)];
    return words.every((word) => {
      const place = left.indexOf(word);
      if (place >= 0) left.splice(place, 1);
      return place >= 0;
    });
  };
}

/** Plans, each with some of what it does. */
function plansWith(
  wordsOf: (plan: HistoryPlan) => readonly string[],
): fc.Arbitrary<{ readonly plan: HistoryPlan; readonly cause: readonly string[] }> {
  return plans.chain((plan) => {
    const words = [...wordsOf(plan)];
    const cause = fc.subarray(words, { minLength: 1, maxLength: Math.min(4, words.length) });
    return fc.record({ plan: fc.constant(plan), cause });
  });
}

const causes = plansWith(wordsOf);
const operationCauses = plansWith(({ visits }) =>
  visits.flatMap(({ operations }) => operations.map(({ kind }) => kind)),
);

describe("the smallest history", () => {
  test("fails, and is one from which nothing more can be taken", async () => {
    await fc.assert(
      fc.asyncProperty(causes, async ({ plan, cause }) => {
        const fails = needs(cause);
        const found = await shrunkBy(plan, fails);
        expect(fails(found.plan)).toBe(true);
        const parts = [
          ...found.plan.visits.flatMap(({ operations, reads = [], steps = [] }) => [
            ...operations,
            ...reads,
            ...steps,
          ]),
          ...[...found.plan.clones.values()].flat().flatMap(({ operations }) => operations),
        ];
        for (const part of parts) {
          const less = performable(without(found.plan, new Set([part]), true));
          expect(less === undefined || !fails(less.plan)).toBe(true);
        }
      }),
      { numRuns: 25 },
    );
  });

  test("holds what makes it fail and nothing beside it, but what that can not be without", async () => {
    await fc.assert(
      fc.asyncProperty(operationCauses, async ({ plan, cause }) => {
        const { plan: found } = await shrunkBy(plan, needs(cause));
        expect([...wordsOf(found)].filter((word) => word !== "resize").sort()).toEqual([...cause].sort());
        expect(found.visits.length).toBeLessThanOrEqual(cause.length + 1);
      }),
      { numRuns: 25 },
    );
  });

  test("comes from tries that are all histories, performed as they are read, and none of them twice", async () => {
    await fc.assert(
      fc.asyncProperty(causes, async ({ plan, cause }) => {
        const texts = new Set<string>();
        await shrunkBy(plan, needs(cause), {
          onTry: (plan, text) => {
            expectValid(plan);
            expect(text).toBe(historyText(plan));
            expect(texts.has(text)).toBe(false);
            texts.add(text);
          },
        });
      }),
      { numRuns: 20 },
    );
  });

  test("is no larger than what was given, if that is what fails alone", async () => {
    const plan = drawnPlan(7n, [0, 25, 40, 50, 60, 3, 9, 27]);
    const text = historyText(plan);
    const found = await shrunkBy(plan, (plan) => historyText(plan) === text);
    expect(found.text).toBe(text);
  });

  test("is the same when the search is stopped and begun again with what it knew", async () => {
    await fc.assert(
      fc.asyncProperty(causes, fc.integer({ min: 1, max: 60 }), async ({ plan, cause }, stopAfter) => {
        const fails = needs(cause);
        const straight = await shrunkBy(plan, fails);
        const passed = new Set<string>();
        let tries = 0;
        const stopped = await smallest(failingOf(plan, violation)!, {
          isOver: () => tries >= stopAfter,
          passed,
          fails: async ({ plan }) => (++tries < stopAfter && fails(plan) ? violation : undefined),
        });
        // As it is kept, and taken up by another process.
        const resumed = await shrunkBy(parseHistory(stopped.text, "kept"), fails, {
          passed,
          onTry: (_, text) => expect(passed.has(keyOf(text))).toBe(false),
        });
        expect([...wordsOf(resumed.plan)].sort()).toEqual([...wordsOf(straight.plan)].sort());
      }),
      { numRuns: 15 },
    );
  });

  test("has one block where one is enough, the one that it is about if it can be", async () => {
    const history = new HistoryBuilder({ seed: 1n, geometry });
    history.extent(1).write({ block: 2, blocks: 9 }).readRange(0, 12).finish();
    const about = { ...violation, block: 16 + 7 };
    const touches = ({ visits }: HistoryPlan, block: number) =>
      visits.some(({ operations }) =>
        operations.some(
          ({ firstBlock, blockCount }) => firstBlock <= block && block < firstBlock + blockCount,
        ),
      );
    const found = await smallest(failingOf(history.finish(), about)!, {
      isOver: () => false,
      isSpaceKept: true,
      fails: async ({ plan }) => (touches(plan, 7) ? about : undefined),
    });
    expect(bodyOf(found.text)).toEqual(["0.0 0/1 write 7"]);
  });

  test("has plain kinds and one batch where nothing else is needed", async () => {
    const plan = parseHistory(
      `harrow history 1
seed 1
block-size 4096
extent-blocks 16
volume-blocks 64

0.3 0/3 write-fua 3..4
0.5 0/3 compare-and-write 8 batch 1
1.0 0/3 deallocate-extent 0..15
`,
      "plan",
    );
    const found = await shrunkBy(plan, ({ visits }) => sizeOf({ ...plan, visits }).operations === 3);
    expect(bodyOf(found.text)).toEqual(["0.0 0/0 write 3", "0.1 0/0 write 8", "1.0 0/0 deallocate 0"]);
  });

  test("has no more volumes, extents and blocks than it needs", async () => {
    const history = new HistoryBuilder({ seed: 1n, geometry });
    history.extent(6).write({ block: 9, blocks: 2 }).finish();
    const found = await shrunkBy(
      history.finish(),
      ({ visits }) => visits[0]!.operations[0]?.blockCount === 2,
    );
    const { volumeBlocks, extentBlocks, blockSizeBytes } = found.plan.geometry;
    expect({ volumeBlocks, extentBlocks, blockSizeBytes }).toEqual({
      volumeBlocks: [2],
      extentBlocks: 2,
      blockSizeBytes: 4096,
    });
    expect(bodyOf(found.text)).toEqual(["0.0 0/0 write 0..1"]);
  });

  test("keeps the space that it needs", async () => {
    const history = new HistoryBuilder({ seed: 1n, geometry });
    history.extent(0).writes(3).finish().extent(6).write({ block: 9, blocks: 1 }).finish();
    const found = await shrunkBy(
      history.finish(),
      ({ geometry: { volumeBlocks }, visits }) =>
        volumeBlocks.length === 2 &&
        volumeBlocks[0]! >= 30 &&
        visits.some(({ operations }) => operations.length > 0),
    );
    expect(found.plan.geometry.volumeBlocks).toHaveLength(2);
    expect(found.plan.geometry.volumeBlocks[0]).toBeGreaterThanOrEqual(30);
    expect(found.plan.geometry.volumeBlocks[0]).toBeLessThan(64);
  });

  test.for<[number | undefined, (depth: number) => boolean]>([
    [undefined, () => true],
    [2, (depth) => depth >= 2],
    [4, (depth) => depth >= 3],
    [16, (depth) => depth >= 5],
  ])("has %s lts in flight together if that is enough", async ([expected, isEnough]) => {
    const plan = { ...drawnPlan(3n, [1, 2, 3, 4]), depth: 16 };
    const { plan: found } = await shrunkBy(plan, ({ depth = 1 }) => isEnough(depth));
    expect(found.depth).toBe(expected);
  });

  test("keeps lts at which nothing is done, if they are what it needs", async () => {
    const plan = parseHistory(
      `${historyText(drawnPlan(3n, [1, 2, 3])).split("\n\n")[0]}

0.0 0/0 write 1
4.0 0/0 write 2
9.0 0/0 write 3
`,
      "plan",
    );
    const { plan: found } = await shrunkBy(
      plan,
      ({ visits }) => visits.length > 4 && visits.at(-1)!.operations.length === 1,
    );
    expect(found.visits).toHaveLength(5);
    expect(sizeOf(found).operations).toBe(1);
  });
});
