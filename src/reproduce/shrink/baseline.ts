/**
 * What shrinking begins with: a plan of the run, or of a part of it, that fails as the run did.
 *
 * A part that is small is tried first: the extents that the violation is about, then those that were worked on beside
 * them, then all. Each is tried in every way there is, a few times, then more often, until one fails.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../model/violation.ts";
import { depthOf } from "../../runner/workload-shape.ts";
import type { HistoryPlan } from "../../selectors/history-builder.ts";
import type { History } from "../../selectors/history.ts";
import { planOfHistory } from "../../selectors/plan-of-history.ts";
import type { Case } from "../again.ts";
import { historyOf } from "../history-of.ts";
import type { Looks } from "./looks.ts";
import { type Performable, performable } from "./outline.ts";
import type { Tally, Trials } from "./trials.ts";

/** A run that failed. */
export interface Subject extends Case {
  /** lts that were begun. */
  readonly ltsCount: number;
  readonly violation: Violation;
}

/** How a plan is performed. */
export interface Way {
  /** Of the grounds that there are. */
  readonly ground: number;
  readonly looks: Looks;
}

export interface Baseline extends Way {
  readonly candidate: Performable;
  readonly violation: Violation;
  readonly tally: Tally;
}

export interface BaselineOptions {
  readonly subject: Subject;
  readonly groundCount: number;
  /** Of a way; each has its own counts. */
  readonly trialsOf: (way: Way) => Trials;
  readonly isRepeatable: (way: Way) => boolean;
  readonly isOver: () => boolean;
}

/** Tries without a failure before another way is tried, round after round: what fails 1 in 5 shows within all of them. */
const triesOfRounds = [1, 3, 10];
/** By which the rate is told: few, if all of them fail. */
const triesOfRate = { few: 6, all: 20 };
/** A way that fails more often is not left for another. */
const rateEnough = 0.2;
/** lts from which on it may take long to look after each. */
const manyLts = 2000;
const extentsOfConcernMax = 1000;

/** @returns What fails, and how often; `undefined` if nothing did. */
export async function baselineOf(options: BaselineOptions): Promise<Baseline | undefined> {
  const { isOver } = options;
  let best: Baseline | undefined;
  const passed = new Set<string>();
  for (const triesMax of triesOfRounds)
    for (const { candidate, way, key } of startsOf(options)) {
      if (isOver()) return best;
      if (options.isRepeatable(way) && passed.has(key)) continue;
      const found = await failureOf(candidate, way, triesMax, options);
      if (found === undefined) passed.add(key);
      else if (best === undefined || rateOf(found.tally) > rateOf(best.tally)) best = found;
      if (best !== undefined && rateOf(best.tally) >= rateEnough) return best;
    }
  return best;
}

function rateOf({ failures, tries }: Tally): number {
  return failures / tries;
}

async function failureOf(
  candidate: Performable,
  way: Way,
  triesMax: number,
  { trialsOf, isRepeatable }: BaselineOptions,
): Promise<Baseline | undefined> {
  const trials = trialsOf(way);
  const isCertain = isRepeatable(way);
  const first = await trials.tally(candidate, isCertain ? 1 : triesMax, { failuresMax: 1 });
  if (first.violation === undefined) return undefined;
  if (isCertain) return { ...way, candidate, violation: first.violation, tally: { failures: 1, tries: 1 } };
  // The first failure ended the tries, so it would count for too much.
  const few = await trials.tally(candidate, triesOfRate.few);
  const rest =
    few.failures === few.tries
      ? { failures: 0, tries: 0, violation: undefined }
      : await trials.tally(candidate, triesOfRate.all - few.tries);
  const more = {
    failures: few.failures + rest.failures,
    tries: few.tries + rest.tries,
    violation: rest.violation ?? few.violation,
  };
  const tally =
    more.tries === 0
      ? { failures: first.failures, tries: first.tries }
      : { failures: more.failures, tries: more.tries };
  // Seen once, and not in as many tries as that: by chance, or very seldom.
  if (tally.failures === 0) return undefined;
  return { ...way, candidate, violation: more.violation ?? first.violation, tally };
}

interface Start {
  readonly candidate: Performable;
  readonly way: Way;
  readonly key: string;
}

function* startsOf({ subject, groundCount }: BaselineOptions): Generator<Start> {
  const looks: readonly Looks[] =
    subject.ltsCount > manyLts ? ["dumped", "plain", "close"] : ["plain", "close", "dumped"];
  const known = new Set<string>();
  for (const plan of plansOf(subject)) {
    const candidate = performable(plan);
    if (candidate === undefined || known.has(candidate.text)) continue;
    known.add(candidate.text);
    for (const look of looks)
      for (let ground = 0; ground < groundCount; ground++)
        yield { candidate, way: { ground, looks: look }, key: `${known.size} ${ground} ${look}` };
  }
}

/** Plans of a run, the smallest part first. */
function* plansOf(subject: Subject): Generator<HistoryPlan> {
  const { config, seed, plan, ltsCount, violation } = subject;
  if (plan !== undefined) {
    yield plan;
    return;
  }
  const history = historyOf({ config, seed });
  const depth = depthOf(config);
  const options = { seed, ltsCount, ...(depth > 1 ? { depth } : {}) };
  const concerned = concernedBy(violation, history);
  if (concerned.size > 0) yield planOfHistory(history, { ...options, pds: concerned });
  const besides = new Set(concerned);
  const from = Math.max(0, Math.min(violation.ltsMax, ltsCount - 1) - 2 * config.window.size);
  for (let lts = from; lts < Math.min(ltsCount, violation.ltsMax + 2 * depth); lts++)
    besides.add(history.window.pd(lts));
  for (const pd of concerned)
    for (const next of [pd - 1, pd + 1])
      if (next >= 0 && next < history.geometry.extentCount) besides.add(next);
  if (besides.size > concerned.size) yield planOfHistory(history, { ...options, pds: besides });
  yield planOfHistory(history, options);
}

/** Extents of the blocks that are wrong, and of the operations that have to do with it. */
function concernedBy(
  { volume, block, blockCount, operations }: Violation,
  { geometry, window }: History,
): ReadonlySet<number> {
  const pds = new Set<number>();
  const { extentBlocks, volumeBlocks } = geometry;
  const end = Math.min(block + blockCount, volumeBlocks[volume] ?? 0);
  for (let at = block; at < end && pds.size < extentsOfConcernMax; at += extentBlocks)
    pds.add(geometry.pdOf(volume, at));
  if (end > block) pds.add(geometry.pdOf(volume, end - 1));
  for (const { lts } of operations) pds.add(window.pd(lts));
  return pds;
}
