/**
 * What a block may hold in a volume or a snapshot, and why: each operation that ever touched it is allowed, or there
 * is a reason why not.
 *
 * An operation's value may show if it was submitted before the end of the look, and no other operation on the block
 * was submitted after its completion and completed before the look began; in a snapshot, at some instant that its cut
 * can still have.
 *
 * @packageDocumentation
 */
import { contentOf, someZeros } from "../model/linearization.ts";
import { type Candidate, Reconciler, sameContent } from "../model/reconciler.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import { ltsMaxOf, type Segment, snapshotView, standingOf, type View } from "../model/view.ts";
import { operationAt } from "../selectors/operations.ts";
import { type BlockOperation, type BlockPlace, operationName } from "./explain-operations.ts";
import type { ExplainSource } from "./explain-source.ts";

/** A value that a block may hold, or may not. */
export interface CandidateValue {
  /** p for data written at p, −p for zeros made at p; 0 for zeros of a block that nothing touched. */
  readonly state: number;
  /** Who wrote it; absent for zeros that are nobody's, or somebody's of several. */
  readonly operation: BlockOperation | undefined;
  readonly isAllowed: boolean;
  /** Half a sentence. */
  readonly why: string;
}

/** What may show of a block, the newest first; what is known of each beside its state. */
export interface AllowedState {
  readonly state: number;
  /** Absent if it is the only one, and stands for certain. */
  readonly candidate: Candidate | undefined;
}

/** What operations leave open of a block: the newest state that may show, and all of them if there are several. */
interface OpenState {
  readonly state: number;
  readonly candidates: readonly Candidate[];
}

/** Works out what one block may hold. */
export class BlockStates {
  readonly #source: ExplainSource;
  readonly #place: BlockPlace;
  readonly #undecided = new Map<SnapshotRecord, OpenState>();
  readonly #reconciler: Reconciler;
  readonly #scratch: Float64Array;

  constructor(source: ExplainSource, place: BlockPlace) {
    this.#source = source;
    this.#place = place;
    this.#reconciler = new Reconciler(source.history, source.tracker);
    this.#scratch = new Float64Array(source.history.geometry.extentBlocks);
  }

  /** What a snapshot could show by itself, before it was read; worked out once. */
  undecided(record: SnapshotRecord): OpenState {
    let state = this.#undecided.get(record);
    if (state === undefined) {
      state = this.#open(snapshotView(this.#source.tracker, record), { isUndecided: true });
      this.#undecided.set(record, state);
    }
    return state;
  }

  #open(view: View, options: { readonly isUndecided?: boolean } = {}): OpenState {
    const { extent, block } = this.#place;
    const at = block - extent.firstBlock;
    const range = { ...options, firstBlock: at, blockCount: 1 };
    const ambiguities = this.#reconciler.stateOf(extent, view, this.#scratch, range);
    const candidates = ambiguities.find((one) => one.block === at)?.candidates ?? [];
    return { state: this.#scratch[at]!, candidates };
  }

  /** The states that a block may be in, the newest first; never empty. */
  allowed(view: View): readonly AllowedState[] {
    const { state, candidates } = this.#open(view);
    if (candidates.length === 0) return [{ state, candidate: undefined }];
    const left = candidates.filter((candidate) => isLeftByCut(candidate, candidates));
    return (left.length === 0 ? candidates : left).map((candidate) => ({
      state: candidate.state,
      candidate,
    }));
  }

  /**
   * Every value that the block ever had, allowed or not, the newest first.
   *
   * @param operations - All that touched it, oldest first.
   */
  values(view: View, operations: readonly BlockOperation[]): readonly CandidateValue[] {
    const allowed = this.allowed(view);
    const { candidates } = this.#open(view);
    const byState = new Map(allowed.map((one) => [one.state, one]));
    const values: CandidateValue[] = [];
    const newestFirst = operations.filter(({ effect }) => effect !== "none").reverse();
    const named = new Set<number>();
    for (const [index, operation] of newestFirst.entries()) {
      const state = operation.effect === "data" ? operation.position : -operation.position;
      const one = byState.get(state);
      named.add(state);
      values.push(
        one === undefined
          ? {
              state,
              operation,
              isAllowed: false,
              why: this.#whyNot(view, newestFirst, index, candidates),
            }
          : { state, operation, isAllowed: true, why: this.#why(view, one) },
      );
    }
    for (const one of allowed)
      if (!named.has(one.state))
        values.push({
          ...{ state: one.state, operation: undefined, isAllowed: true },
          why: this.#why(view, one),
        });
    if (!byState.has(0)) {
      const first = newestFirst.findLast((operation) => this.#isCertain(view, operation));
      const why =
        first === undefined
          ? "what was shown of the block says otherwise"
          : `${operationName(first)} replaced it`;
      values.push({ state: 0, operation: undefined, isAllowed: false, why });
    }
    return values;
  }

  #why(view: View, { state, candidate }: AllowedState): string {
    const { tracker } = this.#source;
    const { block } = this.#place;
    const shownBy = snapshotsOf(view).find((record) => {
      const shown = record.shown.get(block);
      return shown !== undefined && (shown === state || (shown === someZeros && state <= 0));
    });
    if (shownBy !== undefined) return `a read of snapshot ${shownBy.snapshot} has shown it, which stands`;
    if (state === 0)
      return candidate === undefined
        ? "nothing ever touched the block"
        : "if none of the operations above took effect, nothing ever touched the block";
    if (candidate === undefined) {
      const isShown = tracker.decisionOn(Math.abs(state), block) === true;
      return isShown ? "a read has shown that it took effect" : "the newest that took effect for certain";
    }
    return whyOpen(candidate);
  }

  #whyNot(
    view: View,
    newestFirst: readonly BlockOperation[],
    index: number,
    candidates: readonly Candidate[],
  ): string {
    const { tracker } = this.#source;
    const { block } = this.#place;
    const operation = newestFirst[index]!;
    const { lts, position, effect, events } = operation;
    const state = effect === "data" ? position : -position;
    const first = view.segments[0]!;
    const segment = segmentOf(view, lts);
    if (segment === undefined) return whyOutside(view, lts, tracker.rollbacksOf(view.volume));
    const { record } = segment;
    const { standing, times } = standingOf(tracker, view, segment, position, lts);
    if (times?.outcome === "failed") return "the target refused it: it has no effect";
    if (standing === "out" && record !== undefined)
      return segment === first
        ? `not in the cut: it was submitted after the call of snapshot ${record.snapshot} had completed (event ${record.completedEvent})`
        : `not in snapshot ${record.snapshot}, to which the volume was put back: it was submitted later`;
    const shown = record?.shown.get(block);
    const isLater = shown !== undefined && Math.abs(shown) < position && standing === "open";
    if (isLater)
      return `decided: a read of snapshot ${record!.snapshot} has shown ${stateName(shown)} instead`;
    if (tracker.decisionOn(position, block) === false && standing === "open")
      return "decided: a read at rest has shown that it did not happen here";
    if (record !== undefined && candidates.some((one) => one.state === state)) {
      const { after, before } = {
        after: record.cut.instants[0]!.after,
        before: record.cut.instants.at(-1)!.before,
      };
      return `other blocks have shown that the cut lies between events ${after} and ${before}, where this can not show`;
    }
    const over = newestFirst.slice(0, index).findLast((other) => this.#isCertain(view, other));
    if (over !== undefined) return `overwritten by ${operationName(over)}, ${order(operation, over)}`;
    const newest = candidates[0];
    if (newest !== undefined)
      return `overwritten by ${stateName(newest.state)}, submitted after it had completed`;
    return events === undefined
      ? "what was shown of the block says otherwise"
      : "replaced by a newer operation";
  }

  /** Whether an operation took effect for certain in a view, so that nothing that had completed before it can show. */
  #isCertain(view: View, { position, lts, kind, outcome }: BlockOperation): boolean {
    const { tracker } = this.#source;
    const { block } = this.#place;
    const segment = segmentOf(view, lts);
    if (segment === undefined || outcome === "failed") return false;
    if (tracker.deallocateIsAdvice && kind.startsWith("deallocate")) return false;
    const { standing, times } = standingOf(tracker, view, segment, position, lts);
    if (standing !== "open") return standing === "in";
    const shown = segment.record?.shown.get(block);
    if (shown !== undefined && Math.abs(shown) === position) return true;
    // Replaced by another while both were under way, it took effect all the same.
    const isDone = times?.outcome === "ok" && times.lostAt === Number.POSITIVE_INFINITY;
    return (segment.record === undefined && isDone) || tracker.decisionOn(position, block) === true;
  }
}

/** The part of a history that an operation is to be found in, if it is in any of a view's. */
export function segmentOf({ segments }: View, lts: number): Segment | undefined {
  return segments.find(({ ltsMin, ltsMax }) => lts > ltsMin && lts <= ltsMax);
}

/** A state, in a word or two. */
export function stateName(state: number): string {
  if (state === 0) return "zeros that nothing ever replaced";
  if (state === someZeros) return "zeros";
  return operationName(operationAt(state));
}

function order(under: BlockOperation, over: BlockOperation): string {
  if (over.hasOverlap && under.hasOverlap) return "which took effect after it";
  const at = over.events === undefined ? "" : ` (event ${over.events.submitted})`;
  const done =
    under.events === undefined || !Number.isFinite(under.events.completed)
      ? ""
      : ` (event ${under.events.completed})`;
  return `which was submitted${at} after it had completed${done}`;
}

/** What an instant of the snapshot's cut can show; values that more than one part of the history has are not told apart. */
function isLeftByCut({ record, state }: Candidate, candidates: readonly Candidate[]): boolean {
  if (record === undefined) return true;
  const alike = candidates.filter((other) => sameContent(other.state, state));
  if (alike.some((other) => other.record !== record)) return true;
  const part = candidates.filter((other) => other.record === record);
  return record.cut.allows(part, contentOf(state));
}

function snapshotsOf({ segments }: View): readonly SnapshotRecord[] {
  return segments.flatMap(({ record }) => (record === undefined ? [] : [record]));
}

function whyOpen({ times, record, isInDoubt, mayBeIgnored }: Candidate): string {
  if (times === undefined)
    return mayBeIgnored
      ? "deallocated, which may leave the old data or zeros"
      : "what is there if none of the newer ones took effect";
  if (times.lostAt < Number.POSITIVE_INFINITY)
    return "it was not durable when the target crashed: kept, or not";
  if (times.outcome === "unknown") return "its outcome is unknown: it may have happened";
  if (record?.open.has(times.position) === true)
    return `under way around the call of snapshot ${record.snapshot}: in its cut, or not`;
  if (mayBeIgnored) return "deallocated, which may leave the old data or zeros";
  if (times.hasOverlap) return "under way together with another on this block: either may be on top";
  return isInDoubt ? "it may have happened" : "it took effect for certain, and may have been replaced";
}

function whyOutside(
  view: View,
  lts: number,
  rollbacks: readonly { readonly afterLts: number; readonly record: SnapshotRecord }[],
): string {
  if (lts > ltsMaxOf(view)) {
    const record = view.segments[0]!.record;
    return record === undefined
      ? `later than lts ${ltsMaxOf(view)}`
      : `not in the cut: it was submitted after the call of snapshot ${record.snapshot} had completed (event ${record.completedEvent})`;
  }
  const by = rollbacks.find(({ afterLts, record }) => afterLts >= lts && lts > record.ltsBefore);
  return by === undefined
    ? "on a branch that a rollback has ended"
    : `undone by the rollback to snapshot ${by.record.snapshot} after lts ${by.afterLts}`;
}
