/**
 * Compares what was read of an extent with what it may hold: at rest, under load, or in a snapshot.
 *
 * Most blocks have one state, and all of them are compared in one call of the kernels. Where operations in flight,
 * in doubt or around a snapshot's cut leave more than one, the bytes say which it is, and that must go together
 * with all that was seen before: reads with an order of operations and reads, snapshots with one instant as well.
 * What is seen at rest, or in a snapshot, is decided for good.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import type { History } from "../selectors/history.ts";
import type { CutContradiction } from "./cut.ts";
import { contentOf, explains, someZeros, type WriteInterval } from "./linearization.ts";
import {
  type Ambiguity,
  amongWhich,
  type Candidate,
  type Reconciler,
  readsOf,
  sameContent,
} from "./reconciler.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import type { RememberedRead } from "./operation-times.ts";
import type { Tracker } from "./tracker.ts";
import type { View } from "./view.ts";

/** So many reads of zeros are remembered of a block while it is open which operation made them. */
const zeroReadsMax = 12;

/** A block that does not hold what it may. */
export interface WrongBlock {
  /** Counted from the start of the extent. */
  readonly block: number;
  /** States that it may be in, by themselves; the newest first. */
  readonly allowed: readonly number[];
  /** The state that it is in, if its content is one of the allowed ones and only what was seen before forbids it. */
  readonly shown?: number;
  /** The two operations that no single instant has on the two sides that the snapshot has them. */
  readonly contradiction?: CutContradiction;
}

export interface ContentVerdict {
  /** State of each block of the range; scratch, valid until the next check. */
  readonly states: Float64Array;
  readonly wrong: readonly WrongBlock[];
  /** Blocks of which more than one state could show. */
  readonly ambiguousCount: number;
}

/** Part of an extent that was read to `address` of the kernels' memory. */
export interface ReadRange {
  readonly extent: Extent;
  /** Counted from the start of the extent; all of it if absent. */
  readonly firstBlock?: number;
  readonly blockCount?: number;
  readonly view: View;
  readonly address: number;
}

export class ContentChecker {
  readonly #workload: History;
  readonly #tracker: Tracker;
  readonly #reconciler: Reconciler;
  readonly #states: { readonly address: number; readonly values: Float64Array };
  readonly #one: { readonly address: number; readonly values: Float64Array };
  readonly #verdicts: { readonly address: number; readonly bytes: Uint8Array };

  constructor(workload: History, tracker: Tracker, reconciler: Reconciler) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#reconciler = reconciler;
    const { kernel } = workload.run;
    this.#states = kernel.allocateFloat64(workload.geometry.extentBlocks);
    this.#one = kernel.allocateFloat64(1);
    this.#verdicts = kernel.allocate(workload.geometry.extentBlocks);
  }

  check({
    extent,
    firstBlock = 0,
    blockCount = extent.blockCount,
    view,
    address,
  }: ReadRange): ContentVerdict {
    const states = this.#states.values.subarray(0, extent.blockCount);
    const ambiguities = this.#reconciler.stateOf(extent, view, states, { firstBlock, blockCount });
    const { sectorsPerBlock: sectorCount, blockSizeBytes } = this.#workload.geometry;
    const at = { volume: extent.volume, block: extent.firstBlock + firstBlock, blockCount, sectorCount };
    const verdicts = this.#verdicts.bytes;
    const differing = this.#workload.run.verify(
      at,
      address,
      this.#states.address + firstBlock * 8,
      this.#verdicts.address + firstBlock,
    );
    const wrong: WrongBlock[] = [];
    let ambiguousCount = 0;
    let isResolved: Set<number> | undefined;
    for (const ambiguity of ambiguities) {
      const { block } = ambiguity;
      ambiguousCount++;
      const source = address + (block - firstBlock) * blockSizeBytes;
      const shown = verdicts[block] === 0 ? states[block]! : this.#shown(extent, ambiguity, source);
      const fault = this.#judge(extent, view, ambiguity, shown);
      if (fault !== undefined) wrong.push(fault);
      else states[block] = shown!;
      (isResolved ??= new Set()).add(block);
    }
    if (differing > 0)
      for (let block = firstBlock; block < firstBlock + blockCount; block++)
        if (verdicts[block] === 1 && isResolved?.has(block) !== true)
          wrong.push({ block, allowed: [states[block]!] });
    wrong.sort((a, b) => a.block - b.block);
    return { states: states.subarray(firstBlock, firstBlock + blockCount), wrong, ambiguousCount };
  }

  /** Whether one block, read to `address`, is in a state that it may be in by itself; decides nothing. */
  isRight({
    extent,
    block,
    view,
    address,
  }: {
    extent: Extent;
    block: number;
    view: View;
    address: number;
  }): boolean {
    const states = this.#states.values.subarray(0, extent.blockCount);
    const ambiguities = this.#reconciler.stateOf(extent, view, states, { firstBlock: block, blockCount: 1 });
    const ambiguity = ambiguities.find((one) => one.block === block);
    return ambiguity === undefined
      ? this.#shows(extent, block, address, states[block]!)
      : this.#shown(extent, ambiguity, address) !== undefined;
  }

  /** Whether a block of a volume, read to `address`, has the bytes of a state. */
  shows({
    volume,
    block,
    address,
    state,
  }: {
    volume: number;
    block: number;
    address: number;
    state: number;
  }): boolean {
    const { sectorsPerBlock: sectorCount } = this.#workload.geometry;
    this.#one.values[0] = state;
    const at = { volume, block, blockCount: 1, sectorCount };
    return this.#workload.run.verify(at, address, this.#one.address, this.#verdicts.address) === 0;
  }

  /** The state among those that may show whose bytes the block has. */
  #shown(extent: Extent, { block, candidates }: Ambiguity, source: number): number | undefined {
    const tried = new Set<number>();
    for (const { state } of candidates) {
      const content = contentOf(state);
      if (tried.has(content)) continue;
      tried.add(content);
      if (this.#shows(extent, block, source, state)) return state;
    }
    return undefined;
  }

  #shows(extent: Extent, block: number, source: number, state: number): boolean {
    const { sectorsPerBlock: sectorCount } = this.#workload.geometry;
    this.#one.values[0] = state;
    const at = { volume: extent.volume, block: extent.firstBlock + block, blockCount: 1, sectorCount };
    return this.#workload.run.verify(at, source, this.#one.address, this.#verdicts.address + block) === 0;
  }

  /** Whether what an ambiguous block shows goes together with what was seen; remembers or decides it, if so. */
  #judge(
    extent: Extent,
    view: View,
    { block, candidates }: Ambiguity,
    shown: number | undefined,
  ): WrongBlock | undefined {
    const allowed = candidates.map(({ state }) => state);
    if (shown === undefined) return { block, allowed };
    const content = contentOf(shown);
    const onVolume = extent.firstBlock + block;
    const parts = bySegment(candidates);
    const showing = parts.filter((part) => part.some(({ state }) => contentOf(state) === content));
    // Zeros of either side of a rollback: nobody can tell which, and nothing follows from them.
    if (showing.length > 1) return undefined;
    const toRemember: (() => void)[] = [];
    for (const [index, part] of parts.entries()) {
      const { record } = part[0]!;
      const isShown = part === showing[0];
      const between = record === undefined ? (view.observation ?? this.#atRest()) : record.cut.span;
      const line = {
        branch: record?.branch ?? this.#tracker.rollbacksOf(extent.volume).length,
        epoch: this.#tracker.crashesBefore(between.submitted),
      };
      const reads = readsOf(part, onVolume, line);
      const older = parts.slice(index + 1).flat();
      const writes = [...amongWhich(part, reads), ...older.map(beforeAll)];
      if (record !== undefined && isShown) {
        if (!record.cut.allows(part, content))
          return { block, allowed, shown, contradiction: record.cut.narrow(part, content)! };
        if (record.cut.narrow(writes, content, reads) !== undefined) return { block, allowed, shown };
      }
      const read = {
        content,
        submitted: between.submitted,
        completed: between.completed,
        // What an older segment left was there from the start.
        among: [...part, ...older.map((one) => ({ ...one, times: undefined }))],
        ...line,
      };
      if (!explains(writes, [...reads, read])) return { block, allowed, shown };
      toRemember.push(() => remember(part, onVolume, read));
      if (isShown) break;
    }
    for (const doRemember of toRemember) doRemember();
    this.#decide(candidates, shown, onVolume, view);
    this.#decideSnapshots(candidates, shown, onVolume);
    return undefined;
  }

  #atRest(): { submitted: number; completed: number } {
    const submitted = this.#tracker.event();
    return { submitted, completed: this.#tracker.event() };
  }

  /**
   * What showed at rest, or in a snapshot, of operations that might never have happened stands for good.
   *
   * Under load that is so of advice: nobody remembers for long what reads showed of that.
   */
  #decide(
    candidates: readonly Candidate[],
    shown: number,
    block: number,
    { observation }: Pick<View, "observation">,
  ): void {
    const began = observation?.submitted ?? Number.POSITIVE_INFINITY;
    if (observation !== undefined && this.#tracker.hasCrashedBetween(began, Number.POSITIVE_INFINITY)) return;
    const matching = candidates.flatMap((one, index) => (sameContent(one.state, shown) ? [index] : []));
    const newest = matching[0]!;
    for (const [index, { state, record, times, isInDoubt, mayBeIgnored }] of candidates.entries()) {
      if (index > newest) break;
      const position = Math.abs(state);
      const known = times ?? (mayBeIgnored ? this.#tracker.exceptionOf(position) : undefined);
      if ((known === undefined && !mayBeIgnored) || state === 0) continue;
      const isLost = known !== undefined && known.lostAt < Number.POSITIVE_INFINITY;
      const isAlone = known?.hasOverlap !== true && !isLost;
      const completed = times?.completed ?? Number.NEGATIVE_INFINITY;
      if (observation !== undefined && !(mayBeIgnored && isAlone)) continue;
      // Of what a snapshot shows, only what was in doubt tells of the volume as well.
      if (record !== undefined && (!isInDoubt || !isAlone)) continue;
      if (!isInDoubt && known?.hasOverlap !== true) continue;
      const isFinal = completed < (record?.submittedEvent ?? began);
      // Zeros that older advice made are as good as its own, once it is over.
      const isSettled = matching.length === 1 || (mayBeIgnored && isAlone && isFinal);
      if (index < newest && isFinal) this.#tracker.decide(position, block, false, { isAdvice: mayBeIgnored });
      else if (index === newest && isSettled)
        this.#tracker.decide(position, block, true, { isAdvice: mayBeIgnored });
    }
  }

  /** What shows of a snapshot, in itself or after a rollback to it, it shows for good. */
  #decideSnapshots(candidates: readonly Candidate[], shown: number, block: number): void {
    const matching = candidates.flatMap((one, index) => (sameContent(one.state, shown) ? [index] : []));
    const seen = new Set<SnapshotRecord>();
    for (const [index, { record }] of candidates.entries()) {
      if (record === undefined || seen.has(record)) continue;
      seen.add(record);
      if (matching[0]! < index) break;
      record.shown.set(block, shown <= 0 && matching.length > 1 ? someZeros : shown);
      this.#tracker.snapshotChanged(record);
    }
  }
}

/** The candidates of each segment of the history, newest first. */
function bySegment(candidates: readonly Candidate[]): readonly (readonly Candidate[])[] {
  const parts: Candidate[][] = [];
  for (const candidate of candidates) {
    const last = parts.at(-1);
    if (last !== undefined && last[0]!.record === candidate.record) last.push(candidate);
    else parts.push([candidate]);
  }
  return parts;
}

/** What an older segment left, as a newer one sees it: one of several contents, there from the start. */
function beforeAll({ state }: Candidate): WriteInterval {
  return { state, submitted: Number.NEGATIVE_INFINITY, completed: Number.NEGATIVE_INFINITY, isInDoubt: true };
}

/** The operations that it may show know what was seen of them, for as long as anyone can ask. */
function remember(candidates: readonly Candidate[], block: number, read: RememberedRead): void {
  for (const { times, record } of candidates) {
    // What a snapshot shows of the time before a crash says nothing of the volume after it.
    if (times === undefined || (record !== undefined && times.lostAt < Number.POSITIVE_INFINITY)) continue;
    times.reads ??= new Map();
    times.reads.set(block, withRead(times.reads.get(block) ?? [], read));
  }
}

/** Reads of one content are worth their first and last; of zeros, which several operations make, a few more. */
function withRead(reads: readonly RememberedRead[], read: RememberedRead): RememberedRead[] {
  if (reads.some((one) => isStronger(one, read))) return [...reads];
  const all = [...reads.filter((one) => !isStronger(read, one)), read];
  const alike = all.filter((one) => one.content === read.content && isOnOneLine(one, read));
  const max = read.content === 0 ? zeroReadsMax : 2;
  if (alike.length <= max) return all;
  const first = alike.reduce((best, one) => (one.completed < best.completed ? one : best));
  const last = alike.reduce((best, one) => (one.submitted > best.submitted ? one : best));
  const spare = alike.find((one) => one !== first && one !== last);
  return all.filter((one) => one !== spare);
}

/** Whether two reads are of one line of operations, without a rollback or a crash in between. */
function isOnOneLine(one: RememberedRead, other: RememberedRead): boolean {
  return one.branch === other.branch && one.epoch === other.epoch;
}

/** Whether one read says at least what another says. */
function isStronger(one: RememberedRead, other: RememberedRead): boolean {
  return (
    one.content === other.content &&
    isOnOneLine(one, other) &&
    one.submitted >= other.submitted &&
    one.completed <= other.completed
  );
}
