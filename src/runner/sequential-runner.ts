/**
 * The sequential runner: one lts after another, with checks and snapshots in between, while nothing is in flight.
 *
 * @packageDocumentation
 */
import type { LedgerReport } from "../model/ledger.ts";
import type { Violation } from "../model/violation.ts";
import { ServiceError } from "../sut/port.ts";
import type { Run } from "./run.ts";
import { TargetFailure } from "./target-failure.ts";
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
  let lts = 0;
  const progress = (phase: Progress["phase"]): void =>
    onProgress({ lts, phase, elapsedMs: now() - started, snapshotsAlive: snapshots.aliveCount });
  const isDue = (every: number): boolean => every > 0 && lts % every === every - 1;

  try {
    for (; lts < ltsLimit && now() < deadline && !run.isOver; lts++) {
      await mutate(run, lts);
      for (const step of run.workload.control.stepsAfter(lts))
        if (!run.isOver) await snapshots.perform(lts, step);
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
    if (run.violations.length === 0) await snapshots.deleteAllAlive();
  } catch (error) {
    if (!(error instanceof TargetFailure || error instanceof ServiceError)) throw error;
    targetFailure = error.message;
  }
  targetFailure = run.target.failure ?? targetFailure;
  return {
    verdict: verdictOf(run, targetFailure),
    violations: run.violations,
    unexplainedCount: run.unexplainedCount,
    historyDigest: run.digest.read(),
    ltsCount: lts,
    ledger: run.ledger.report(),
    wasInterrupted: run.signal.aborted,
    targetFailure,
    targetErrorCount: run.targetErrorCount,
    elapsedMs: now() - started,
  };
}

/** A run that could not look does not call what it did not see consistent. */
function verdictOf(run: Run, targetFailure: string | undefined): Verdict {
  if (run.violations.length > 0) return "violation";
  return targetFailure !== undefined || run.targetErrorCount >= run.config.runner.stopAfterTargetErrors
    ? "undecided"
    : "consistent";
}

/** What the configuration keeps from being checked stands in the ledger. */
function noteUnchecked({ config, ledger }: Run): void {
  const { checks, snapshots } = config;
  if (!checks.all.atEnd)
    ledger.notChecked("last versions of extents not drawn by a check", "checks.all.atEnd is false");
  if (snapshots.every === 0) ledger.notChecked("snapshots and diffs", "snapshots.every is 0");
  else {
    if (checks.snapshots.extents === 0)
      ledger.notChecked("content of snapshots while the run goes on", "checks.snapshots.extents is 0");
    if (checks.snapshots.extents !== "all" && checks.snapshots.extents > 0)
      ledger.notChecked(
        "extents of deleted snapshots beyond a sample",
        `checks.snapshots.extents is ${checks.snapshots.extents}`,
      );
    if (!checks.snapshots.atEnd)
      ledger.notChecked("whole content of the last snapshots", "checks.snapshots.atEnd is false");
    if (!checks.diffs.enabled) ledger.notChecked("diffs", "checks.diffs.enabled is false");
    else if (checks.diffs.precision === "covering")
      ledger.notChecked(
        "that rewritten blocks of unchanged content are reported",
        "checks.diffs.precision is covering",
      );
  }
  ledger.notChecked("operations that overlap in time, and snapshots under load", "the runner is sequential");
}
