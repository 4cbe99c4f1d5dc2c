/**
 * Runs a configuration: its stages one after another, then the last checks, and says how it ended.
 *
 * @packageDocumentation
 */
import type { LedgerReport } from "../model/ledger.ts";
import type { Violation } from "../model/violation.ts";
import { ControllerError } from "../sut/initiator/errors.ts";
import { ServiceError } from "../sut/port.ts";
import { TargetFaultError } from "../sut/target-faults.ts";
import type { Config } from "./config/schema.ts";
import { Engine, type Stage, type StageEnd } from "./engine.ts";
import { floorsMissed } from "./floors.ts";
import { OccupiedVolumeError } from "./guard.ts";
import { progressOf } from "./resume.ts";
import type { Run } from "./run.ts";
import { TargetFailure } from "./target-failure.ts";
import { noteUnchecked } from "./unchecked.ts";
import { ControlVisitor } from "./visitors/control.ts";
import { validateAll } from "./visitors/validate.ts";

export type Verdict = "consistent" | "violation" | "undecided";

/** How a run ended. */
export interface RunResult {
  readonly verdict: Verdict;
  readonly violations: readonly Violation[];
  /** Wrong blocks found in extents of which only the first few were explained. */
  readonly unexplainedCount: number;
  readonly historyDigest: string;
  readonly ltsCount: number;
  readonly ledger: LedgerReport;
  /** Coverage that is below what the configuration asks for, in words. */
  readonly belowFloor: readonly string[];
  readonly wasInterrupted: boolean;
  /** What the target failed at, if it ended the run; otherwise how many failures the run survived. */
  readonly targetFailure: string | undefined;
  readonly targetErrorCount: number;
  /** A bug of harrow's own ended the run: nothing it did not see is called consistent. */
  readonly crash: Error | undefined;
  /** Snapshots that were left on the target, as evidence or because it failed. */
  readonly snapshotsLeft: readonly string[];
  readonly elapsedMs: number;
}

/** Where a run is, for progress lines. */
export interface Progress {
  readonly lts: number;
  readonly phase: "running" | "checking all extents" | "checking snapshots";
  readonly elapsedMs: number;
  readonly snapshotsAlive: number;
}

export interface RunnerHooks {
  /** Called after each lts and phase; must be quick. */
  readonly onProgress: (progress: Progress) => void;
  /** What an earlier process of the run left on the target. */
  readonly resume?: (control: ControlVisitor) => Promise<void>;
  /** Milliseconds that the run had gone on for before. */
  readonly elapsedBeforeMs?: number;
}

const defaultDurationMs = 60_000;
/** How often a run that is kept on disk is brought up to date there. */
const commitEveryMs = 250;

/** Runs until its bounds are met, something ends it, or what it waits for is given up. */
export async function performRun(run: Run, hooks: RunnerHooks): Promise<RunResult> {
  try {
    return await perform(run, hooks);
  } finally {
    run.liveness.stop();
  }
}

async function perform(run: Run, hooks: RunnerHooks): Promise<RunResult> {
  const { clock, config } = run;
  const { onProgress, elapsedBeforeMs = 0 } = hooks;
  const started = clock.now() - elapsedBeforeMs;
  const control = new ControlVisitor(run);
  const progress = (phase: Progress["phase"]): void =>
    onProgress({
      lts: run.ltsBegun,
      phase,
      elapsedMs: clock.now() - started,
      snapshotsAlive: control.shelf.aliveCount,
    });
  let committed = clock.now();
  const engine = new Engine(run, control, () => {
    progress("running");
    if (run.recorder === undefined || clock.now() - committed < commitEveryMs) return;
    committed = clock.now();
    save(run, clock.now() - started);
    run.recorder.commit();
  });
  noteUnchecked(run);
  const work = async (): Promise<void> => {
    await hooks.resume?.(control);
    await runStages(run, engine, started);
    if (run.failure !== undefined) throw run.failure;
    if (config.checks.all.atEnd && !run.isOver) {
      progress("checking all extents");
      await validateAll(run);
    }
    if (config.checks.snapshots.atEnd && !run.isOver) {
      progress("checking snapshots");
      await control.snapshots.checkAllAlive();
    }
    await control.finish();
  };
  let isFinished = false;
  try {
    await run.liveness.unlessStuck(work());
    isFinished = !run.isOver;
  } catch (error) {
    run.fail(error);
    await drain(run, engine);
  }
  if (run.failure instanceof OccupiedVolumeError) throw run.failure;
  if (!isFinished)
    run.ledger.notChecked(
      "what was left of the run, and all extents and snapshots at its end",
      whyUnfinished(run),
    );
  try {
    save(run, clock.now() - started);
    // An operation that stays in doubt keeps its lts open, and with it all that was reserved.
    if (run.tracker.ltsCompleteMax === run.ltsBegun - 1) run.recorder?.release(run.ltsBegun - 1);
    else run.recorder?.commitDurably();
  } catch (error) {
    run.fail(error);
  }
  if (run.violations.length === 0 && run.target.failure === undefined && !isToBeResumed(run))
    await control.snapshots.deleteAllAlive();
  const ledger = run.ledger.report();
  const isTheTargets = isTargets(run.failure);
  const targetFailure = run.target.failure ?? (isTheTargets ? (run.failure as Error).message : undefined);
  const crash = run.failure === undefined || isTheTargets ? undefined : asError(run.failure);
  return {
    verdict: verdictOf(run, targetFailure ?? crash?.message),
    violations: run.violations,
    unexplainedCount: run.unexplainedCount,
    historyDigest: run.digest.read(),
    ltsCount: run.ltsBegun,
    ledger,
    belowFloor: isFinished ? floorsMissed(ledger, config.floors) : [],
    wasInterrupted: run.signal.aborted,
    targetFailure,
    targetErrorCount: run.targetErrorCount,
    crash,
    snapshotsLeft: control.shelf.namesAlive,
    elapsedMs: clock.now() - started,
  };
}

/** Waits for what is under way, but not for what was given up. */
async function drain(run: Run, engine: Engine): Promise<void> {
  try {
    await run.liveness.unlessStuck(engine.drain());
  } catch (error) {
    run.fail(error);
  }
}

/** A run on disk that was interrupted, or whose target failed, may go on: what it needs stays on the target. */
export function isToBeResumed(run: Run): boolean {
  return (
    run.recorder !== undefined &&
    run.violations.length === 0 &&
    (run.signal.aborted || run.failure !== undefined)
  );
}

async function runStages(run: Run, engine: Engine, started: number): Promise<void> {
  const { runner } = run.config;
  const whole = boundsOf(runner, { lts: 0, startedAt: started, bytes: 0 }, isUnbounded(runner));
  if (runner.kind === "sequential" || runner.kind === "concurrent")
    return engine.runStage({ kind: runner.kind, depth: runner.depth }, whole);
  for (;;) {
    for (const stage of runner.stages ?? []) {
      const start = {
        lts: engine.nextLts,
        startedAt: run.clock.now(),
        bytes: run.ledger.totals.bytesWritten,
      };
      await engine.runStage(stage, nearer(boundsOf(stage, start, false), whole));
      if (run.isOver || isMet(run, engine, whole)) return;
    }
    if (runner.kind === "chain") return;
  }
}

/** A run without any bound ends after a while. */
function isUnbounded({ kind, lts, duration, bytes }: Config["runner"]): boolean {
  return kind !== "chain" && lts === undefined && duration === undefined && bytes === undefined;
}

function boundsOf(
  { lts, duration, bytes }: Pick<Stage, "lts" | "duration" | "bytes">,
  start: { readonly lts: number; readonly startedAt: number; readonly bytes: number },
  hasDefault: boolean,
): StageEnd {
  const time = duration ?? (hasDefault ? defaultDurationMs : Number.POSITIVE_INFINITY);
  return {
    ltsEnd: start.lts + (lts ?? Number.POSITIVE_INFINITY),
    deadline: start.startedAt + time,
    bytesEnd: start.bytes + (bytes ?? Number.POSITIVE_INFINITY),
  };
}

function nearer(a: StageEnd, b: StageEnd): StageEnd {
  return {
    ltsEnd: Math.min(a.ltsEnd, b.ltsEnd),
    deadline: Math.min(a.deadline, b.deadline),
    bytesEnd: Math.min(a.bytesEnd, b.bytesEnd),
  };
}

function isMet({ clock, ledger }: Run, engine: Engine, { ltsEnd, deadline, bytesEnd }: StageEnd): boolean {
  return engine.nextLts >= ltsEnd || clock.now() >= deadline || ledger.totals.bytesWritten >= bytesEnd;
}

/** What a run that goes on needs beside the tracker's own. */
function save(run: Run, elapsedMs: number): void {
  run.recorder?.putDocument("progress", progressOf(run, elapsedMs));
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function isTargets(error: unknown): error is Error {
  return (
    error instanceof TargetFailure ||
    error instanceof ServiceError ||
    error instanceof ControllerError ||
    error instanceof TargetFaultError
  );
}

function whyUnfinished(run: Run): string {
  if (run.violations.length > 0) return "a violation ended the run";
  return run.signal.aborted ? "the run was interrupted" : "the target failed";
}

/** A run that could not look does not call what it did not see consistent. */
function verdictOf(run: Run, failure: string | undefined): Verdict {
  if (run.violations.length > 0) return "violation";
  return failure !== undefined || run.targetErrorCount >= run.config.runner.stopAfterTargetErrors
    ? "undecided"
    : "consistent";
}
