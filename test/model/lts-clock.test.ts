import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LtsClock } from "../../src/model/lts-clock.ts";

/** Ascending [lts, milliseconds], some at the same time, as a run with pauses gives them. */
const histories = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.double({ min: 0, max: 1e6, noNaN: true })), {
    minLength: 1,
    maxLength: 200,
  })
  .chain((steps) =>
    fc.tuple(fc.nat(1000), fc.double({ min: 0, max: 2e12, noNaN: true })).map(([lts, rtsMs]) => {
      let at: readonly [number, number] = [lts, rtsMs];
      return steps.map(([ltsStep, stepMs]) => (at = [at[0] + ltsStep, at[1] + stepMs]));
    }),
  );
const sizes = fc.integer({ min: 4, max: 40 });

function clockOf(history: readonly (readonly [number, number])[], pointsMax?: number): LtsClock {
  const clock = new LtsClock(pointsMax === undefined ? {} : { pointsMax });
  for (const [lts, rtsMs] of history) clock.record(lts, rtsMs);
  return clock;
}

describe("an LtsClock", () => {
  test("knows every lts between two that were recorded, and none outside", () => {
    const clock = clockOf([
      [10, 1000],
      [20, 3000],
    ]);
    expect([9, 10, 11, 15, 20, 21].map((lts) => clock.rtsOf(lts))).toEqual([
      undefined,
      1000,
      1200,
      2000,
      3000,
      undefined,
    ]);
    expect([999, 1000, 1199, 1200, 2999, 3000, 9999].map((rtsMs) => clock.ltsAt(rtsMs))).toEqual([
      undefined,
      10,
      10,
      11,
      19,
      20,
      20,
    ]);
    expect(new LtsClock().rtsOf(0)).toBe(undefined);
    expect(new LtsClock().ltsAt(0)).toBe(undefined);
  });

  test("never goes back, in either direction", () => {
    fc.assert(
      fc.property(histories, sizes, (history, pointsMax) => {
        const clock = clockOf(history, pointsMax);
        const [first, last] = [history[0]!, history.at(-1)!];
        let before = Number.NEGATIVE_INFINITY;
        for (let lts = first[0]; lts <= last[0]; lts++) {
          const rtsMs = clock.rtsOf(lts)!;
          expect(rtsMs).toBeGreaterThanOrEqual(before);
          before = rtsMs;
        }
        const times = history.map(([, rtsMs]) => clock.ltsAt(rtsMs)!);
        expect(times).toEqual(times.toSorted((a, b) => a - b));
      }),
      { numRuns: 50 },
    );
  });

  test("finds, for any time, the last lts that had begun", () => {
    const shares = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(histories, sizes, shares, (history, pointsMax, share) => {
        const clock = clockOf(history, pointsMax);
        const [start, end] = [history[0]![1], history.at(-1)![1]];
        const rtsMs = Math.min(end, start + (end - start) * share);
        const lts = clock.ltsAt(rtsMs)!;
        expect(clock.rtsOf(lts)).toBeLessThanOrEqual(rtsMs);
        const next = clock.rtsOf(lts + 1) ?? Number.POSITIVE_INFINITY;
        expect(next).toBeGreaterThan(rtsMs);
      }),
    );
  });

  test("gives back an lts from its time, where time has passed since the one before", () => {
    fc.assert(
      fc.property(histories, sizes, (history, pointsMax) => {
        const clock = clockOf(history, pointsMax);
        for (let lts = history[0]![0]; lts <= history.at(-1)![0]; lts++) {
          const found = clock.ltsAt(clock.rtsOf(lts)!)!;
          expect(found).toBeGreaterThanOrEqual(lts);
          expect(clock.rtsOf(found)).toBe(clock.rtsOf(lts));
        }
      }),
      { numRuns: 50 },
    );
  });

  test("is bounded and exact at what it keeps: the ends, and every n-th record between", () => {
    fc.assert(
      fc.property(histories, sizes, (history, pointsMax) => {
        const clock = clockOf(history, pointsMax);
        const { points, keepEvery } = clock.toJSON();
        expect(clock.pointCount).toBeLessThan(pointsMax);
        const expected = history.filter(
          (_, index) => index % keepEvery === 0 || index === history.length - 1,
        );
        expect(points).toEqual(expected);
        for (const [lts, rtsMs] of points) expect(clock.rtsOf(lts)).toBe(rtsMs);
        // It thins out no more than it must.
        if (keepEvery > 1) expect(clock.pointCount).toBeGreaterThanOrEqual(Math.floor(pointsMax / 2));
      }),
    );
  });

  test("is off by no more than the time between the points around", () => {
    fc.assert(
      fc.property(histories, sizes, (history, pointsMax) => {
        const clock = clockOf(history, pointsMax);
        const { points } = clock.toJSON();
        for (const [lts, rtsMs] of history) {
          const [from, to] = [
            points.findLast((point) => point[0] <= lts)!,
            points.find((point) => point[0] >= lts)!,
          ];
          expect(Math.abs(clock.rtsOf(lts)! - rtsMs)).toBeLessThanOrEqual(to[1] - from[1]);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("remembers a million lts in 4096 points, every 256th", () => {
    const clock = new LtsClock();
    // Half a minute of silence in the middle.
    const rtsOf = (lts: number) => 1.7e12 + lts * 0.75 + (lts < 500_000 ? 0 : 30_000);
    for (let lts = 0; lts < 1_000_000; lts++) clock.record(lts, rtsOf(lts));
    expect(clock.pointCount).toBeLessThan(4096);
    expect(clock.rtsOf(0)).toBe(rtsOf(0));
    expect(clock.rtsOf(999_999)).toBe(rtsOf(999_999));
    for (const lts of [1, 123_456, 499_000, 501_000, 777_777]) {
      expect(clock.rtsOf(lts)).toBeCloseTo(rtsOf(lts), 2);
    }
    expect(clock.toJSON().keepEvery).toBe(256);
    expect(JSON.stringify(clock).length).toBeLessThan(150_000);
  });

  test("goes on after it was saved as if nothing had been", () => {
    fc.assert(
      fc.property(histories, sizes, fc.nat(200), (history, pointsMax, cut) => {
        const saved = JSON.stringify(clockOf(history.slice(0, cut), pointsMax));
        const clock = LtsClock.fromJSON(JSON.parse(saved));
        expect(JSON.stringify(clock)).toBe(saved);
        for (const [lts, rtsMs] of history.slice(cut)) clock.record(lts, rtsMs);
        expect(clock.toJSON()).toEqual(clockOf(history, pointsMax).toJSON());
      }),
    );
  });

  test("takes a time that passed before for the last one, as after the time of day was set back", () => {
    const clock = clockOf([
      [0, 5000],
      [1, 4000],
      [2, 4500],
      [3, 6000],
    ]);
    expect([0, 1, 2, 3].map((lts) => clock.rtsOf(lts))).toEqual([5000, 5000, 5000, 6000]);
    expect(clock.ltsAt(5000)).toBe(2);
  });

  test.for([
    [4, 100, /lts began as 4: expected an integer above 4/],
    [3, 100, /above 4/],
    [5.5, 100, /above 4/],
    [2 ** 53, 100, /above 4/],
    [5, Number.NaN, /lts 5 began at NaN: expected milliseconds/],
    [5, Number.POSITIVE_INFINITY, /began at Infinity/],
  ] as const)("refuses to record %d at %d", ([lts, rtsMs, message]) => {
    const clock = clockOf([[4, 50]]);
    expect(() => clock.record(lts, rtsMs)).toThrow(message);
    expect(() => clock.record(lts, rtsMs)).toThrow(RangeError);
    expect(clock.toJSON()).toEqual(clockOf([[4, 50]]).toJSON());
  });

  test.for([3, 0, -1, 4.5, Number.NaN, 2 ** 21])("refuses room for %d points", (pointsMax) => {
    expect(() => new LtsClock({ pointsMax })).toThrow(/pointsMax: expected 4 to 1048576/);
  });
});

describe("a saved clock", () => {
  const good = {
    pointsMax: 4,
    keepEvery: 2,
    recordsSinceKept: 1,
    points: [
      [0, 1],
      [2, 5],
    ],
  };
  const rows: Record<string, readonly [unknown, RegExp]> = {
    "is missing": [undefined, /expected an object, got undefined/],
    "is null": [null, /got null/],
    "is text": ["{}", /got string/],
    "holds nothing": [{}, /pointsMax: expected an integer from 4 to 1048576, got undefined/],
    "takes all memory": [{ ...good, pointsMax: 1e12 }, /pointsMax/],
    "keeps every zeroth": [{ ...good, keepEvery: 0 }, /keepEvery: expected an integer from 1/],
    "waits too long": [
      { ...good, recordsSinceKept: 3 },
      /recordsSinceKept: expected an integer from 1 to 2, got 3/,
    ],
    "waits without a point": [{ ...good, points: [] }, /recordsSinceKept: expected an integer from 0 to 0/],
    "has no points": [{ ...good, points: 7 }, /points: expected a list of fewer than 4/],
    "has too many points": [
      {
        ...good,
        points: [
          [0, 1],
          [1, 1],
          [2, 1],
          [3, 1],
        ],
      },
      /fewer than 4/,
    ],
    "has half a point": [{ ...good, points: [[0, 1], [2]] }, /points\[1\].*after \[0, 1\].*got \[2\]/],
    "has a point of text": [{ ...good, points: [["0", 1]] }, /points\[0\]/],
    "has a time that JSON cannot hold": [{ ...good, points: [[0, null]] }, /points\[0\]/],
    "goes back in lts": [
      {
        ...good,
        points: [
          [5, 1],
          [5, 2],
        ],
      },
      /points\[1\].*ascending/,
    ],
    "goes back in time": [
      {
        ...good,
        points: [
          [0, 9],
          [2, 5],
        ],
      },
      /points\[1\].*ascending/,
    ],
  };
  test("that is good is taken", () => {
    expect(LtsClock.fromJSON(good).toJSON()).toEqual(good);
  });
  test.for(Object.entries(rows))("that %s is refused", ([, [value, message]]) => {
    expect(() => LtsClock.fromJSON(value)).toThrow(message);
    expect(() => LtsClock.fromJSON(value)).toThrow(/^the saved clock is damaged: /);
  });
  test("that is anything at all is taken or refused, and never half", () => {
    const point = fc.oneof(fc.tuple(fc.integer(), fc.double()), fc.jsonValue());
    const record = fc.record({
      pointsMax: fc.oneof(fc.integer({ min: 0, max: 9 }), fc.jsonValue()),
      keepEvery: fc.oneof(fc.nat(3), fc.jsonValue()),
      recordsSinceKept: fc.oneof(fc.nat(3), fc.jsonValue()),
      points: fc.oneof(fc.array(point, { maxLength: 5 }), fc.jsonValue()),
    });
    fc.assert(
      fc.property(fc.oneof(record, fc.jsonValue()), (value) => {
        let clock: LtsClock;
        try {
          clock = LtsClock.fromJSON(value);
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError);
          return;
        }
        expect(clock.toJSON()).toEqual(value);
      }),
    );
  });
});
