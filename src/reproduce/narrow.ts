/**
 * Narrows a failure down: performs what failed again with one thing switched off at a time, and sees whether it still
 * fails.
 *
 * What is performed is a plan of the history, so what a plan has not is gone from the start: reads before operations.
 * A failure is the same if its rule and class are; where it is found does not matter.
 *
 * @packageDocumentation
 */
import type { Config } from "../runner/config/schema.ts";
import type { RunLog } from "../runner/run-log.ts";
import type { RunResult } from "../runner/runner.ts";
import { depthOf } from "../runner/workload-shape.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { planOfHistory } from "../selectors/plan-of-history.ts";
import { againConfig, type Ground, type Likeness, likeIn, performAgain } from "./again.ts";
import type { Dump } from "./dump.ts";
import { historyOf } from "./history-of.ts";
import { type Setup, type Switch, switchesOf } from "./narrow-switches.ts";

/** What a dump says of the run. */
export type NarrowedDump = Pick<Dump, "config" | "seed" | "plan" | "ltsCount" | "violations">;

export interface NarrowOptions {
  /** Where it is performed: the first on which it fails as it was; at least one. */
  readonly grounds: readonly Ground[];
  /** Between harrow and the volumes are connections that can carry digests. */
  readonly hasWire: boolean;
  /** Of each switch; one where the ground is repeatable, and one lts at a time is in flight. */
  readonly tries: number;
  /** Bound of the whole. */
  readonly durationMs: number;
  readonly signal: AbortSignal;
  readonly log: RunLog;
  readonly onRow?: (row: NarrowRow) => void;
}

/** How often the failure came back with one switch. */
export interface NarrowRow {
  /** `as-it-was`, or that of a switch. */
  readonly id: string;
  readonly title: string;
  readonly need: string;
  readonly parts: readonly string[];
  readonly failures: number;
  /** Tries that have an answer. */
  readonly tries: number;
  /** Classes of failures that are others, in the tries without the one that is looked for. */
  readonly others: readonly string[];
  /** Why tries have no answer, each reason once. */
  readonly undecided: readonly string[];
  readonly verdict: NarrowVerdict;
  /** Chance that it was not seen though nothing has changed, if it was not. */
  readonly byChance?: number;
}

type NarrowVerdict = "fails" | "still fails" | "rarer" | "vanishes" | "no answer";

export interface NarrowResult {
  readonly like: Likeness;
  /** What was performed, for people. */
  readonly scope: string;
  readonly ground: Ground;
  readonly asItWas: NarrowRow;
  /** None if it did not fail as it was. */
  readonly rows: readonly NarrowRow[];
  /** Titles of what was not tried, or not often enough, as the time was up. */
  readonly unfinished: readonly string[];
  readonly wasInterrupted: boolean;
}

/** A history up to this long is performed as a whole. */
const wholeLtsMax = 20_000;
/** What fails now and then is tried more often at first, before it is given up. */
const patience = 3;

export async function narrow(dump: NarrowedDump, options: NarrowOptions): Promise<NarrowResult> {
  const { grounds, hasWire, tries, durationMs, onRow = () => {} } = options;
  const { rule, class: name } = dump.violations[0]!.violation;
  const like = { rule, class: name };
  const { plan, scope } = planOf(dump);
  const setup: Setup = { config: dump.config, plan };
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(durationMs)]);
  const tally = (
    one: Setup,
    ground: Ground,
    most: number,
    isEnough: (failures: number, done: number) => boolean,
  ) =>
    tallyOf(one, like, {
      ...options,
      ground,
      signal,
      triesMax: isOneEnough(ground, one) ? 1 : most,
      isEnough,
    });

  let asItWas: NarrowRow | undefined;
  let ground = grounds[0]!;
  for (const one of grounds) {
    if (signal.aborted && asItWas !== undefined) break;
    ground = one;
    const found = await tally(
      setup,
      one,
      patience * tries,
      (failures, done) => failures > 0 && done >= tries,
    );
    const verdict = found.failures > 0 ? "fails" : found.tries > 0 ? "vanishes" : "no answer";
    asItWas = { id: "as-it-was", title: "as it was", need: "", parts: [], ...found, verdict };
    if (found.failures > 0) break;
  }
  onRow(asItWas!);
  const result = { like, scope, ground, asItWas: asItWas!, wasInterrupted: false };
  const rows: NarrowRow[] = [];
  const unfinished: string[] = [];
  if (asItWas!.failures > 0)
    for (const one of switchesOf(setup, { hasWire })) {
      const found = signal.aborted ? undefined : await tally(one.apply(), ground, tries, () => false);
      if (signal.aborted) unfinished.push(one.title);
      if (found === undefined || found.tries + found.undecided.length === 0) continue;
      const row = rowOf(one, found, asItWas!);
      rows.push(row);
      onRow(row);
    }
  return { ...result, rows, unfinished, wasInterrupted: options.signal.aborted };
}

/** Where several lts are in flight, the event loop decides a little, whatever the ground. */
function isOneEnough({ isRepeatable }: Ground, { plan }: Setup): boolean {
  return isRepeatable && (plan.depth ?? 1) === 1;
}

/** The history, or the part of it that has to do with the failure. */
function planOf({ config, seed, plan, ltsCount, violations }: NarrowedDump): {
  readonly plan: HistoryPlan;
  readonly scope: string;
} {
  if (plan !== undefined) return { plan, scope: `the whole history, ${lts(plan.visits.length)}` };
  const history = historyOf({ config, seed });
  const depth = depthOf(config);
  const options = { seed, ltsCount, ...(depth > 1 ? { depth } : {}) };
  if (ltsCount <= wholeLtsMax) {
    const whole = planOfHistory(history, options);
    const count = whole.visits.length;
    const scope =
      count < ltsCount ? `the newest ${lts(count)} of ${ltsCount}` : `the whole history, ${lts(ltsCount)}`;
    return { plan: whole, scope };
  }
  const { geometry } = history;
  const pds = new Set<number>();
  for (const { violation } of violations) {
    if (violation.blockCount === 0) continue;
    const pd = geometry.pdOf(violation.volume, violation.block);
    for (const near of [pd - 1, pd, pd + 1]) if (near >= 0 && near < geometry.extentCount) pds.add(near);
  }
  const newest = { ...options, ltsMin: ltsCount - wholeLtsMax };
  if (pds.size === 0)
    return { plan: planOfHistory(history, newest), scope: `the newest ${lts(wholeLtsMax)} of ${ltsCount}` };
  const ofExtents = planOfHistory(history, { ...options, pds });
  const scope = `the ${lts(ofExtents.visits.length)}, of ${ltsCount}, on the extents of the violations and beside them`;
  return { plan: ofExtents, scope };
}

function lts(count: number): string {
  return `${count} lts`;
}

interface Tally {
  readonly failures: number;
  readonly tries: number;
  readonly others: readonly string[];
  readonly undecided: readonly string[];
}

/** Tries until there are enough of them, or the time is up; a try that this cuts short does not count. */
async function tallyOf(
  { config, plan }: Setup,
  like: Likeness,
  {
    ground,
    signal,
    log,
    triesMax,
    isEnough,
  }: {
    readonly ground: Ground;
    readonly signal: AbortSignal;
    readonly log: RunLog;
    readonly triesMax: number;
    readonly isEnough: (failures: number, tries: number) => boolean;
  },
): Promise<Tally> {
  const again: Config = { ...againConfig(config, plan), content: config.content };
  const others = new Set<string>();
  const undecided = new Set<string>();
  let [failures, tries] = [0, 0];
  for (let attempt = 0; attempt < triesMax && !signal.aborted && !isEnough(failures, tries); attempt++) {
    const found = new AbortController();
    let result: RunResult;
    try {
      result = await performAgain(
        { config: again, seed: plan.seed, plan },
        {
          ...{ ground, attempt, log, signal: AbortSignal.any([signal, found.signal]) },
          // What comes after is of no interest.
          onViolation: ({ rule, class: name }) => {
            if (rule === like.rule && name === like.class) found.abort();
          },
        },
      );
    } catch (error) {
      if (!signal.aborted) undecided.add(error instanceof Error ? error.message : String(error));
      continue;
    }
    const { verdict, violations, targetFailure, crash } = result;
    const isLike = likeIn(result, like) !== undefined;
    if (signal.aborted && !isLike) break;
    if (verdict === "undecided") undecided.add(targetFailure ?? crash?.message ?? "operations failed");
    else tries++;
    if (isLike) failures++;
    else for (const { class: name } of violations) others.add(name);
  }
  return { failures, tries, others: [...others], undecided: [...undecided] };
}

function rowOf({ id, title, need, parts }: Switch, tally: Tally, asItWas: NarrowRow): NarrowRow {
  const row = { id, title, need, parts, ...tally };
  const { failures, tries } = tally;
  if (tries === 0) return { ...row, verdict: "no answer" };
  const rate = asItWas.failures / asItWas.tries;
  if (failures === 0) return { ...row, verdict: "vanishes", byChance: (1 - rate) ** tries };
  return { ...row, verdict: failures / tries < rate ? "rarer" : "still fails" };
}
