/**
 * What an explanation is worked out from: a history, what the model knew of a run of it, and when things were, as far
 * as anyone has kept that.
 *
 * From a seed alone it is as if every operation had gone well, one lts after another.
 *
 * @packageDocumentation
 */
import { LtsClock } from "../model/lts-clock.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import { Tracker } from "../model/tracker.ts";
import type { Config } from "../runner/config/schema.ts";
import type { OperationLogFile } from "../runner/operation-log-file.ts";
import type { RunMemory } from "../runner/run-store.ts";
import { type History, openChanges } from "../selectors/history.ts";
import { Workload } from "../selectors/workload.ts";
import type { DeviceCapabilities } from "../sut/port.ts";
import type { Case } from "./again.ts";
import type { DumpedViolation } from "./dump.ts";
import { controlSteps, snapshotCountOf } from "./explain-control.ts";
import { drawnState, writtenState } from "./explain-expected.ts";
import { guessedRecord } from "./explain-resting.ts";
import { historyOf } from "./history-of.ts";
import type { Turns } from "./turns.ts";

/** The operation log of a run, as far as there is one. */
export type RunLogFile = Pick<
  OperationLogFile,
  "operation" | "steps" | "droppedCount" | "droppedStepCount" | "ltsFirst" | "wallOffsetMs"
>;

/** What is promised of a volume, as far as an explanation depends on it. */
type Promised = Pick<DeviceCapabilities, "volatileWriteCache" | "deallocatedReads">;

export interface ExplainSource {
  readonly config: Config;
  readonly seed: bigint;
  readonly history: History;
  readonly tracker: Tracker;
  /** Highest lts that was begun, or that is asked for; −1 for none. */
  readonly ltsEnd: number;
  /** Where outcomes, cuts and decisions are from. */
  readonly basis: "memory" | "seed";
  readonly clock: LtsClock | undefined;
  readonly log: RunLogFile | undefined;
  /** Absent if nobody has kept it. */
  readonly promised: Promised | undefined;
  readonly violations: readonly DumpedViolation[];
  /** Of what the tracker has not: what is expected of a snapshot, whenever it was taken; absent for one never taken. */
  readonly expected?: ((volume: number, snapshot: number) => SnapshotRecord | undefined) | undefined;
}

export interface MemorySourceOptions extends Case {
  readonly memory: RunMemory;
  readonly log?: RunLogFile | undefined;
  readonly promised?: Promised | undefined;
  readonly violations?: readonly DumpedViolation[];
}

export function sourceOfMemory(options: MemorySourceOptions): ExplainSource {
  const { config, seed, memory, log, promised, violations = [] } = options;
  const history = historyOf(options);
  const tracker = Tracker.resumed(memory);
  tracker.deallocateIsAdvice = (promised?.deallocatedReads ?? "zeros") !== "zeros";
  tracker.interrupt(openChanges(history, memory));
  const clock = clockOf(memory);
  const ltsEnd = memory.ltsReserved;
  return { config, seed, history, tracker, ltsEnd, basis: "memory", clock, log, promised, violations };
}

/** A clock that is damaged costs the times, and nothing else. */
function clockOf({ documents }: RunMemory): LtsClock | undefined {
  const kept = documents.get("progress") as { readonly clock?: unknown } | null | undefined;
  if (kept?.clock === undefined) return undefined;
  try {
    return LtsClock.fromJSON(kept.clock);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** As it must be once all lts up to `ltsEnd` have gone well. */
export function* sourceOfSeed(what: Case, ltsEnd: number): Turns<ExplainSource> {
  const { config, seed } = what;
  const history = historyOf(what);
  const { state, expected } =
    history instanceof Workload
      ? yield* drawnState(history, config, ltsEnd)
      : { state: yield* writtenState(history, config, ltsEnd), expected: undefined };
  const tracker = Tracker.resumed({ ...nothingUnusual, ...state, ltsReserved: ltsEnd, ltsComplete: ltsEnd });
  return {
    ...{ config, seed, history, tracker, ltsEnd, expected },
    basis: "seed",
    clock: undefined,
    log: undefined,
    promised: undefined,
    violations: [],
  };
}

/** The records of a volume's snapshots that are still known, of those with a rollback to them as well. */
export function* recordsOf({ tracker }: ExplainSource, volume: number): Generator<SnapshotRecord> {
  const known = new Set(tracker.snapshots.filter((record) => record.volume === volume));
  for (const { record } of tracker.rollbacksOf(volume)) known.add(record);
  yield* known;
}

/** A snapshot as it can be asked about. */
export interface KnownSnapshot {
  readonly record: SnapshotRecord;
  /** Otherwise nobody knows any more where its cut lay, and it is as if it had been taken at rest. */
  readonly isCutKept: boolean;
}

/** One lts after another: nothing was under way around a snapshot's call, so that its lts says where its cut lay. */
export function isSequential({ config }: Pick<ExplainSource, "config">): boolean {
  return config.runner.kind === "sequential";
}

/** @returns Nothing if the history has not taken it by then. */
export function snapshotOf(
  source: ExplainSource,
  volume: number,
  snapshot: number,
): KnownSnapshot | undefined {
  for (const record of recordsOf(source, volume))
    if (record.snapshot === snapshot) return { record, isCutKept: true };
  const { history, config, ltsEnd, tracker, expected } = source;
  if (expected !== undefined) {
    const record = expected(volume, snapshot);
    return record === undefined ? undefined : { record, isCutKept: true };
  }
  const rollbacks = tracker.rollbacksOf(volume);
  if (history instanceof Workload) {
    if (snapshot >= snapshotCountOf(history, config, ltsEnd)) return undefined;
    const lts = history.control.snapshots.ltsOf(snapshot);
    if (rollbacks.length === 0)
      return { record: guessedRecord({ snapshot, volume, lts, branch: 0 }), isCutKept: false };
  }
  let branch = 0;
  for (const { lts, step } of controlSteps(history, config, ltsEnd)) {
    if (step.kind === "rollback" && rollbacks[branch]?.record.snapshot === step.snapshot) branch++;
    if (step.kind === "snapshot" && step.snapshot === snapshot)
      return { record: guessedRecord({ snapshot, volume, lts, branch }), isCutKept: false };
  }
  return undefined;
}

const nothingUnusual = { exceptions: [], decisions: [] };
