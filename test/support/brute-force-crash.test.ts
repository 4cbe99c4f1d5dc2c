import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { crashHistory } from "./brute-force/arbitrary.ts";
import { arrangements, subsets } from "./brute-force/arrangements.ts";
import { type Crash, legalAfterCrash } from "./brute-force/crash.ts";
import { type Flush, touches, type Write } from "./brute-force/history.ts";

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
const flush = (submitted: number, completed: number, volume = 0): Flush => ({ volume, submitted, completed });
const fua = { fua: true };
const inDoubt = { outcome: "inDoubt" } as const;

interface Row {
  readonly writes: readonly Write[];
  readonly flushes?: readonly Flush[];
  readonly isWriteThrough?: boolean;
  readonly legal: readonly number[];
}

const crashAt = 100;
const rows: Record<string, Row> = {
  "cached writes, there or not": { writes: [write(7, 1, 2), write(8, 3, 4)], legal: [0, 7, 8] },
  "a write with FUA, there": { writes: [write(7, 1, 2, fua)], legal: [7] },
  "a cached write over one with FUA": { writes: [write(7, 1, 2, fua), write(8, 3, 4)], legal: [7, 8] },
  "a cached write under one with FUA, gone": { writes: [write(7, 1, 2), write(8, 3, 4, fua)], legal: [8] },
  "a cached write beside one with FUA": { writes: [write(7, 1, 3), write(8, 2, 4, fua)], legal: [7, 8] },
  "two writes with FUA at once": { writes: [write(7, 1, 3, fua), write(8, 2, 4, fua)], legal: [7, 8] },
  "a flushed write, there": { writes: [write(7, 1, 2)], flushes: [flush(3, 4)], legal: [7] },
  "a write after the flush": {
    writes: [write(7, 1, 2), write(8, 5, 6)],
    flushes: [flush(3, 4)],
    legal: [7, 8],
  },
  "a write completed during the flush": { writes: [write(7, 1, 3)], flushes: [flush(2, 4)], legal: [0, 7] },
  "a flush without completion": { writes: [write(7, 1, 2)], flushes: [flush(3, never)], legal: [0, 7] },
  "a flush completed after the crash": { writes: [write(7, 1, 2)], flushes: [flush(3, 101)], legal: [0, 7] },
  "a flush of another volume": { writes: [write(7, 1, 2)], flushes: [flush(3, 4, 1)], legal: [0, 7] },
  "no cache": { writes: [write(7, 1, 2), write(8, 3, 4)], isWriteThrough: true, legal: [8] },
  "no cache, and a write in flight": {
    writes: [write(7, 1, 2), write(8, 3, 101)],
    isWriteThrough: true,
    legal: [7, 8],
  },
  "a write with FUA in flight": { writes: [write(7, 1, never, fua)], legal: [0, 7] },
  "a write in doubt, with FUA and flushed": {
    writes: [write(7, 1, 2, { ...fua, ...inDoubt })],
    flushes: [flush(3, 4)],
    legal: [0, 7],
  },
  "a write in doubt under a durable one, gone": {
    writes: [write(7, 1, 2, inDoubt), write(8, 3, 4, fua)],
    legal: [8],
  },
  "a write in doubt whose fence comes after a durable one began": {
    writes: [write(7, 1, 5, inDoubt), write(8, 3, 4, fua)],
    legal: [7, 8],
  },
  "a write after the crash": { writes: [write(7, 101, 102, fua)], legal: [0] },
  "a write of another block": { writes: [write(7, 1, 2, { ...fua, blocks: [1, 3] })], legal: [0] },
};

describe("the brute-force oracle of durability", () => {
  test.for(Object.entries(rows))("allows what it should after %s", ([, row]) => {
    const { writes, flushes = [], isWriteThrough = false, legal } = row;
    const crash = { writes, flushes, crashAt, hasVolatileCache: !isWriteThrough };
    expect([...legalAfterCrash(crash, { block: 0 })].sort()).toEqual(legal);
  });

  test("lets the content from before all writes show unless a write is durable", () => {
    const crash = { writes: [write(7, 1, 2)], flushes: [], crashAt, initial: () => 3 };
    expect(legalAfterCrash({ ...crash, hasVolatileCache: true }, { block: 0 })).toEqual(new Set([3, 7]));
    expect(legalAfterCrash({ ...crash, hasVolatileCache: false }, { block: 0 })).toEqual(new Set([7]));
  });

  test("agrees with trying every order and every loss, and with what a device really held", () => {
    let legalCount = 0;
    let count = 0;
    for (const overlap of [false, true]) {
      const options = { writesMax: 5, blocksMax: 3, volumesMax: 2, overlap, inDoubt: true };
      fc.assert(
        fc.property(crashHistory(options), ({ shown, isSpoiled, ...crash }) => {
          let isLegal = true;
          for (const { volume, block, content } of shown) {
            const legal = legalAfterCrash(crash, { volume, block });
            expect(legal).toEqual(legalByTrying(crash, volume, block));
            isLegal &&= legal.has(content);
          }
          if (!isSpoiled) expect(isLegal).toBe(true);
          legalCount += isLegal ? 1 : 0;
          count++;
        }),
        { numRuns: 400 },
      );
    }
    expect(legalCount / count).toBeGreaterThan(0.3);
    expect(legalCount / count).toBeLessThan(0.7);
  });
});

/** Takes away, from every order of the writes, any of those that may be lost. */
function legalByTrying(crash: Crash, volume: number, block: number): Set<number> {
  const { writes, flushes, crashAt, hasVolatileCache } = crash;
  const mayBeLost = (write: Write): boolean => {
    if (write.outcome === "inDoubt" || write.completed > crashAt) return true;
    if (!hasVolatileCache || write.fua) return false;
    return !flushes.some(
      (one) => one.volume === write.volume && one.submitted > write.completed && one.completed < crashAt,
    );
  };
  const here = writes.filter((write) => touches(write, { volume, block }) && write.submitted < crashAt);
  const outcomes = arrangements(here).flatMap((order) =>
    subsets(order, mayBeLost).map((kept) => kept.at(-1)?.content ?? 0),
  );
  return new Set(outcomes);
}
