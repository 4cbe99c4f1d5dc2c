/**
 * The engine of all runners: keeps lts in flight, with reads beside them, checks among them and control steps between
 * them. With one lts in flight it is the sequential runner: everything is awaited before the next lts begins.
 *
 * @packageDocumentation
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { ControlStep } from "../selectors/control-schedule.ts";
import { systemClock } from "../sut/clock.ts";
import { checkUnderLoad, checkVisible } from "./extent-checks.ts";
import type { Run } from "./run.ts";
import type { ControlVisitor } from "./visitors/control.ts";
import { enterFirstVisit, inspectFirstVisit } from "./visitors/inspect.ts";
import { abandonVisit, enterVisit, performVisit } from "./visitors/mutate.ts";
import { lookAtVisible, validateAll, validateRecent, validateSample } from "./visitors/validate.ts";

/** How a stretch of the history is run. */
export interface Stage {
  readonly kind: "sequential" | "concurrent";
  readonly depth: number;
  readonly lts?: number | undefined;
  readonly duration?: number | undefined;
  readonly bytes?: number | undefined;
}

/** What ends a stage from outside; asked before each lts. */
export interface StageEnd {
  /** No lts from this on. */
  readonly ltsEnd: number;
  /** On the run's clock. */
  readonly deadline: number;
  readonly bytesEnd: number;
}

/** Reads beside the operations that may be in flight together. */
const readsMax = 16;
/** How long a run keeps the event loop to itself, in ms. */
const turnEveryMs = 50;
/** How far lts may run ahead of the oldest that is not complete, in depths: what the tracker holds is bounded by it. */
const spanDepths = 32;
/** lts that are reserved on disk at a time: those that a kill leaves unbegun are passed over when the run goes on. */
const reservedCount = 128;

export class Engine {
  readonly #run: Run;
  readonly #control: ControlVisitor;
  readonly #onLts: (lts: number) => void;
  #nextLts: number;
  #reserved: number;
  /** The control steps of an earlier lts, which go on beside the load. */
  #steps: Promise<void> = Promise.resolve();
  #readCount = 0;
  #checking: Promise<void> = Promise.resolve();
  #isChecking = false;
  #turnedAt = 0;

  /** @param onLts - Called after each lts that was begun; must be quick. */
  constructor(run: Run, control: ControlVisitor, onLts: (lts: number) => void) {
    this.#run = run;
    this.#control = control;
    this.#onLts = onLts;
    this.#nextLts = run.ltsBegun;
    this.#reserved = run.ltsBegun - 1;
  }

  /** The lts that comes next. */
  get nextLts(): number {
    return this.#nextLts;
  }

  /** Runs lts until a bound is met or the run is over, then waits until nothing is under way. */
  async runStage(stage: Stage, end: StageEnd): Promise<void> {
    const { activity, tracker, ledger, clock } = this.#run;
    const depth = stage.kind === "sequential" ? 1 : stage.depth;
    const span = depth * spanDepths;
    for (;;) {
      // What begins while the target goes down could not be told to the next process, if this one is killed.
      const { pause } = activity;
      if (pause !== undefined) {
        await pause;
        continue;
      }
      const slot = activity.fewerVisitsThan(depth);
      if (slot !== undefined) {
        await slot;
        continue;
      }
      const lts = this.#nextLts;
      if (this.#run.isOver || lts >= end.ltsEnd || clock.now() >= end.deadline) break;
      if (ledger.bytesWritten >= end.bytesEnd) break;
      if (lts - tracker.ltsCompleteMax > span) {
        await activity.fewerVisitsThan(activity.visitCount);
        continue;
      }
      const steps = this.#run.workload.control.stepsAfter(lts);
      const visit = this.#begin(lts, steps);
      if (depth === 1) await visit;
      this.#onLts(lts);
      await this.#follow(lts, steps, depth === 1);
      if (this.#isTurnDue()) await nextTurn();
    }
    await this.drain();
  }

  /** Waits until nothing is under way. */
  async drain(): Promise<void> {
    await this.#steps;
    await this.#checking;
    await this.#run.activity.idle();
  }

  /** On a target that never waits for anything nobody else would have a turn: no signal, no timer. */
  #isTurnDue(): boolean {
    const { clock } = this.#run;
    // A clock of turns has its own idea of what comes when.
    if (clock !== systemClock || clock.now() - this.#turnedAt < turnEveryMs) return false;
    this.#turnedAt = clock.now();
    return true;
  }

  /** Begins an lts; resolves when it is complete. */
  #begin(lts: number, steps: readonly ControlStep[]): Promise<void> {
    const { workload, activity, recorder, digest, ltsClock, clock } = this.#run;
    if (recorder !== undefined && lts > this.#reserved) {
      this.#reserved = lts + reservedCount - 1;
      recorder.reserve(this.#reserved);
    }
    this.#nextLts = lts + 1;
    this.#run.ltsBegun = lts + 1;
    ltsClock.record(lts, clock.now());
    const visit = workload.visit(lts);
    // The history is what is to be done at an lts, also if a violation keeps the last of it from being done.
    digest.add(visit, steps);
    const firstLook = enterFirstVisit(this.#run, lts);
    const entered = enterVisit(this.#run, visit);
    activity.beginVisit();
    const work = async (): Promise<void> => {
      let isPerformed = false;
      try {
        const isAsExpected =
          firstLook === undefined ||
          (await inspectFirstVisit(this.#run, { extent: visit.extent, lts, turn: firstLook }));
        // What should not be there may be someone's: it is left alone.
        isPerformed = isAsExpected || !this.#run.isOver;
        if (isPerformed) await performVisit(this.#run, entered);
      } catch (error) {
        this.#run.fail(error);
      } finally {
        if (!isPerformed) abandonVisit(this.#run, entered);
        activity.endVisit();
      }
    };
    const done = work();
    for (const read of workload.readsAt(lts)) this.#beginRead(read);
    return done;
  }

  /** A read that finds too many others in flight is left out: it is no part of the history. */
  #beginRead(read: Parameters<typeof checkUnderLoad>[1]): void {
    const { activity, config } = this.#run;
    if (this.#readCount >= readsMax) return;
    this.#readCount++;
    activity.begin();
    const check = config.checks.exhaustive
      ? checkUnderLoad(this.#run, read)
      : checkVisible(this.#run, read.extent);
    check
      .catch((error: unknown) => this.#run.fail(error))
      .finally(() => {
        this.#readCount--;
        activity.end();
      });
  }

  /** What follows an lts: control steps, then checks that are due. */
  async #follow(lts: number, steps: readonly ControlStep[], isSequential: boolean): Promise<void> {
    await this.#control.faults.settle(lts);
    if (steps.length > 0) {
      await this.#steps;
      this.#steps = this.#performAll(lts, steps);
      // What is to come may need what a resize makes.
      if (isSequential || steps.some(({ kind }) => kind === "resize")) await this.#steps;
    }
    if (this.#isChecking && !isSequential) return;
    const check = this.#dueChecks(lts);
    if (check === undefined) return;
    this.#isChecking = true;
    this.#checking = check()
      .catch((error: unknown) => this.#run.fail(error))
      .finally(() => {
        this.#isChecking = false;
      });
    if (isSequential) await this.#checking;
  }

  async #performAll(lts: number, steps: readonly ControlStep[]): Promise<void> {
    try {
      for (const step of steps) if (!this.#run.isOver) await this.#control.perform(lts, step);
    } catch (error) {
      this.#run.fail(error);
    }
  }

  #dueChecks(lts: number): (() => Promise<void>) | undefined {
    const { checks } = this.#run.config;
    const isDue = (every: number): boolean => every > 0 && lts % every === every - 1;
    const due: (() => Promise<void>)[] = [];
    if (isDue(checks.recent.every)) due.push(() => validateRecent(this.#run, checks.recent.extents));
    if (isDue(checks.sample.every)) due.push(() => validateSample(this.#run, checks.sample.extents));
    if (isDue(checks.visible.every)) due.push(() => lookAtVisible(this.#run, checks.visible.extents));
    if (isDue(checks.all.every)) due.push(() => validateAll(this.#run));
    if (due.length === 0) return undefined;
    return async () => {
      for (const check of due) await check();
    };
  }
}
