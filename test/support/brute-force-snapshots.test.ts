import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { snapshotHistory } from "./brute-force/arbitrary.ts";
import type { Read, Shown, Snapshot, Write } from "./brute-force/history.ts";
import { explainsReads } from "./brute-force/reads.ts";
import { explainsSnapshot, explainsSnapshots } from "./brute-force/snapshots.ts";

const never = Number.POSITIVE_INFINITY;
const write = (content: number, submitted: number, completed: number, more: Partial<Write> = {}): Write => ({
  id: content,
  content,
  blocks: [0, 1],
  submitted,
  completed,
  outcome: "ok",
  ...more,
});
/** What the blocks show from block 0 on. */
const snapshot = (submitted: number, completed: number, ...contents: number[]): Snapshot => ({
  submitted,
  completed,
  shown: contents.map((content, block) => ({ block, content })),
});
const onBlock = (block: number): Partial<Write> => ({ blocks: [block, 1] });
const inDoubt = { outcome: "inDoubt" } as const;
/** The write of block 1 begins when that of block 0 is completed. */
const inTurn = [write(7, 1, 2), write(8, 3, 4, onBlock(1))];
const atOnce = [write(7, 1, 3), write(8, 2, 4, onBlock(1))];

const explained: Record<string, [readonly Write[], Snapshot]> = {
  "the state before all writes": [inTurn, snapshot(0, 5, 0, 0)],
  "the state between two writes": [inTurn, snapshot(0, 5, 7, 0)],
  "the state after all writes": [inTurn, snapshot(0, 5, 7, 8)],
  "one of two writes in flight together": [atOnce, snapshot(0, 5, 0, 8)],
  "a write in flight around the call, there": [[write(7, 1, 9)], snapshot(3, 4, 7)],
  "a write in flight around the call, not there": [[write(7, 1, 9)], snapshot(3, 4, 0)],
  "one block of a write in flight": [[write(7, 1, 9, { blocks: [0, 2] })], snapshot(3, 4, 0, 7)],
  "a write in doubt that took effect on one block": [
    [write(7, 1, 2, { ...inDoubt, blocks: [0, 2] })],
    snapshot(3, 4, 0, 7),
  ],
  "a write without a completion": [[write(7, 1, never)], snapshot(3, 4, 7)],
};

const unexplained: Record<string, [readonly Write[], Snapshot]> = {
  "the later of two writes without the earlier": [inTurn, snapshot(0, 5, 0, 8)],
  "a write that was over before the call, missing": [inTurn, snapshot(2.5, 5, 0, 0)],
  "a write that began after the call": [inTurn, snapshot(0, 2.5, 7, 8)],
  "two blocks that share no instant, though each has one": [
    [write(7, 1, 2), write(9, 5, 6), write(8, 3, 4, onBlock(1))],
    snapshot(0, 7, 9, 0),
  ],
  "a content that was never written there": [inTurn, snapshot(0, 5, 8, 8)],
  "a write in doubt under a newer one": [[write(7, 1, 2, inDoubt), write(8, 3, 4)], snapshot(5, 6, 7)],
};

describe("the brute-force oracle of snapshots", () => {
  test.for(Object.entries(explained))("explains %s", ([, [writes, taken]]) => {
    expect(explainsSnapshot(writes, taken)).toBe(true);
  });

  test.for(Object.entries(unexplained))("finds no explanation for %s", ([, [writes, taken]]) => {
    expect(explainsSnapshot(writes, taken)).toBe(false);
  });

  test("asks several volumes for one instant", () => {
    const writes = [write(7, 1, 2), write(8, 3, 4, { volume: 1 })];
    const group = (first: number, second: number): Snapshot => ({
      submitted: 0,
      completed: 5,
      shown: [
        { volume: 0, block: 0, content: first },
        { volume: 1, block: 0, content: second },
      ],
    });
    expect(explainsSnapshot(writes, group(7, 0))).toBe(true);
    expect(explainsSnapshot(writes, group(0, 8))).toBe(false);
  });

  test("starts from the content given", () => {
    expect(explainsSnapshot([], snapshot(1, 2, 3), { initial: () => 3 })).toBe(true);
    expect(explainsSnapshot([], snapshot(1, 2, 0), { initial: () => 3 })).toBe(false);
  });

  test("wants reads and snapshot explained together", () => {
    const writes = [write(7, 1, 9)];
    const before: Read = { block: 0, content: 7, submitted: 2, completed: 3 };
    expect(explainsReads(writes, [before])).toBe(true);
    expect(explainsSnapshot(writes, snapshot(4, 5, 0))).toBe(true);
    expect(explainsSnapshot(writes, snapshot(4, 5, 0), { reads: [before] })).toBe(false);
    expect(explainsSnapshot(writes, snapshot(4, 5, 7), { reads: [before] })).toBe(true);
    const elsewhere: Read = { block: 5, content: 1, submitted: 2, completed: 3 };
    expect(explainsSnapshot(writes, snapshot(4, 5, 7), { reads: [elsewhere] })).toBe(false);
  });

  test("wants several snapshots to agree on one order", () => {
    const writes = [write(7, 1, 9), write(8, 2, 10)];
    expect(explainsSnapshots(writes, [snapshot(3, 4, 7), snapshot(5, 6, 8)])).toBe(true);
    expect(explainsSnapshots(writes, [snapshot(3, 4, 8), snapshot(5, 6, 0)])).toBe(false);
    const two = [write(7, 1, 9), write(8, 2, 10, onBlock(1))];
    expect(explainsSnapshots(two, [snapshot(3, 5, 7, 0), snapshot(4, 6, 7, 8)])).toBe(true);
    expect(explainsSnapshots(two, [snapshot(3, 5, 7, 8), snapshot(4, 6, 7, 0)])).toBe(true);
    expect(explainsSnapshots(two, [snapshot(3, 5, 7, 0), snapshot(4, 6, 0, 8)])).toBe(false);
  });

  test("agrees with reads of all blocks between the same two events, and with what really happened", () => {
    let legal = 0;
    let count = 0;
    for (const overlap of [false, true]) {
      const options = { writesMax: 5, readsMax: 3, blocksMax: 3, volumesMax: 2, overlap, inDoubt: true };
      fc.assert(
        fc.property(snapshotHistory(options), ({ writes, reads, snapshot, isSpoiled }) => {
          const byReads = isExplainedByReads(writes, reads, snapshot);
          expect(explainsSnapshot(writes, snapshot, { reads })).toBe(byReads);
          if (!isSpoiled) expect(byReads).toBe(true);
          legal += byReads ? 1 : 0;
          count++;
        }),
        { numRuns: 500 },
      );
    }
    expect(legal / count).toBeGreaterThan(0.3);
    expect(legal / count).toBeLessThan(0.7);
  });
});

function isExplainedByReads(
  writes: readonly Write[],
  reads: readonly Read[],
  { shown, submitted, completed }: Snapshot & { readonly shown: readonly Shown[] },
): boolean {
  const gaps = Array.from({ length: completed - submitted }, (_, index) => submitted + index);
  return gaps.some((event) => {
    const atOnce = shown.map((one) => ({ ...one, submitted: event + 0.3, completed: event + 0.7 }));
    return explainsReads(writes, [...reads, ...atOnce]);
  });
}
