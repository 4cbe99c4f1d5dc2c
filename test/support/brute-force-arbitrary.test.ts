import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concurrentHistory, crashHistory, diffHistory, snapshotHistory } from "./brute-force/arbitrary.ts";
import { precedes, type Timed, type Write } from "./brute-force/history.ts";

const options = { writesMax: 8, readsMax: 8, blocksMax: 8, volumesMax: 2, overlap: false, inDoubt: true };

const sharesBlock = (one: Write, other: Write): boolean =>
  one.volume === other.volume &&
  one.blocks[0] < other.blocks[0] + other.blocks[1] &&
  other.blocks[0] < one.blocks[0] + one.blocks[1];

const pairs = <W extends Write>(writes: readonly W[]) =>
  writes.flatMap((one, index) => writes.slice(index + 1).map((other) => [one, other] as const));

const expectNumbered = (...timed: readonly Timed[]) => {
  const events = timed.flatMap(({ submitted, completed }) => [submitted, completed]).filter(Number.isFinite);
  expect(events.sort((one, other) => one - other)).toEqual(events.map((_, index) => index + 1));
  for (const { submitted, completed } of timed) expect(submitted).toBeLessThan(completed);
};

describe("a random history", () => {
  test("numbers its events as they come, without gaps", () => {
    fc.assert(
      fc.property(concurrentHistory(options), ({ writes, reads }) => expectNumbered(...writes, ...reads)),
    );
    fc.assert(
      fc.property(snapshotHistory(options), ({ writes, reads, snapshot }) =>
        expectNumbered(...writes, ...reads, snapshot),
      ),
    );
    fc.assert(
      fc.property(diffHistory(options), ({ writes, reads, base, snapshot }) => {
        expectNumbered(...writes, ...reads, snapshot, ...(base === undefined ? [] : [base]));
        if (base !== undefined) expect(precedes(base, snapshot)).toBe(true);
      }),
    );
    fc.assert(
      fc.property(crashHistory(options), ({ writes, flushes, crashAt }) => {
        expectNumbered(...writes, ...flushes, { submitted: crashAt, completed: Number.POSITIVE_INFINITY });
        for (const { submitted, completed, outcome } of writes) {
          expect(submitted).toBeLessThan(crashAt);
          if (completed > crashAt) {
            expect({ completed, outcome }).toEqual({
              completed: Number.POSITIVE_INFINITY,
              outcome: "inDoubt",
            });
          }
        }
      }),
    );
  });

  test("keeps writes on one block apart unless they may overlap, and numbers them in their order", () => {
    let overlapping = 0;
    for (const overlap of [false, true]) {
      fc.assert(
        fc.property(concurrentHistory({ ...options, overlap }), ({ writes }) => {
          expect(new Set(writes.map(({ lts }) => lts)).size).toBe(writes.length);
          for (const [one, other] of pairs(writes)) {
            if (!sharesBlock(one, other)) continue;
            const [first, second] = one.submitted < other.submitted ? [one, other] : [other, one];
            if (!precedes(first, second)) overlapping++;
            else expect(first.lts).toBeLessThan(second.lts);
          }
          if (!overlap) expect(overlapping).toBe(0);
        }),
      );
    }
    expect(overlapping).toBeGreaterThan(50);
  });

  test("has writes in doubt only where asked", () => {
    const doubtful = (inDoubt: boolean): number =>
      fc
        .sample(concurrentHistory({ ...options, inDoubt }), { numRuns: 100, seed: 1 })
        .flatMap(({ writes }) => writes)
        .filter(({ outcome }) => outcome === "inDoubt").length;
    expect(doubtful(false)).toBe(0);
    expect(doubtful(true)).toBeGreaterThan(50);
  });
});
