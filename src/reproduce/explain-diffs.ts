/**
 * Whether the diff of two snapshots must, may or must not report one block.
 *
 * @packageDocumentation
 */
import { atCut, instantsWorthTrying, openBlock, settled } from "../model/diff-cuts.ts";
import { someZeros } from "../model/linearization.ts";
import { sameContent } from "../model/reconciler.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import type { BlockStates } from "./explain-candidates.ts";
import type { BlockOperation, BlockPlace } from "./explain-operations.ts";
import type { ExplainSource } from "./explain-source.ts";

export type Report = "must" | "may" | "must not";

/** @param base - Absent for a diff without base. */
export function reportOf(
  { tracker, config }: ExplainSource,
  states: BlockStates,
  place: BlockPlace,
  {
    snapshot,
    base,
    operations,
  }: {
    readonly snapshot: SnapshotRecord;
    readonly base: SnapshotRecord | undefined;
    readonly operations: readonly BlockOperation[];
  },
): Report {
  const isExact = config.checks.diffs.precision === "exact";
  const at = (record: SnapshotRecord) => {
    const { state, candidates } = states.undecided(record);
    const ambiguities = candidates.length === 0 ? [] : [{ block: place.block, candidates }];
    return { state, open: atCut(ambiguities, 0).get(place.block) };
  };
  const since = base?.submittedEvent ?? Number.NEGATIVE_INFINITY;
  const hasCrashed = tracker.hasCrashedBetween(since, snapshot.completedEvent);
  const before = base === undefined ? { state: 0, open: undefined } : at(base);
  const after = at(snapshot);
  if (before.open === undefined && after.open === undefined) {
    const isVague = before.state === someZeros || after.state === someZeros;
    if (!isVague && before.state === after.state)
      // What a crash has dropped may be told of all the same.
      return hasCrashed && operations.some(({ wasAtStake }) => wasAtStake) ? "may" : "must not";
    return (isExact && !isVague) || !sameContent(before.state, after.state) ? "must" : "may";
  }
  const open = openBlock(
    place.block,
    { at: before.open ?? settled(before.state, base), record: base },
    { at: after.open ?? settled(after.state, snapshot), record: snapshot },
    base !== undefined && base.branch === snapshot.branch && !hasCrashed,
  );
  const changes = new Set(
    instantsWorthTrying([open], base).flatMap((then) =>
      instantsWorthTrying([open], snapshot).flatMap((now) => open.changes(then, now)),
    ),
  );
  if (changes.size === 0) return "may";
  if (!changes.has("none") && (isExact || !changes.has("rewritten"))) return "must";
  return changes.has("differs") || changes.has("rewritten") || hasCrashed ? "may" : "must not";
}
