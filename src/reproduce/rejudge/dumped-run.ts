/**
 * The run of a dump, taken up where it ended, to ask its model again: nothing is performed any more.
 *
 * @packageDocumentation
 */
import type { KeptSnapshot } from "../../runner/kept-snapshot.ts";
import { writtenHistory } from "../../runner/perform-history.ts";
import { interruptOpenLts, resumedRun } from "../../runner/resume.ts";
import { Run } from "../../runner/run.ts";
import type { RunLog } from "../../runner/run-log.ts";
import type { RunMemory } from "../../runner/run-store.ts";
import type { Target } from "../../runner/target.ts";
import type { Dump } from "../dump.ts";

export interface DumpedRunOptions {
  readonly dump: Dump;
  /** What the model knew; taken over, so that each run needs one of its own. */
  readonly memory: RunMemory;
  /** What it is asked over; only read. */
  readonly target: Target;
  readonly log: RunLog;
  readonly signal: AbortSignal;
}

export function dumpedRun({ dump, memory, target, log, signal }: DumpedRunOptions): Run {
  const { config, seed, name, plan } = dump;
  const run = new Run({
    ...{ config, seed, name, target, log, signal },
    // Nobody asks for the digest of a history that is over: it need not be worked out.
    resumed: { ...resumedRun(memory), digest: { hash: "", lts: memory.ltsReserved + 1 } },
    ...(plan === undefined ? {} : { history: (kernel) => writtenHistory(plan, config, kernel) }),
    onViolation: () => {},
  });
  interruptOpenLts(run, memory);
  run.crashLts = (memory.documents.get("crashLts") as number | undefined) ?? -1;
  return run;
}

/** What a snapshot of a volume was called on the target; absent if the run had forgotten it. */
export function uuidOfSnapshot(
  { documents }: RunMemory,
  volume: number,
  snapshot: number,
): string | undefined {
  const kept = (documents.get("snapshots") ?? []) as readonly KeptSnapshot[];
  return kept.find((one) => one.snapshot === snapshot)?.volumes[volume]?.uuid;
}

/** Whether a snapshot should still be on the target: the run has taken it, and has not deleted it. */
export function isKept({ documents }: RunMemory, snapshot: number): boolean {
  const kept = (documents.get("snapshots") ?? []) as readonly KeptSnapshot[];
  return kept.some((one) => one.snapshot === snapshot && one.isAlive);
}
