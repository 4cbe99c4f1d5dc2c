/**
 * What an extent holds in a view, worked out from nothing.
 *
 * Walks the visits of the extent from the newest to the oldest and stops as soon as every block is explained: the
 * cost follows the visits to that extent, never the age of the run. A block's state is a position: p > 0 for data
 * written at p, −p for zeros made at p, 0 for a block that nothing ever touched.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import { effectOf, type OperationKind, positionOf } from "../selectors/operations.ts";
import type { History } from "../selectors/history.ts";
import { someZeros, type WriteInterval } from "./linearization.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import type { OperationTimes, ReadableWrite, ReadInterval, RememberedRead } from "./operation-times.ts";
import type { Tracker } from "./tracker.ts";
import { type Segment, standingOf, type View } from "./view.ts";

/** One of the operations that a block may show. */
export interface Candidate extends WriteInterval, ReadableWrite {
  /** The snapshot in whose part of the history it lies; absent for the volume's own. */
  readonly record: SnapshotRecord | undefined;
}

/** A block of which more than one state may show. */
export interface Ambiguity {
  /** Counted from the start of the extent. */
  readonly block: number;
  /** Newest lts first. */
  readonly candidates: readonly Candidate[];
}

type Found = Pick<Candidate, "record" | "times" | "mayBeIgnored">;

/** A block that is being explained. */
interface Pending {
  readonly candidates: Candidate[];
  /** Submission of the latest candidate that took effect for certain: what completed before it can not show. */
  closed: number;
}

/** Of an operation of which it is not known any more when it took effect; see {@link placed}. */
const anyTime = { completed: Number.POSITIVE_INFINITY, submitted: Number.NEGATIVE_INFINITY } as const;
/** What a block holds if nothing ever touched it. */
const untouched = { completed: Number.NEGATIVE_INFINITY, submitted: Number.NEGATIVE_INFINITY } as const;

export class Reconciler {
  readonly #workload: History;
  readonly #tracker: Tracker;
  readonly #explained: Uint8Array;

  constructor(workload: History, tracker: Tracker) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#explained = new Uint8Array(workload.geometry.extentBlocks);
  }

  /**
   * Fills `into` with the state of each block of the extent.
   *
   * Blocks of which more than one state may show are returned; `into` has the newest of them.
   *
   * @param options.isUndecided - Tells what a snapshot could show by itself, before it was read; what was shown of
   *   snapshots that its volume was put back to before counts all the same.
   * @param options.firstBlock - With `blockCount`, the only blocks that are worked out; all others stay 0.
   */
  stateOf(
    extent: Extent,
    view: View,
    into: Float64Array,
    options: {
      readonly isUndecided?: boolean;
      readonly firstBlock?: number;
      readonly blockCount?: number;
    } = {},
  ): readonly Ambiguity[] {
    const { isUndecided = false, firstBlock: first = 0, blockCount: count = extent.blockCount } = options;
    const { window } = this.#workload;
    const { blockCount, firstBlock: start } = extent;
    const explained = this.#explained;
    explained.fill(1, 0, blockCount);
    explained.fill(0, first, first + count);
    into.fill(0, 0, blockCount);
    let pending: Map<number, Pending> | undefined;
    let left = count;
    const settle = (block: number, state: number, found: Found): void => {
      explained[block] = 1;
      left--;
      const open = pending?.get(block);
      if (open === undefined) into[block] = state;
      else close(open, state, found);
    };
    for (const segment of view.segments) {
      const { record, ltsMin } = segment;
      /** What completed before it has certainly taken effect by then. */
      const begin = record?.submittedEvent ?? view.observation?.submitted ?? Number.POSITIVE_INFINITY;
      const isIgnored = isUndecided && segment === view.segments[0];
      if (record !== undefined && record.shown.size > 0 && !isIgnored)
        for (const [onVolume, state] of record.shown) {
          const block = onVolume - start;
          if (block >= 0 && block < blockCount && explained[block] === 0)
            settle(block, state, { record, times: undefined, mayBeIgnored: false });
        }
      for (
        let lts = window.lastLts(extent.pd, segment.ltsMax);
        lts !== undefined && lts > ltsMin && left > 0;
        lts = window.prevLts(lts)
      ) {
        for (const { kind, operationId, firstBlock, blockCount: touched } of this.#workload.visit(lts)
          .operations) {
          const effect = effectOf(kind);
          if (effect === "none") continue;
          const position = positionOf(lts, operationId);
          const { standing, times: known } = standingOf(this.#tracker, view, segment, position, lts);
          if (standing === "out") continue;
          const mayBeIgnored = this.#isAdvice(kind);
          // What reads showed of advice goes on to bind what is read at rest.
          const times =
            known ?? (mayBeIgnored && record === undefined ? this.#tracker.timesOf(position) : undefined);
          const state = effect === "data" ? position : -position;
          if (standing === "in" && !mayBeIgnored && pending === undefined) {
            for (let block = firstBlock; block < firstBlock + touched; block++) {
              if (explained[block] === 1) continue;
              explained[block] = 1;
              into[block] = state;
              left--;
            }
            continue;
          }
          for (let block = firstBlock; block < firstBlock + touched; block++) {
            if (explained[block] === 1) continue;
            const decision =
              standing === "in" && !mayBeIgnored
                ? true
                : this.#decisionOn(view, segment, { times, mayBeIgnored }, position, start + block);
            if (decision === false) continue;
            if (decision === true) {
              settle(block, state, { record, times, mayBeIgnored });
              continue;
            }
            pending ??= new Map();
            let open = pending.get(block);
            if (open === undefined) {
              pending.set(block, (open = { candidates: [], closed: Number.NEGATIVE_INFINITY }));
              into[block] = state;
            }
            // As it was, and not as a crash may have left it.
            if ((times?.completed ?? Number.NEGATIVE_INFINITY) < open.closed) continue;
            const candidate = candidateOf(state, record, times, mayBeIgnored);
            open.candidates.push(candidate);
            if (!candidate.isInDoubt && candidate.completed < begin)
              open.closed = Math.max(open.closed, candidate.submitted);
          }
        }
      }
      if (left === 0) break;
    }
    if (pending === undefined) return [];
    const ambiguities: Ambiguity[] = [];
    for (const [block, open] of pending) {
      if (explained[block] === 0)
        close(open, 0, { record: view.segments.at(-1)!.record, times: undefined, mayBeIgnored: false });
      if (open.candidates.length === 1) into[block] = open.candidates[0]!.state;
      else ambiguities.push({ block, candidates: placed(open.candidates) });
    }
    return ambiguities;
  }

  /** All states that one block has been in, newest first, ending with 0: never touched. */
  *versions(extent: Extent, block: number, view: View): Generator<number> {
    const { window } = this.#workload;
    for (const segment of view.segments)
      for (
        let lts = window.lastLts(extent.pd, segment.ltsMax);
        lts !== undefined && lts > segment.ltsMin;
        lts = window.prevLts(lts)
      ) {
        const operation = this.#workload.operationOn(lts, block);
        if (operation === undefined || effectOf(operation.kind) === "none") continue;
        const position = positionOf(lts, operation.operationId);
        const { standing, times } = standingOf(this.#tracker, view, segment, position, lts);
        if (standing === "out") continue;
        const onVolume = extent.firstBlock + block;
        const mayBeIgnored = this.#isAdvice(operation.kind);
        if (standing === "open" || mayBeIgnored) {
          const about = { times, mayBeIgnored };
          if (this.#decisionOn(view, segment, about, position, onVolume) === false) continue;
        }
        yield effectOf(operation.kind) === "data" ? position : -position;
      }
    yield 0;
  }

  /** What is known for good of an operation on a block; only what a view can rely on counts. */
  #decisionOn(
    { observation }: View,
    { record }: Segment,
    { times, mayBeIgnored }: Pick<Candidate, "times" | "mayBeIgnored">,
    position: number,
    block: number,
  ): boolean | undefined {
    if (record !== undefined && times !== undefined) {
      const isLost = times.lostAt < Number.POSITIVE_INFINITY;
      if (isLost && this.#tracker.lastLossOf(times) >= record.submittedEvent) return undefined;
      // Of what was under way around a snapshot call, the volume says only that it never happened at all.
      if (record.open.has(position)) {
        const isWhole = (times.outcome === "unknown" || mayBeIgnored) && !times.hasOverlap && !isLost;
        return isWhole && this.#tracker.decisionOn(position, block) === false ? false : undefined;
      }
    }
    if (observation !== undefined && times !== undefined && times.completed >= observation.submitted)
      return undefined;
    const decision = this.#tracker.decisionOn(position, block);
    const isAtRest = record === undefined && observation === undefined;
    // One that another replaced while both were under way may have been on top then, and not at rest.
    return decision === false && times?.hasOverlap === true && !isAtRest ? undefined : decision;
  }

  /** Whether a state is zeros of a deallocation that might have left the old data. */
  isOfAdvice(state: number): boolean {
    if (state >= 0 || state === someZeros || !this.#tracker.deallocateIsAdvice) return false;
    const found = this.#workload.operationOf(-state);
    return found !== undefined && this.#isAdvice(found.operation.kind);
  }

  /** Deallocation is advice where the namespace does not promise zeros: old data may stay, for good. */
  #isAdvice(kind: OperationKind): boolean {
    return this.#tracker.deallocateIsAdvice && kind.startsWith("deallocate");
  }
}

/** Reads of a block, in one branch of its history and between two crashes, that its candidates remember. */
export function readsOf(
  candidates: readonly Candidate[],
  block: number,
  { branch, epoch }: Pick<RememberedRead, "branch" | "epoch">,
): readonly RememberedRead[] {
  const found = new Set<RememberedRead>();
  for (const { times } of candidates)
    for (const read of times?.reads?.get(block) ?? [])
      if (read.branch === branch && read.epoch === epoch) found.add(read);
  return [...found];
}

/** The candidates, with their times where a read knows them, and what else some reads could show at their time. */
export function amongWhich(
  candidates: readonly Candidate[],
  reads: readonly ReadInterval[],
): readonly Candidate[] {
  const { record } = candidates[0]!;
  const all = new Map(candidates.map((candidate) => [candidate.state, candidate]));
  const among = reads.flatMap((read) => read.among);
  for (const { state, times, mayBeIgnored } of among) {
    if (times === undefined || times.outcome === "failed" || all.get(state)?.times !== undefined) continue;
    all.set(state, candidateOf(state, record, times, mayBeIgnored));
  }
  // Advice that is known to have happened hides what was there long ago, and may itself be known from long ago.
  const last = candidates.at(-1)!;
  const oldest = all.get(last.state)!;
  const hides = oldest.times === undefined && !oldest.isInDoubt;
  for (const { state, mayBeIgnored } of among)
    if (!all.has(state) && !(hides && Math.abs(state) < Math.abs(oldest.state)))
      all.set(state, candidateOf(state, record, undefined, mayBeIgnored));
  return [...all.values()];
}

/** Whether two states of a block have the same bytes: data differs by its position, zeros are zeros. */
export function sameContent(a: number, b: number): boolean {
  return a === b || (a <= 0 && b <= 0);
}

/** The last candidate of a block: it took effect for certain, and nothing older can show. */
function close(open: Pending, state: number, found: Found): void {
  const { times } = found;
  const { submitted, completed } = times ?? untouched;
  const candidate: Candidate = {
    state,
    submitted,
    completed,
    isInDoubt: false,
    ...found,
  };
  if (candidate.completed >= open.closed) open.candidates.push(candidate);
}

/**
 * The candidates, with advice of which the times are gone between those around it.
 *
 * It may be newer than an operation in doubt, and than what reads showed of that. Nothing overlapped it on its blocks,
 * or its times were kept: so it began when all older ones were over, and was over when the first newer one began.
 */
function placed(candidates: readonly Candidate[]): readonly Candidate[] {
  if (!candidates.some(({ mayBeIgnored, times }) => mayBeIgnored && times === undefined)) return candidates;
  return candidates.map((candidate, index) => {
    const { mayBeIgnored, record } = candidate;
    if (!mayBeIgnored || candidate.times !== undefined) return candidate;
    let { submitted, completed } = anyTime as { submitted: number; completed: number };
    for (const [other, { times, record: its }] of candidates.entries()) {
      if (times === undefined || its !== record) continue;
      // Events are whole numbers. Of what an earlier process submitted it may not be known when.
      if (other < index && times.submitted > 0) completed = Math.min(completed, times.submitted - 0.5);
      else if (other > index && times.completed < Number.POSITIVE_INFINITY)
        submitted = Math.max(submitted, times.completed);
    }
    return submitted < completed ? { ...candidate, submitted, completed } : candidate;
  });
}

function candidateOf(
  state: number,
  record: SnapshotRecord | undefined,
  times: OperationTimes | undefined,
  mayBeIgnored: boolean,
): Candidate {
  if (times === undefined)
    return {
      state,
      ...(mayBeIgnored ? anyTime : untouched),
      isInDoubt: mayBeIgnored,
      record,
      times,
      mayBeIgnored,
    };
  const { submitted, completed, outcome, lostAt } = times;
  // What a crash may have dropped is there after it, or is not: as if it were decided at that instant.
  const isLost =
    lostAt < Number.POSITIVE_INFINITY && (record === undefined || lostAt < record.submittedEvent);
  return {
    state,
    submitted: isLost ? Math.max(submitted, lostAt - 0.5) : submitted,
    completed: isLost ? Math.max(completed, lostAt) : completed,
    isInDoubt: isLost || mayBeIgnored || outcome === "unknown",
    record,
    times,
    mayBeIgnored,
  };
}
