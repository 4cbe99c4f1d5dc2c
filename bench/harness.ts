/**
 * What every bench shares: interleaved rounds, medians, and a table of ratios with their goals.
 *
 * Nothing here fails when a goal is missed: figures of a shared machine are noisy, and a bench is no test.
 *
 * @packageDocumentation
 */
import { performance } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";

export interface Bench {
  readonly name: string;
  /** One sentence: what is measured against what. */
  readonly summary: string;
  run(context: BenchContext): Promise<readonly Comparison[]>;
}

export interface BenchContext {
  /** Aborted by Ctrl-C: stop what was started, and leave. */
  readonly signal: AbortSignal;
  /** Tells a person who waits what is being measured. */
  readonly progress: (what: string) => void;
}

/** One row: a figure, the rival or limit that it is held against, and their ratio. */
export interface Comparison {
  readonly what: string;
  readonly value: number;
  readonly rival: string;
  readonly rivalValue: number;
  readonly unit: string;
  /** `value` over `rivalValue`: the median of the ratios of each round, not the ratio of the medians. */
  readonly ratio: number;
  /** What `ratio` is to be; absent for a row that only informs. */
  readonly goal?: { readonly atLeast: number } | { readonly atMost: number };
}

/** Work per second, one entry a round. */
export type Rates<Name extends string> = Readonly<Record<Name, readonly number[]>>;

/** Does some work for about `forMs` and returns work per second, in a unit of the bench's choice. */
export type Contender = (forMs: number) => number | Promise<number>;

/**
 * Runs the contenders in turns, the other way round in every second round, after one round that is not counted.
 *
 * @throws {unknown} The signal's reason, between two measurements.
 */
export async function interleave<Name extends string>(
  contenders: Readonly<Record<Name, Contender>>,
  { rounds, sliceMs, signal }: { rounds: number; sliceMs: number; signal: AbortSignal },
): Promise<Rates<Name>> {
  const names = Object.keys(contenders) as Name[];
  const rates = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Name, number[]>;
  for (let round = 0; round <= rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      await nextTurn();
      signal.throwIfAborted();
      const rate = await contenders[name](sliceMs);
      if (round > 0) rates[name].push(rate);
    }
  }
  return rates;
}

/** A contender that repeats `work`, which does `amount` of work without waiting for anything. */
export function repeating(amount: number, work: () => void): Contender {
  return (forMs) => {
    const start = performance.now();
    let passes = 0;
    let elapsedMs = 0;
    do {
      work();
      passes += 1;
      elapsedMs = performance.now() - start;
    } while (elapsedMs < forMs);
    return (passes * amount * 1000) / elapsedMs;
  };
}

/** Middle of the values, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1]! + sorted[Math.floor(middle)]!) / 2;
}

/** Compares two contenders of the same rounds; `rivalScale` turns the rival's rate into the one to be held against. */
export function compare<Name extends string>(
  rates: Rates<Name>,
  row: {
    readonly what: string;
    readonly name: Name;
    readonly rival: string;
    readonly rivalName: Name;
    readonly rivalScale?: number;
    readonly unit: string;
    readonly goal?: Comparison["goal"];
  },
): Comparison {
  const { what, rival, unit, rivalScale = 1, goal } = row;
  const own = rates[row.name];
  const others = rates[row.rivalName].map((rate) => rate * rivalScale);
  return {
    what,
    value: median(own),
    rival,
    rivalValue: median(others),
    unit,
    ratio: median(own.map((rate, round) => rate / others[round]!)),
    ...(goal === undefined ? {} : { goal }),
  };
}

/** Whether the goal is met; `undefined` if there is none. */
export function isMet({ ratio, goal }: Comparison): boolean | undefined {
  if (goal === undefined) return undefined;
  return "atLeast" in goal ? ratio >= goal.atLeast : ratio <= goal.atMost;
}

/** Lines of columns as wide as their widest cell. */
export function table(comparisons: readonly Comparison[]): string {
  const head = ["what", "harrow", "rival or limit", "", "unit", "ratio", "goal", "met"];
  const rows = comparisons.map((comparison) => [
    comparison.what,
    formatFigure(comparison.value),
    comparison.rival,
    formatFigure(comparison.rivalValue),
    comparison.unit,
    formatFigure(comparison.ratio),
    formatGoal(comparison),
    { true: "yes", false: "NO", undefined: "" }[`${isMet(comparison)}`],
  ]);
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const isNumber = new Set([1, 3, 5]);
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        isNumber.has(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd();
  return `${all.map(line).join("\n")}\n`;
}

function formatGoal({ goal }: Comparison): string {
  if (goal === undefined) return "";
  return "atLeast" in goal ? `>= ${goal.atLeast}` : `<= ${goal.atMost}`;
}

/** Three digits that count. */
function formatFigure(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}
