import { describe, expect, test } from "vitest";
import { Choices } from "../../../src/generators/choices.ts";
import type { Violation } from "../../../src/model/violation.ts";
import type { Performable } from "../../../src/reproduce/shrink/outline.ts";
import { failingOf, smallest } from "../../../src/reproduce/shrink/search.ts";
import {
  rateText,
  SequentialTest,
  Trials,
  wantedRate,
  wilsonInterval,
} from "../../../src/reproduce/shrink/trials.ts";
import type { HistoryPlan } from "../../../src/selectors/history-builder.ts";
import { drawnPlan, violationOf } from "./histories.ts";

const violation = violationOf();
const parts = 1_000_000;

/** Trials of histories of which each fails at a rate of its own. */
function trialsOf(
  rateOf: (plan: HistoryPlan) => number,
  { seed = 1, triesMax = 2000 }: { readonly seed?: number; readonly triesMax?: number } = {},
): { readonly trials: Trials; readonly tries: () => number } {
  const choices = new Choices(BigInt(seed), 77n);
  let count = 0;
  const trials = new Trials({
    isRepeatable: false,
    triesMax,
    isOver: () => false,
    perform: async ({ plan }): Promise<Violation | undefined> => {
      count++;
      return choices.below(parts) < rateOf(plan) * parts ? violation : undefined;
    },
  });
  return { trials, tries: () => count };
}

const candidate = failingOf(drawnPlan(1n, [1, 2, 3]), violation)!;

/** How often, of some times, a history of a rate is taken, and with how many tries on average. */
async function takenShare(
  rate: number,
  wanted: number,
  times = 400,
): Promise<{ share: number; tries: number }> {
  let taken = 0;
  let tries = 0;
  for (let seed = 0; seed < times; seed++) {
    const { trials, tries: count } = trialsOf(() => rate, { seed });
    if ((await trials.fails(candidate, wanted)) !== undefined) taken++;
    tries += count();
  }
  return { share: taken / times, tries: tries / times };
}

describe("tries of a history that fails only sometimes", () => {
  test.for([0.05, 0.1, 0.25, 0.5])(
    "take one that fails at the wanted rate of %s, nearly always",
    async (wanted) => {
      const { share } = await takenShare(wanted, wanted);
      expect(share).toBeGreaterThan(0.92);
    },
  );

  test("take one that fails as often as the whole did, almost always", async () => {
    const { share } = await takenShare(0.2, wantedRate({ failures: 4, tries: 20 }));
    expect(share).toBeGreaterThan(0.98);
  });

  test.for([
    [0.1, 2 / 5],
    [0.25, 2 / 5],
    [0.5, 1 / 10],
  ] as const)("refuse one that is wanted to fail at %s, and fails at %d of that", async ([wanted, part]) => {
    const { share } = await takenShare(wanted * part, wanted);
    expect(share).toBeLessThan(0.03);
  });

  test("refuse one that never fails, early", async () => {
    const { share, tries } = await takenShare(0, 0.1, 20);
    expect(share).toBe(0);
    expect(tries).toBeLessThan(50);
    expect((await takenShare(0, 0.5, 20)).tries).toBeLessThan(8);
  });

  test("never take one that failed once", () => {
    for (const wanted of [0.05, 0.3, 0.5]) {
      const once = new SequentialTest({ wanted, triesMax: 1000 });
      expect(once.add(true)).toBeUndefined();
    }
  });

  test("end when there were as many as are allowed", async () => {
    const { trials, tries } = trialsOf(() => 0.05, { triesMax: 12 });
    expect(await trials.fails(candidate, 0.1)).toBeUndefined();
    expect(tries()).toBe(12);
  });

  test("end when time is up, without a verdict of what was under way", async () => {
    let count = 0;
    const trials = new Trials({
      ...{ isRepeatable: false, triesMax: 100 },
      isOver: () => count >= 3,
      perform: async () => {
        count++;
        return violation;
      },
    });
    expect(await trials.fails(candidate, 0.1)).toBeUndefined();
    expect(count).toBe(3);
  });

  test("is one, where the same run ends the same each time", async () => {
    let count = 0;
    const trials = new Trials({
      ...{ isRepeatable: true, triesMax: 100, isOver: () => false },
      perform: async () => (++count === 1 ? violation : undefined),
    });
    expect(await trials.fails(candidate, 0.5)).toBe(violation);
    expect(await trials.fails(candidate, 0.5)).toBeUndefined();
    expect(count).toBe(2);
  });
});

describe("shrinking what fails 1 time in 5", () => {
  /** Needs a tail to be deallocated, and a write with FUA; anything fails now and then by chance. */
  const isCause = ({ visits }: HistoryPlan): boolean => {
    const kinds = new Set(visits.flatMap(({ operations }) => operations.map(({ kind }) => kind)));
    return kinds.has("deallocateExtent") && kinds.has("writeFua");
  };
  const plan = drawnPlan(5n, [0, 13, 20, 2, 1, 24, 6, 30, 9, 19, 36, 4, 3, 26, 70, 8]);

  async function shrunk(seed: number, noise: number): Promise<{ plan: HistoryPlan; tries: number }> {
    const { trials, tries } = trialsOf((plan) => (isCause(plan) ? 0.2 : noise), { seed, triesMax: 100 });
    const whole: Performable = failingOf(plan, violation)!;
    const tally = await trials.tally(whole, 20);
    const found = await smallest(failingOf(plan, violation)!, {
      isOver: () => false,
      fails: (one) => trials.fails(one, wantedRate(tally)),
    });
    return { plan: found.plan, tries: tries() };
  }

  test("keeps what makes it fail, and hardly anything else", async () => {
    expect(isCause(plan)).toBe(true);
    let kept = 0;
    let operations = 0;
    let tries = 0;
    const times = 60;
    for (let seed = 1; seed <= times; seed++) {
      const found = await shrunk(seed, 0.005);
      if (isCause(found.plan)) kept++;
      operations += found.plan.visits.reduce((sum, visit) => sum + visit.operations.length, 0);
      tries += found.tries;
    }
    expect(kept / times).toBeGreaterThanOrEqual(0.95);
    expect(operations / times).toBeLessThan(3.5);
    expect(tries / times).toBeLessThan(4000);
  });
});

describe("how often something fails", () => {
  // Wilson's interval as published for 95 %: Newcombe, Statistics in Medicine 17, 1998, table I.
  test.for([
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ] as const)("of %i failures in %i tries lies between %d and %d", ([failures, tries, low, high]) => {
    const interval = wilsonInterval({ failures, tries });
    expect(interval.low).toBeCloseTo(low, 4);
    expect(interval.high).toBeCloseTo(high, 4);
  });

  test("is told with what is sure about it", () => {
    expect(rateText({ failures: 20, tries: 20 })).toBe("20 of 20 tries (84 to 100 %)");
    expect(rateText({ failures: 0, tries: 0 })).toBe("no try, as time was up");
  });
});
