import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ExtentWindow } from "../../src/selectors/extent-window.ts";

/** The visits of `steps` lts, by turning the window by hand. */
function bruteForce({ n, w, r, steps }: { n: number; w: number; r: number; steps: number }): number[] {
  const pids: number[] = [];
  for (let slide = 0; pids.length < steps; slide++)
    for (let repeat = 0; repeat < r; repeat++)
      for (let place = 0; place < w; place++) pids.push((slide + place) % n);
  return pids.slice(0, steps);
}

const shapeArb = fc
  .record({
    n: fc.integer({ min: 1, max: 12 }),
    w: fc.integer({ min: 1, max: 7 }),
    r: fc.integer({ min: 1, max: 7 }),
  })
  .filter(({ n, w }) => w <= n)
  .map(({ n, w, r }) => ({ n, w, r, steps: 3 * (n + w) * w * r }));

const make = ({ n, w, r }: { n: number; w: number; r: number }) =>
  new ExtentWindow({ seed: 99n, extentCount: n, windowSize: w, slideAfterRepeats: r });

describe("the extent window", () => {
  test("visits what a window turned by hand visits, over three generations", () => {
    fc.assert(
      fc.property(shapeArb, (shape) => {
        const window = make(shape);
        const pids = bruteForce(shape);
        expect(pids.map((_, lts) => window.pid(lts))).toEqual(pids);
        expect(new Set(pids.map((_, lts) => window.pd(lts))).size).toBe(new Set(pids).size);
      }),
      { numRuns: 60 },
    );
  });

  test("answers first, last, next and previous visit as a search of the whole history does", () => {
    fc.assert(
      fc.property(shapeArb, (shape) => {
        const window = make(shape);
        const pds = bruteForce(shape).map((_, lts) => window.pd(lts));
        for (const [lts, pd] of pds.entries()) {
          const next = pds.indexOf(pd, lts + 1);
          if (next !== -1) expect(window.nextLts(lts)).toBe(next);
          const before = lts === 0 ? -1 : pds.lastIndexOf(pd, lts - 1);
          expect(window.prevLts(lts)).toBe(before === -1 ? undefined : before);
        }
        for (const pd of new Set(pds)) {
          expect(window.firstLts(pd)).toBe(pds.indexOf(pd));
          expect(window.lastLts(pd, -1)).toBeUndefined();
          for (let lts = 0; lts < pds.length; lts++) {
            const last = pds.lastIndexOf(pd, lts);
            expect(window.lastLts(pd, lts)).toBe(last === -1 ? undefined : last);
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  test("goes on to the next generation after the last visit of an extent", () => {
    const window = make({ n: 5, w: 2, r: 3 });
    const lts = window.lastLts(window.pd(0), 20)!;
    expect(window.generation(lts)).toBe(0);
    const next = window.nextLts(lts);
    expect(window.pd(next)).toBe(window.pd(0));
    expect(window.generation(next)).toBe(1);
  });

  test("counts the extents reached, and names them in the order of their first visit", () => {
    fc.assert(
      fc.property(shapeArb, (shape) => {
        const window = make(shape);
        const reached: number[] = [];
        expect(window.reachedCount(-1)).toBe(0);
        for (let lts = 0; lts < shape.steps; lts++) {
          const pd = window.pd(lts);
          if (!reached.includes(pd)) reached.push(pd);
          expect(window.reachedCount(lts)).toBe(reached.length);
        }
        expect(reached.map((_, index) => window.reachedPd(index))).toEqual(reached);
      }),
      { numRuns: 60 },
    );
  });

  test("has room for a year of visits of a large volume", () => {
    const window = new ExtentWindow({
      seed: 1n,
      extentCount: 2 ** 20,
      windowSize: 100,
      slideAfterRepeats: 10,
    });
    const lts = 3e12 + 17;
    expect(window.lastLts(window.pd(lts), lts)).toBe(lts);
    expect(window.prevLts(window.nextLts(lts))).toBe(lts);
  });

  test("refuses a window that is wider than the volume", () => {
    expect(() => make({ n: 3, w: 4, r: 1 })).toThrow("a window of 4 does not fit 3 extents");
  });
});
