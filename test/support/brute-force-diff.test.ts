import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { diffHistory } from "./brute-force/arbitrary.ts";
import { arrangements } from "./brute-force/arrangements.ts";
import { type Diff, legalDiff } from "./brute-force/diff.ts";
import type { Read, Snapshot, Write } from "./brute-force/history.ts";
import { writeSteps } from "./brute-force/orders.ts";

const write = (content: number, submitted: number, completed: number, more: Partial<Write> = {}): Write => ({
  id: submitted,
  content,
  blocks: [0, 1],
  submitted,
  completed,
  outcome: "ok",
  ...more,
});
const onBlock = (block: number): Partial<Write> => ({ blocks: [block, 1] });
const inDoubt = { outcome: "inDoubt" } as const;
/** What the blocks show from block 0 on, where anything is known. */
const snapshot = (submitted: number, completed: number, ...contents: number[]): Snapshot => ({
  submitted,
  completed,
  shown: contents.map((content, block) => ({ block, content })),
});

/** The base is taken between 10 and 11, the snapshot between 20 and 21. */
const diff = (writes: readonly Write[], reported: readonly number[], more: Partial<Diff> = {}): Diff => ({
  writes,
  base: snapshot(10, 11),
  snapshot: snapshot(20, 21),
  reported: new Set(reported),
  granularity: 1,
  precision: "covering",
  ...more,
});

const exact = { precision: "exact" } as const;
const between = [write(7, 12, 13)];
/** Written again with what it held, so touched and not different. */
const sameAgain = [write(7, 1, 2), write(0, 12, 13), write(0, 14, 15, onBlock(1))];
const around = [write(7, 9, 12)];

const right: Record<string, Diff> = {
  "a block that was written between": diff(between, [0]),
  "nothing where nothing was written": diff([write(7, 1, 2)], []),
  "nothing where a write comes after the snapshot": diff([write(7, 22, 23)], []),
  "a block that was written with the same content, left out of a covering diff": diff(sameAgain, [0]),
  "a block that was written with the same content": diff(sameAgain, [0, 1]),
  "each touched block in an exact diff": diff(sameAgain, [0, 1], exact),
  "the whole granule of a block": diff(between, [0, 1, 2, 3], { granularity: 4 }),
  "the whole granule of a block, exactly": diff(between, [0, 1, 2, 3], { granularity: 4, ...exact }),
  "a part of the granule of a block": diff(between, [0, 3], { granularity: 4 }),
  "a write in flight at the base as before it": diff(around, []),
  "a write in flight at the base as after it": diff(around, [0]),
  "a write in flight at the base on the side that the base shows": diff(around, [0], {
    base: snapshot(10, 11, 0),
  }),
  "a write in flight at the snapshot that it shows": diff([write(7, 19, 22)], [0], {
    snapshot: snapshot(20, 21, 7),
  }),
  "a write in doubt as it were not": diff([write(7, 12, 13, inDoubt)], []),
  "a write in doubt as it were": diff([write(7, 12, 13, inDoubt)], [0]),
  "everything written, without base": diff([write(7, 1, 2), write(8, 12, 13, onBlock(3))], [0, 3], {
    base: undefined,
  }),
  "zeroed blocks, without base, or not": diff([write(0, 1, 2), write(0, 1, 2, onBlock(1))], [0], {
    base: undefined,
  }),
  "nothing after writes there and back": diff([write(7, 12, 13), write(0, 14, 15)], []),
};

const wrong: Record<string, Diff> = {
  "a block that was written between, missing": diff(between, []),
  "a block that was not written": diff(between, [0, 1]),
  "a block written before the base": diff([write(7, 1, 2)], [0]),
  "a block written after the snapshot": diff([write(7, 22, 23)], [0]),
  "a touched block left out of an exact diff": diff(sameAgain, [0], exact),
  "a block of the next granule": diff(between, [0, 4], { granularity: 4 }),
  "the granule without the block that differs": diff(between, [1, 2, 3], { granularity: 4 }),
  "a write in flight at the base, left out though the base does not have it": diff(around, [], {
    base: snapshot(10, 11, 0),
  }),
  "a write in flight at the base, reported though the base has it": diff(around, [0], {
    base: snapshot(10, 11, 7),
  }),
  "a snapshot that shows what nothing explains": diff(between, [0], { snapshot: snapshot(20, 21, 9) }),
  "a written block left out, without base": diff([write(7, 1, 2)], [], { base: undefined }),
  "an untouched block, without base": diff([write(7, 1, 2)], [0, 1], { base: undefined }),
  "two writes in turn on sides that share no instant": diff(
    [write(7, 11, 12), write(8, 13, 14, onBlock(1))],
    [0],
    { base: snapshot(10, 15), snapshot: snapshot(20, 21) },
  ),
};

describe("the brute-force oracle of diffs", () => {
  test.for(Object.entries(right))("allows %s", ([, answer]) => {
    expect(legalDiff(answer)).toBe(true);
  });

  test.for(Object.entries(wrong))("refuses %s", ([, answer]) => {
    expect(legalDiff(answer)).toBe(false);
  });

  test("holds the answer to what reads of the volume saw", () => {
    const before: Read = { block: 0, content: 7, submitted: 9.2, completed: 9.8 };
    expect(legalDiff(diff(around, [0], { reads: [before] }))).toBe(false);
    expect(legalDiff(diff(around, [], { reads: [before] }))).toBe(true);
  });

  test("asks only the volume that the diff is of, but all for the instants", () => {
    const writes = [write(7, 12, 13, { volume: 1 })];
    expect(legalDiff(diff(writes, []))).toBe(true);
    expect(legalDiff(diff(writes, [0]))).toBe(false);
    expect(legalDiff(diff(writes, [0], { volume: 1 }))).toBe(true);
    const shown = [{ volume: 1, block: 0, content: 0 }];
    expect(legalDiff(diff(writes, [], { snapshot: { submitted: 20, completed: 21, shown } }))).toBe(false);
  });

  test("agrees with trying every order, and with what really changed", () => {
    let legal = 0;
    let count = 0;
    for (const overlap of [false, true]) {
      const options = { writesMax: 4, readsMax: 0, blocksMax: 3, overlap, inDoubt: true };
      fc.assert(
        fc.property(diffHistory(options), ({ isSpoiled, blockCount, ...answer }) => {
          const byTrying = isLegalByTrying(answer, blockCount);
          expect(legalDiff(answer)).toBe(byTrying);
          if (!isSpoiled) expect(byTrying).toBe(true);
          legal += byTrying ? 1 : 0;
          count++;
        }),
        { numRuns: 300 },
      );
    }
    expect(legal / count).toBeGreaterThan(0.3);
    expect(legal / count).toBeLessThan(0.7);
  });
});

/** Tries every pair of gaps between events, every order of each block, and every W and C that come of them. */
function isLegalByTrying(diff: Diff, blockCount: number): boolean {
  const { writes, base, snapshot, reported, granularity, precision } = diff;
  const blocks = Array.from({ length: blockCount }, (_, block) => block);
  const gaps = (call: Snapshot): number[] =>
    Array.from({ length: call.completed - call.submitted }, (_, index) => call.submitted + index + 0.5);
  const contentIn = (call: Snapshot, block: number): number | undefined =>
    call.shown?.find((one) => one.block === block)?.content;

  const changes = (block: number, baseAt: number | undefined, snapshotAt: number): string[] => {
    const cut = (call: Snapshot, at: number) => ({
      kind: "cut" as const,
      content: contentIn(call, block),
      submitted: at - 0.1,
      completed: at + 0.1,
    });
    const baseCut = base === undefined ? undefined : cut(base, baseAt!);
    const snapshotCut = cut(snapshot, snapshotAt);
    const steps = [...writeSteps(writes, { block }), ...(baseCut ? [baseCut] : []), snapshotCut];
    const found = new Set<string>();
    for (const order of arrangements(steps, (step) => step.kind === "write" && step.isOptional)) {
      const contents = order.map((_, index) => {
        const before = order.slice(0, index).findLast((step) => step.kind === "write");
        return before?.content ?? 0;
      });
      const agrees = order.every(
        (step, index) =>
          step.kind === "write" || step.content === undefined || step.content === contents[index],
      );
      if (!agrees) continue;
      const to = order.indexOf(snapshotCut);
      const from = baseCut === undefined ? -1 : order.indexOf(baseCut);
      const touched = order.slice(from + 1, to).some((step) => step.kind === "write");
      const differs = contents[to] !== (from < 0 ? 0 : contents[from]);
      found.add(`${touched ? "W" : ""}${differs ? "C" : ""}`);
    }
    return [...found];
  };

  return (base === undefined ? [undefined] : gaps(base)).some((baseAt) =>
    gaps(snapshot).some((snapshotAt) =>
      product(blocks.map((block) => changes(block, baseAt, snapshotAt))).some((change) => {
        const written = blocks.filter((block) => change[block]!.includes("W"));
        const different = blocks.filter((block) => change[block]!.includes("C"));
        const granules = written.map((block) => Math.floor(block / granularity));
        return (
          (precision === "exact" ? written : different).every((block) => reported.has(block)) &&
          [...reported].every((block) => granules.includes(Math.floor(block / granularity)))
        );
      }),
    ),
  );
}

function product<Item>(choices: readonly (readonly Item[])[]): Item[][] {
  const [first, ...rest] = choices;
  if (first === undefined) return [[]];
  const others = product(rest);
  return first.flatMap((item) => others.map((other) => [item, ...other]));
}
