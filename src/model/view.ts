/**
 * What is looked at: a volume at rest, a volume while operations go on, or a snapshot.
 *
 * A view is a list of segments of the history, newest first: rollbacks branch it, so that below the first lts after
 * one the snapshot's own past goes on. Of each operation in a segment it says whether it is in, out, or may be.
 *
 * @packageDocumentation
 */
import type { RollbackRecord } from "./lineage.ts";
import type { Observation, OperationTimes } from "./operation-times.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import type { Tracker } from "./tracker.ts";

/** An operation is in for certain; is not; or is one of several that may show, block by block. */
export type Standing = "in" | "out" | "open";

export interface Segment {
  /** Operations above `ltsMin`, up to and with `ltsMax`. */
  readonly ltsMin: number;
  readonly ltsMax: number;
  /** The snapshot whose cut bounds the segment; absent for the volume itself. */
  readonly record: SnapshotRecord | undefined;
  /** Rollbacks of the volume before it. */
  readonly branch: number;
}

export interface View {
  readonly volume: number;
  /** Newest first. */
  readonly segments: readonly Segment[];
  /** Set if the volume is looked at while operations go on. */
  readonly observation: Observation | undefined;
}

/** A volume on which nothing up to `ltsMax` is under way, and nothing later can show. */
export function volumeView(tracker: Tracker, volume: number, ltsMax: number): View {
  return { volume, segments: volumeSegments(tracker, volume, ltsMax), observation: undefined };
}

/** A volume during an observation that is over, while operations went on. */
export function liveView(tracker: Tracker, volume: number, observation: Observation): View {
  return { volume, segments: volumeSegments(tracker, volume, tracker.ltsStartedMax), observation };
}

export function snapshotView(tracker: Tracker, record: SnapshotRecord): View {
  return { volume: record.volume, segments: recordSegments(tracker, record), observation: undefined };
}

/** Highest lts that can show. */
export function ltsMaxOf({ segments }: View): number {
  return segments[0]!.ltsMax;
}

/** Whether an operation, of an lts within a segment, shows in a view. */
export function standingOf(
  tracker: Tracker,
  { observation }: View,
  { record }: Segment,
  position: number,
  lts: number,
): { readonly standing: Standing; readonly times: OperationTimes | undefined } {
  if (record !== undefined) return standingInSnapshot(tracker, record, position, lts);
  const times = observation === undefined ? tracker.exceptionOf(position) : tracker.timesOf(position);
  if (times === undefined)
    return observation !== undefined && lts > tracker.ltsCompleteMax ? neverSubmitted : plain;
  if (times.outcome === "failed") return { standing: "out", times };
  if (observation !== undefined) {
    if (times.submitted >= observation.completed) return { standing: "out", times };
    if (times.completed >= observation.submitted) return { standing: "open", times };
  }
  return { standing: isExceptional(times) ? "open" : "in", times };
}

const plain = { standing: "in", times: undefined } as const;
const neverSubmitted = { standing: "out", times: undefined } as const;

function standingInSnapshot(
  tracker: Tracker,
  { open, inside, ltsBefore, submittedEvent }: SnapshotRecord,
  position: number,
  lts: number,
): { readonly standing: Standing; readonly times: OperationTimes | undefined } {
  if (lts > ltsBefore) {
    const times = open.get(position);
    if (times !== undefined) return { standing: times.outcome === "failed" ? "out" : "open", times };
    if (!inside.has(position)) return neverSubmitted;
  }
  const times = tracker.exceptionOf(position);
  if (times === undefined) return plain;
  if (times.outcome === "failed") return { standing: "out", times };
  // The run was taken up after this snapshot: what had ended by then is in no doubt here.
  if (times.completed > submittedEvent) return plain;
  // What a later crash may have dropped from the volume is safe in the snapshot.
  const isLost = times.lostAt < submittedEvent;
  const isOpen = times.outcome === "unknown" || times.hasOverlap || isLost;
  return { standing: isOpen ? "open" : "in", times };
}

function isExceptional({ outcome, hasOverlap, lostAt }: OperationTimes): boolean {
  return outcome === "unknown" || hasOverlap || lostAt < Number.POSITIVE_INFINITY;
}

function volumeSegments(tracker: Tracker, volume: number, ltsMax: number): Segment[] {
  const rollbacks = tracker.rollbacksOf(volume);
  const last = rollbacks.at(-1);
  const own: Segment = {
    ltsMin: last?.afterLts ?? -1,
    ltsMax,
    record: undefined,
    branch: rollbacks.length,
  };
  return last === undefined ? [own] : [own, ...recordSegments(tracker, last.record)];
}

function recordSegments(tracker: Tracker, first: SnapshotRecord): Segment[] {
  const segments: Segment[] = [];
  const rollbacks = tracker.rollbacksOf(first.volume);
  for (let record: SnapshotRecord | undefined = first; record !== undefined; ) {
    const from: RollbackRecord | undefined = rollbacks[record.branch - 1];
    segments.push({ ltsMin: from?.afterLts ?? -1, ltsMax: record.ltsMax, record, branch: record.branch });
    record = from?.record;
  }
  return segments;
}
