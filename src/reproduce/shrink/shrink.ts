/**
 * Shrinks a run that failed to the smallest history that fails so: the same rule broken, and the same class of fault,
 * whatever else goes wrong beside it. Each try is performed on a target opened for it alone.
 *
 * It goes on from the state of an earlier call, and says its own whenever there is a smaller history, so that it can
 * be stopped at any time.
 *
 * @packageDocumentation
 */
import type { Violation } from "../../model/violation.ts";
import type { Config } from "../../runner/config/schema.ts";
import type { RunLog } from "../../runner/run-log.ts";
import type { RunResult } from "../../runner/runner.ts";
import type { HistoryPlan } from "../../selectors/history-builder.ts";
import { parseHistory } from "../../selectors/history-text.ts";
import { type AgainOptions, type Case, type Ground, type Likeness, likeIn, performAgain } from "../again.ts";
import { DumpError } from "../dump.ts";
import { type Baseline, baselineOf, type Subject, type Way } from "./baseline.ts";
import { configFor, type Looks } from "./looks.ts";
import { type Extensiveness, type Performable, sizeOf } from "./outline.ts";
import { type Failing, failingOf, smallest } from "./search.ts";
import type { ShrinkState } from "./state.ts";
import { type Tally, Trials, wantedRate } from "./trials.ts";

export interface ShrinkOptions {
  readonly subject: Subject;
  /** Where it may be performed, the one preferred first; at least one. */
  readonly grounds: readonly Ground[];
  /** Of all of it, in ms. */
  readonly durationMs: number;
  /** Of one history. */
  readonly triesMax: number;
  readonly signal: AbortSignal;
  readonly log: RunLog;
  /** Of an earlier call. */
  readonly state?: ShrinkState | undefined;
  readonly onState: (state: ShrinkState) => void;
  readonly onProgress?: (progress: ShrinkProgress) => void;
  /** Performs a case; `performAgain` if left out. */
  readonly perform?: (what: Case, options: AgainOptions) => Promise<RunResult>;
}

export interface ShrinkProgress {
  readonly phase: "looking for what fails" | "shrinking" | "counting how often it fails";
  readonly size: Extensiveness | undefined;
  readonly tries: number;
  readonly elapsedMs: number;
}

export interface Shrunk {
  readonly from: Extensiveness;
  readonly size: Extensiveness;
  readonly plan: HistoryPlan;
  readonly text: string;
  readonly violation: Violation;
  /** With which it was performed. */
  readonly config: Config;
  readonly ground: Ground;
  readonly looks: Looks;
  /** How often what it began with failed, and the smallest. */
  readonly baseline: Tally;
  readonly rate: Tally;
  /** Number of a try that failed; see `Opening.attempt`. */
  readonly lastFailed: number;
  readonly tries: number;
  readonly elapsedMs: number;
  /** Nothing more can be left out; else time ran out before that was known. */
  readonly isDone: boolean;
}

/** It did not fail again at all. */
export interface NotAgain {
  readonly tries: number;
  readonly elapsedMs: number;
  /** Why tries gave no answer, if some did not. */
  readonly trouble: string | undefined;
}

/** Part of the time that is left for counting how often the smallest fails. */
const countingPart = 1 / 10;
/** By which that is told. */
const countingTries = 20;
const tryLimitMsMin = 5000;
/** A try that takes so many times as long as those that failed will not fail. */
const tryLimitFactor = 10;
/** How often what was tried without success is kept. */
const keepEveryMs = 5000;

/** @throws {DumpError} If the state is that of something else. */
export async function shrink(options: ShrinkOptions): Promise<Shrunk | NotAgain> {
  const work = new Work(options);
  try {
    return await work.run();
  } finally {
    work.end();
  }
}

const looksByPlainness: readonly Looks[] = ["plain", "close", "dumped"];

/** What shrinking goes on from once it was seen to fail. */
interface Begun extends Way {
  readonly from: Extensiveness;
  readonly baseline: Tally;
  readonly wanted: number;
  best: Failing;
}

class Work {
  readonly #options: ShrinkOptions;
  readonly #started = performance.now();
  readonly #elapsedBeforeMs: number;
  readonly #searchEnd: number;
  readonly #stop = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #passed: Set<string>;
  #tries: number;
  #lastFailed: number | undefined;
  #tryLimitMs: number;
  /** Of the last try that failed. */
  #failingMs = 0;
  #keptAt = performance.now();
  readonly #configs = new WeakMap<HistoryPlan, Map<Looks, Config>>();
  #isLike: (result: RunResult) => Violation | undefined;
  #trouble: string | undefined;

  constructor(options: ShrinkOptions) {
    this.#options = options;
    const { durationMs, state, signal } = options;
    this.#searchEnd = this.#started + durationMs * (1 - countingPart);
    this.#timer = setTimeout(() => this.#stop.abort(), durationMs);
    signal.addEventListener("abort", this.#interrupt);
    if (signal.aborted) this.#interrupt();
    this.#elapsedBeforeMs = state?.elapsedMs ?? 0;
    this.#tries = state?.tries ?? 0;
    this.#lastFailed = state?.lastFailed;
    this.#passed = new Set(state?.passed);
    this.#tryLimitMs = durationMs / 4;
    const like: Likeness = state?.violation ?? options.subject.violation;
    this.#isLike = (result) => likeIn(result, like);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener("abort", this.#interrupt);
  }

  readonly #interrupt = (): void => this.#stop.abort();

  async run(): Promise<Shrunk | NotAgain> {
    const { state, grounds } = this.#options;
    let begun = state === undefined ? await this.#begin() : this.#takenUp(state);
    if (begun === undefined)
      return { tries: this.#tries, elapsedMs: this.#elapsedMs, trouble: this.#trouble };
    if (state?.isDone === true && state.rate !== undefined && state.rate.tries > 0)
      return this.#result(begun, true, state.rate);
    this.#keep(begun, false);
    await this.#search(begun);
    const simpler = await this.#plainer(begun);
    if (simpler !== undefined) await this.#search((begun = simpler));
    const isDone = !this.#isOver;
    const ground = grounds[begun.ground]!;
    const rate = await this.#rateOf(begun, ground);
    this.#keep(begun, isDone, rate);
    return this.#result(begun, isDone, rate);
  }

  get #elapsedMs(): number {
    return this.#elapsedBeforeMs + performance.now() - this.#started;
  }

  /** Time is up, but for what is left to count. */
  get #isOver(): boolean {
    return this.#stop.signal.aborted || performance.now() >= this.#searchEnd;
  }

  #progress(phase: ShrinkProgress["phase"], size: Extensiveness | undefined): void {
    this.#options.onProgress?.({ phase, size, tries: this.#tries, elapsedMs: this.#elapsedMs });
  }

  async #begin(): Promise<Begun | undefined> {
    const { subject } = this.#options;
    const found = (await this.#baseline()) ?? (await this.#renamedBaseline());
    if (found === undefined) return undefined;
    const { candidate, violation, ground, looks, tally } = found;
    // How long the whole run was, not the part of it that fails.
    const size = sizeOf(candidate.plan);
    const from = { ...size, lts: Math.max(size.lts, subject.ltsCount) };
    const wanted = wantedRate(tally, this.#failingMs);
    return { ground, looks, from, baseline: tally, wanted, best: { ...candidate, violation } };
  }

  /**
   * A class can have its name from what the history was still to do, which a written one no longer knows: the same
   * block is wrong by the same rule, and has another name, by which it is then looked for.
   */
  async #renamedBaseline(): Promise<Baseline | undefined> {
    const { rule, volume, block, snapshot, blockCount } = this.#options.subject.violation;
    if (blockCount === 0) return undefined;
    this.#isLike = ({ violations }) =>
      violations.find(
        (one) =>
          one.rule === rule && one.volume === volume && one.block === block && one.snapshot === snapshot,
      );
    const found = await this.#baseline();
    if (found === undefined) return undefined;
    const { violation } = found;
    this.#isLike = (result) => likeIn(result, violation);
    return (await this.#baseline()) ?? found;
  }

  async #baseline(): Promise<Baseline | undefined> {
    const { subject, grounds } = this.#options;
    this.#progress("looking for what fails", undefined);
    return baselineOf({
      subject,
      groundCount: grounds.length,
      trialsOf: (way) => this.#trials(way, () => this.#progress("looking for what fails", undefined)),
      isRepeatable: ({ ground }) => grounds[ground]!.isRepeatable,
      isOver: () => this.#isOver,
    });
  }

  #takenUp(state: ShrinkState): Begun {
    const { seed, rule, class: name, grounds } = state.of;
    const own = stateOf(this.#options);
    if (JSON.stringify(own) !== JSON.stringify({ seed, rule, class: name, grounds }))
      throw new DumpError(
        `the state of shrinking is that of ${name} (rule ${rule}), seed ${seed}, on ${grounds.join(" or ")}: use --afresh to begin anew`,
      );
    const plan = parseHistory(state.history, "the history of the state");
    const best = failingOf(plan, state.violation);
    const { from, baseline, wanted, ground, looks } = state;
    if (best === undefined || this.#options.grounds[ground] === undefined)
      throw new DumpError("the state of shrinking holds no history that can be performed: use --afresh");
    return { ground, looks, from, baseline, wanted, best };
  }

  async #search(begun: Begun): Promise<void> {
    const trials = this.#trials(begun, () => {
      this.#progress("shrinking", sizeOf(begun.best.plan));
      if (performance.now() - this.#keptAt > keepEveryMs) this.#keep(begun, false);
    });
    this.#progress("shrinking", sizeOf(begun.best.plan));
    begun.best = await smallest(begun.best, {
      fails: (candidate) => trials.fails(candidate, begun.wanted),
      isOver: () => this.#isOver,
      passed: this.#passed,
      onSmaller: (best) => {
        begun.best = best;
        this.#keep(begun, false);
      },
    });
  }

  /** The same, looked at in a way that takes fewer words to say, and more often, if it fails so as well. */
  async #plainer(begun: Begun): Promise<Begun | undefined> {
    for (const looks of looksByPlainness.slice(0, looksByPlainness.indexOf(begun.looks))) {
      const violation = await this.#trials({ ...begun, looks }, () => {}).fails(begun.best, begun.wanted);
      if (this.#isOver) return undefined;
      if (violation === undefined) continue;
      // What passed when it was looked at otherwise may fail now.
      this.#passed.clear();
      return { ...begun, looks, best: { ...begun.best, violation } };
    }
    return undefined;
  }

  async #rateOf(begun: Begun, { isRepeatable }: Ground): Promise<Tally> {
    const isOver = (): boolean => this.#stop.signal.aborted;
    const trials = this.#trials(begun, () =>
      this.#progress("counting how often it fails", sizeOf(begun.best.plan)),
    );
    const { failures, tries } = await trials.tally(begun.best, isRepeatable ? 2 : countingTries, { isOver });
    return { failures, tries };
  }

  /** @param onTry - Called after each. */
  #trials(way: Way, onTry: () => void): Trials {
    const { isRepeatable } = this.#options.grounds[way.ground]!;
    return new Trials({
      isRepeatable,
      triesMax: this.#options.triesMax,
      isOver: () => this.#isOver,
      perform: async (candidate) => {
        const attempt = this.#tries++;
        const violation = await this.#perform(candidate, way, attempt);
        if (violation !== undefined) this.#lastFailed = attempt;
        onTry();
        return violation;
      },
    });
  }

  async #perform(
    { plan }: Performable,
    { ground, looks }: Way,
    attempt: number,
  ): Promise<Violation | undefined> {
    const { grounds, log, perform = performAgain } = this.#options;
    const started = performance.now();
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), this.#tryLimitMs);
    const signal = AbortSignal.any([this.#stop.signal, limit.signal]);
    try {
      const config = this.#configOf(plan, looks);
      const result = await perform(
        { config, seed: plan.seed, plan },
        { ground: grounds[ground]!, attempt, signal, log },
      );
      const violation = this.#isLike(result);
      if (violation !== undefined) this.#noteTime(performance.now() - started);
      else if (result.verdict === "undecided")
        this.#trouble ??= result.targetFailure ?? result.crash?.message ?? this.#trouble;
      return violation;
    } catch (error) {
      // What can not be performed does not fail as it should; if nothing ever does, this is what people want to know.
      this.#trouble ??= error instanceof Error ? error.message : String(error);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Worked out once for all tries of a history. */
  #configOf(plan: HistoryPlan, looks: Looks): Config {
    const ofPlan = this.#configs.get(plan) ?? new Map<Looks, Config>();
    this.#configs.set(plan, ofPlan);
    const config = ofPlan.get(looks) ?? configFor(this.#options.subject.config, plan, looks);
    ofPlan.set(looks, config);
    return config;
  }

  #noteTime(ms: number): void {
    this.#failingMs = ms;
    const isFirst = this.#lastFailed === undefined;
    const least = isFirst ? tryLimitMsMin : this.#tryLimitMs;
    this.#tryLimitMs = Math.max(least, Math.min(this.#options.durationMs / 4, ms * tryLimitFactor));
  }

  #keep(begun: Begun, isDone: boolean, rate?: Tally): void {
    this.#keptAt = performance.now();
    const { from, ground, looks, baseline, wanted, best } = begun;
    this.#options.onState({
      ...{ format: 1, of: stateOf(this.#options), from, ground, looks, baseline, wanted },
      tries: this.#tries,
      ...(this.#lastFailed === undefined ? {} : { lastFailed: this.#lastFailed }),
      ...{ elapsedMs: this.#elapsedMs, passed: [...this.#passed] },
      ...{ history: best.text, violation: best.violation, isDone },
      ...(rate === undefined ? {} : { rate }),
    });
  }

  #result({ from, ground, looks, baseline, best }: Begun, isDone: boolean, rate: Tally): Shrunk {
    const { subject, grounds } = this.#options;
    return {
      ...{ from, size: sizeOf(best.plan), plan: best.plan, text: best.text, violation: best.violation },
      config: configFor(subject.config, best.plan, looks),
      ...{ ground: grounds[ground]!, looks, baseline, rate, lastFailed: this.#lastFailed ?? 0 },
      ...{ tries: this.#tries, elapsedMs: this.#elapsedMs, isDone },
    };
  }
}

/** What tells one piece of work from another. */
function stateOf({ subject, grounds }: ShrinkOptions): ShrinkState["of"] {
  const { rule, class: name } = subject.violation;
  return {
    seed: `0x${subject.seed.toString(16)}`,
    rule,
    class: name,
    grounds: grounds.map(({ description, isEager }) => `${description}${isEager ? ", eager" : ""}`),
  };
}
