import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concurrentHistory } from "./brute-force/arbitrary.ts";
import { arrangements } from "./brute-force/arrangements.ts";
import { isSameBlock, type Read, touches, type Write } from "./brute-force/history.ts";
import { readSteps, writeSteps } from "./brute-force/orders.ts";
import { explainsReads } from "./brute-force/reads.ts";

const write = (content: number, submitted: number, completed: number, more: Partial<Write> = {}): Write => ({
  id: submitted,
  content,
  blocks: [0, 1],
  submitted,
  completed,
  outcome: "ok",
  ...more,
});
const read = (content: number, submitted: number, completed: number, block = 0): Read => ({
  block,
  content,
  submitted,
  completed,
});
const never = Number.POSITIVE_INFINITY;
const inDoubt = { outcome: "inDoubt" } as const;
const twoInTurn = [write(7, 1, 2), write(8, 3, 4)];
const twoAtOnce = [write(7, 1, 3), write(8, 2, 4)];

const explained: Record<string, [readonly Write[], readonly Read[]]> = {
  "zeros before all writes": [twoInTurn, [read(0, -2, -1)]],
  "the newest of two writes in turn": [twoInTurn, [read(8, 5, 6)]],
  "the old content while the write is in flight": [twoInTurn, [read(0, 1.1, 1.9)]],
  "the new content while the write is in flight": [twoInTurn, [read(7, 1.1, 1.9)]],
  "either of two writes in flight together, the one": [twoAtOnce, [read(7, 5, 6)]],
  "either of two writes in flight together, the other": [twoAtOnce, [read(8, 5, 6), read(8, 7, 8)]],
  "a write that never completed, late": [
    [...twoInTurn, write(9, 5, never)],
    [read(8, 6, 7), read(9, 8, 9)],
  ],
  "a write in doubt that happened": [[...twoInTurn, write(9, 5, 6, inDoubt)], [read(9, 7, 8)]],
  "a write in doubt that did not happen": [[...twoInTurn, write(9, 5, 6, inDoubt)], [read(8, 7, 8)]],
  "a write in doubt that happens just before its fence": [
    [...twoInTurn, write(9, 5, 20, inDoubt)],
    [read(8, 7, 8), read(9, 9, 10)],
  ],
  "a write in doubt that happened on one of its blocks": [
    [write(7, 1, 2, { blocks: [0, 2] }), write(9, 5, 6, { ...inDoubt, blocks: [0, 2] })],
    [read(9, 7, 8, 0), read(7, 7, 8, 1)],
  ],
  "a write in doubt, seen and zeroed before a read that began after its fence": [
    [write(9, 3, 6, inDoubt), write(0, 3.5, 10)],
    [read(9, 4, 9), read(0, 7, 8)],
  ],
  "two reads at once that see a write in whatever order": [[write(7, 1, 6)], [read(7, 2, 4), read(0, 3, 5)]],
  "blocks that order the same two writes differently": [
    [write(7, 1, 3, { blocks: [0, 2] }), write(8, 2, 4, { blocks: [0, 2] })],
    [read(7, 5, 6, 0), read(8, 5, 6, 1)],
  ],
};

const unexplained: Record<string, [readonly Write[], readonly Read[]]> = {
  "zeros after a write": [twoInTurn, [read(0, 2.1, 2.2)]],
  "an older content than that of the newest completed write": [twoInTurn, [read(7, 5, 6)]],
  "a content from the future": [twoInTurn, [read(8, 2.1, 2.9)]],
  "a content that was never written there": [twoInTurn, [read(9, 5, 6)]],
  "the old content after the new one": [[write(7, 1, 6)], [read(7, 2, 3), read(0, 4, 5)]],
  "a change of mind between two writes in flight together": [twoAtOnce, [read(7, 5, 6), read(8, 7, 8)]],
  "a write in doubt that appears after its fence": [
    [...twoInTurn, write(9, 5, 8, inDoubt)],
    [read(8, 9, 10), read(9, 11, 12)],
  ],
  "a write in doubt that goes again": [
    [...twoInTurn, write(9, 5, 20, inDoubt)],
    [read(9, 6, 7), read(8, 8, 9)],
  ],
  "a write that was in doubt under a newer one": [[write(7, 1, 2, inDoubt), write(8, 3, 4)], [read(7, 5, 6)]],
  "a write of the block next door": [[write(7, 1, 2, { blocks: [1, 1] })], [read(7, 3, 4)]],
  "a write of another volume": [[write(7, 1, 2, { volume: 1 })], [read(7, 3, 4)]],
};

describe("the brute-force oracle of reads", () => {
  test.for(Object.entries(explained))("explains %s", ([, [writes, reads]]) => {
    expect(explainsReads(writes, reads)).toBe(true);
  });

  test.for(Object.entries(unexplained))("finds no explanation for %s", ([, [writes, reads]]) => {
    expect(explainsReads(writes, reads)).toBe(false);
  });

  test("starts from the content given", () => {
    expect(explainsReads([], [read(3, 1, 2)], () => 3)).toBe(true);
    expect(explainsReads([], [read(0, 1, 2)], () => 3)).toBe(false);
  });

  test("agrees with trying every order, and with what really happened", () => {
    let legal = 0;
    let count = 0;
    for (const overlap of [false, true]) {
      const histories = concurrentHistory({
        writesMax: 4,
        readsMax: 3,
        blocksMax: 2,
        overlap,
        inDoubt: true,
      });
      fc.assert(
        fc.property(histories, ({ writes, reads, isSpoiled }) => {
          const byTrying = [0, 1].every((block) => isExplainedByTrying(writes, reads, block));
          expect(explainsReads(writes, reads)).toBe(byTrying);
          if (!isSpoiled) expect(byTrying).toBe(true);
          legal += byTrying ? 1 : 0;
          count++;
        }),
        { numRuns: 500 },
      );
    }
    expect(legal / count).toBeGreaterThan(0.3);
    expect(legal / count).toBeLessThan(0.7);
  });
});

function isExplainedByTrying(writes: readonly Write[], reads: readonly Read[], block: number): boolean {
  const steps = [
    ...writeSteps(
      writes.filter((one) => touches(one, { block })),
      { block },
    ),
    ...readSteps(reads.filter((one) => isSameBlock(one, { block }))),
  ];
  return arrangements(steps, (step) => step.kind === "write" && step.isOptional).some((order) => {
    let content = 0;
    return order.every((step) => {
      if (step.kind === "write") content = step.content;
      return step.content === content;
    });
  });
}
