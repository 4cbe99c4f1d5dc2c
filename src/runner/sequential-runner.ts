/**
 * The sequential runner: one lts after another, with checks and snapshots in between, while nothing is in flight.
 *
 * @packageDocumentation
 */
import type { LedgerReport } from "../model/ledger.ts";
import type { Violation } from "../model/violation.ts";
import { ControllerError } from "../sut/initiator/errors.ts";
import { ServiceError } from "../sut/port.ts";
import { OccupiedVolumeError } from "./guard.ts";
import type { Run } from "./run.ts";
import { TargetFailure } from "./target-failure.ts";
import { noteUnchecked } from "./unchecked.ts";
import { inspectFirstVisit } from "./visitors/inspect.ts";
import { mutate } from "./visitors/mutate.ts";
import { SnapshotVisitor } from "./visitors/snapshots.ts";
import { validateAll, validateRecent, validateSample } from "./visitors/validate.ts";

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

const defaultDurationMs = 60_000;

export interface RunnerHooks {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Called after each lts and phase; must be quick. */
  readonly onProgress: (progress: Progress) => void;
}

export async function runSequential(run: Run, { now, onProgress }: RunnerHooks): Promise<RunResult> {
  const started = now();
  const { runner, checks } = run.config;
  const ltsLimit = runner.lts ?? Number.POSITIVE_INFINITY;
  const deadline =
    started + (runner.duration ?? (runner.lts === undefined ? defaultDurationMs : Number.POSITIVE_INFINITY));
  const snapshots = new SnapshotVisitor(run);
  noteUnchecked(run);
  let targetFailure: string | undefined;
  let crash: Error | undefined;
  let isFinished = false;
  let lts = 0;
  const progress = (phase: Progress["phase"]): void =>
    onProgress({ lts, phase, elapsedMs: now() - started, snapshotsAlive: snapshots.aliveCount });
  const isDue = (every: number): boolean => every > 0 && lts % every === every - 1;

  try {
    for (; lts < ltsLimit && now() < deadline && !run.isOver; lts++) {
      run.ltsBegun = lts + 1;
      await inspectFirstVisit(run, lts);
      if (run.isOver) break;
      await mutate(run, lts);
      const steps = run.workload.control.stepsAfter(lts);
      // The history is what is to be done at an lts, also if a violation keeps the last of it from being done.
      for (const step of steps) run.digest.control(lts, step);
      for (const step of steps) if (!run.isOver) await snapshots.perform(lts, step);
      if (isDue(checks.recent.every)) await validateRecent(run, checks.recent.extents);
      if (isDue(checks.sample.every)) await validateSample(run, checks.sample.extents);
      if (isDue(checks.all.every)) await validateAll(run);
      progress("running");
    }
    if (checks.all.atEnd && !run.isOver) {
      progress("checking all extents");
      await validateAll(run);
    }
    if (checks.snapshots.atEnd && !run.isOver) {
      progress("checking snapshots");
      await snapshots.checkAllAlive();
    }
    isFinished = !run.isOver;
  } catch (error) {
    if (error instanceof OccupiedVolumeError) throw error;
    if (isTargets(error)) targetFailure = error.message;
    else crash = error instanceof Error ? error : new Error(String(error));
  }
  targetFailure = run.target.failure ?? targetFailure;
  if (!isFinished)
    run.ledger.notChecked(
      "what was left of the run, and all extents and snapshots at its end",
      whyUnfinished(run),
    );
  if (run.violations.length === 0 && run.target.failure === undefined) await snapshots.deleteAllAlive();
  return {
    verdict: verdictOf(run, targetFailure ?? crash?.message),
    violations: run.violations,
    unexplainedCount: run.unexplainedCount,
    historyDigest: run.digest.read(),
    ltsCount: lts,
    ledger: run.ledger.report(),
    wasInterrupted: run.signal.aborted,
    targetFailure,
    targetErrorCount: run.targetErrorCount,
    crash,
    snapshotsLeft: snapshots.namesAlive,
    elapsedMs: now() - started,
  };
}

function isTargets(error: unknown): error is Error {
  return error instanceof TargetFailure || error instanceof ServiceError || error instanceof ControllerError;
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
