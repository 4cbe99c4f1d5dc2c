/**
 * The diff checker: the answer of a changed-block query against what the operations between two cuts did.
 *
 * With W the blocks that operations touched between the cuts and C those whose content differs:
 *
 *   missing nothing    C ⊆ reported; with precision "exact", W ⊆ reported
 *   inventing nothing  reported ⊆ W, rounded out to the target's granularity
 *   page contract      ranges ascending, disjoint, aligned, inside the volume; every page ahead of the last
 *   determinism        the same question twice has the same answer
 *
 * An operation in flight at a snapshot may lie on either side of its cut, but all of them must lie as some one
 * instant has them, and as the snapshot's content shows: an answer is right if some pair of instants explains it.
 *
 * @packageDocumentation
 */
import { effectOf, type Operation, positionOf } from "../selectors/operations.ts";
import type { Extent } from "../selectors/geometry.ts";
import type { History } from "../selectors/history.ts";
import { type BlockRun, BlockSet } from "./block-set.ts";
import { type AnswerPage, brokenContract, reportedBlocks } from "./diff-contract.ts";
import {
  atCut,
  type BlockAtCut,
  instantsWorthTrying,
  type OpenBlock,
  openBlock,
  settled,
} from "./diff-cuts.ts";
import { someZeros } from "./linearization.ts";
import { type Reconciler, sameContent } from "./reconciler.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";
import type { Tracker } from "./tracker.ts";
import { type Segment, snapshotView } from "./view.ts";
import type { FaultClass, OperationReference, Violation } from "./violation.ts";

/** What the target promises of its diffs. */
export interface DiffPromise {
  /** Blocks that are always reported together. */
  readonly granularityBlocks: number;
  /** Alignment of ranges, in blocks. */
  readonly chunkBlocks: number;
  /** `exact`: all that was touched is reported; `covering`: at least all that differs. */
  readonly precision: "exact" | "covering";
}

export interface DiffQuestion {
  readonly volume: number;
  readonly snapshot: SnapshotRecord;
  readonly base: SnapshotRecord | undefined;
  /** Size of the snapshot. */
  readonly blockCount: number;
  readonly promise: DiffPromise;
}

type Cuts = Pick<DiffQuestion, "volume" | "snapshot" | "base">;

export interface DiffVerdict {
  readonly violations: readonly Violation[];
  readonly reported: BlockSet;
  /** Blocks that had to be reported, whatever the cuts' instants. */
  readonly changedBlocks: number;
}

/** What an answer must and may report. */
interface Expectation {
  readonly must: BlockSet;
  readonly may: BlockSet;
  /** Blocks for which that depends on the instants of the two cuts. */
  readonly open: readonly OpenBlock[];
}

/** How an answer differs from what it must and may report. */
interface Difference {
  readonly missing: readonly BlockRun[];
  readonly invented: readonly BlockRun[];
}

const blocksNamedMax = 3;

export class DiffChecker {
  readonly #workload: History;
  readonly #tracker: Tracker;
  readonly #reconciler: Reconciler;
  readonly #before: Float64Array;
  readonly #after: Float64Array;

  constructor(workload: History, tracker: Tracker, reconciler: Reconciler) {
    this.#workload = workload;
    this.#tracker = tracker;
    this.#reconciler = reconciler;
    this.#before = new Float64Array(workload.geometry.extentBlocks);
    this.#after = new Float64Array(workload.geometry.extentBlocks);
  }

  /** Judges an answer, and that the same question gave it `again`. */
  check(question: DiffQuestion, pages: readonly AnswerPage[], again: readonly AnswerPage[]): DiffVerdict {
    const violations = [...this.#contract(question, pages)];
    if (violations.length === 0) violations.push(...this.#contract(question, again));
    const reported = reportedBlocks(pages);
    if (!reported.equals(reportedBlocks(again)))
      violations.push(
        this.#violation(
          question,
          "nondeterministic",
          { block: 0, blockCount: 1 },
          {
            summary: "the same question, asked twice, had two answers",
            expected: `${reported.size} blocks, as in the first answer`,
            observed: `${reportedBlocks(again).size} blocks in the second`,
          },
        ),
      );
    const expectation = this.#expectation(question);
    const difference = this.#difference(question, expectation, reported);
    if (difference === undefined) violations.push(this.#contradiction(question, expectation.open));
    else violations.push(...this.#content(question, difference.missing, difference.invented));
    return { violations, reported, changedBlocks: expectation.must.size };
  }

  /**
   * The verdict on an answer over a long span, against those over its parts: it can report nothing that no part does.
   *
   * @param parts - All that the answers over the parts reported.
   */
  algebra(question: DiffQuestion, reported: BlockSet, parts: BlockSet): Violation | undefined {
    const strange = [...reported.minus(parts)];
    if (strange.length === 0) return undefined;
    return this.#violation(question, "algebra", strange[0]!, {
      summary: `${total(strange)} blocks are reported over the whole span that no diff of its parts reports`,
      expected: "only blocks that a diff between two snapshots in between reports as well",
      observed: `reported: ${runsText(strange)}`,
    });
  }

  /** The verdict on an answer to a question whose base was deleted: there must be none. */
  deletedBase(question: DiffQuestion, pages: readonly AnswerPage[]): Violation {
    const reported = reportedBlocks(pages).size;
    return this.#violation(
      question,
      "deleted-base-answered",
      { block: 0, blockCount: 1 },
      {
        summary: "the base was deleted before the question, so any answer may be wrong without a sign of it",
        expected: "an error",
        observed: `an answer that reports ${reported} blocks`,
      },
    );
  }

  #expectation({ volume, snapshot, base, promise }: DiffQuestion): Expectation {
    const must = new BlockSet();
    const may = new BlockSet();
    const open: OpenBlock[] = [];
    const viewAfter = snapshotView(this.#tracker, snapshot);
    const viewBefore = base === undefined ? undefined : snapshotView(this.#tracker, base);
    // One line of operations leads from one cut to the other, without a rollback or a crash in between.
    const isOneLine =
      base !== undefined &&
      base.branch === snapshot.branch &&
      !this.#tracker.hasCrashedBetween(base.submittedEvent, snapshot.completedEvent);
    const spans = this.#spans(viewAfter.segments, viewBefore?.segments ?? []);
    const pds = new Set(this.#extentsTouched(volume, spans));
    for (const { extent } of this.#dropped({ volume, snapshot, base })) pds.add(extent.pd);
    for (const pd of pds) {
      const extent = this.#workload.geometry.extent(pd);
      const { firstBlock, blockCount } = extent;
      const undecided = { isUndecided: true };
      const after = atCut(this.#reconciler.stateOf(extent, viewAfter, this.#after, undecided), firstBlock);
      let before = new Map<number, BlockAtCut>();
      if (viewBefore === undefined) this.#before.fill(0);
      else before = atCut(this.#reconciler.stateOf(extent, viewBefore, this.#before, undecided), firstBlock);
      for (let block = 0; block < blockCount; block++) {
        const old = this.#before[block]!;
        const now = this.#after[block]!;
        if (before.has(block) || after.has(block)) {
          open.push(
            openBlock(
              firstBlock + block,
              { at: before.get(block) ?? this.#settled(old, base), record: base },
              { at: after.get(block) ?? this.#settled(now, snapshot), record: snapshot },
              isOneLine,
            ),
          );
          continue;
        }
        // Zeros of unknown origin may have been made anew in between.
        const isVague = old === someZeros || now === someZeros;
        if (old === now && !isVague) continue;
        may.add(firstBlock + block);
        // Advice that left zeros as they were need not have done anything.
        const isExact = promise.precision === "exact" && !isVague && !this.#reconciler.isOfAdvice(now);
        if (isExact || !sameContent(old, now)) must.add(firstBlock + block);
      }
    }
    this.#addDropped(may, { volume, snapshot, base });
    return { must, may, open };
  }

  /** Adds what was written in between and then dropped by a crash: a diff may tell of it, though it is not there. */
  #addDropped(may: BlockSet, question: Cuts): void {
    for (const { extent, operation } of this.#dropped(question)) {
      if (effectOf(operation.kind) === "none") continue;
      may.addRun({ block: extent.firstBlock + operation.firstBlock, blockCount: operation.blockCount });
    }
  }

  /** Operations that a crash between the two cuts may have dropped: their extents changed, whenever they were written. */
  *#dropped({ volume, snapshot, base }: Cuts): Generator<{ extent: Extent; operation: Operation }> {
    const since = base?.submittedEvent ?? Number.NEGATIVE_INFINITY;
    if (!this.#tracker.hasCrashedBetween(since, snapshot.completedEvent)) return;
    for (const times of this.#tracker.exceptions()) {
      if (times.lostAt > snapshot.completedEvent || this.#tracker.lastLossOf(times) < since) continue;
      const found = this.#workload.operationOf(times.position);
      if (found?.extent.volume === volume) yield found;
    }
  }

  /**
   * Where an answer differs from what it must and may report, at the instants that suit it best.
   *
   * @returns Nothing if there are no instants at which both snapshots could show what they do.
   */
  #difference(
    question: DiffQuestion,
    { must, may, open }: Expectation,
    reported: BlockSet,
  ): Difference | undefined {
    const { snapshot, base, promise, blockCount } = question;
    const unit = promise.granularityBlocks;
    const known = may.rounded(unit, blockCount);
    const advised = this.#advised(question, reported, known);
    const mayInUnits = union(known, advised.rounded(unit, blockCount));
    if (open.length === 0)
      return { missing: [...must.minus(reported)], invented: [...reported.minus(mayInUnits)] };
    let best: Difference | undefined;
    let bestCount = Number.POSITIVE_INFINITY;
    const instants = instantsWorthTrying(open, snapshot);
    for (const then of instantsWorthTrying(open, base))
      for (const now of instants) {
        const isNeeded = new BlockSet();
        const touchable = new BlockSet();
        let isPossible = true;
        for (const { block, changes: changesBetween } of open) {
          const changes = changesBetween(then, now);
          if (changes.length === 0) {
            // No write can be on top at these instants: they are not those of this pair of snapshots.
            isPossible = false;
            break;
          }
          const isReported = reported.has(block);
          const canStayOut = changes.some((change) =>
            promise.precision === "exact" ? change === "none" : change !== "differs",
          );
          if (!canStayOut) isNeeded.add(block);
          if (changes.some((change) => change === "differs" || change === "rewritten"))
            if (isReported || (promise.precision === "covering" && changes.includes("rewritten")))
              touchable.add(block);
        }
        if (!isPossible) continue;
        const allowed =
          touchable.size === 0 ? mayInUnits : union(mayInUnits, touchable.rounded(unit, blockCount));
        const missing = [...union(must, isNeeded).minus(reported)];
        const invented = [...reported.minus(allowed)];
        const count = total(missing) + total(invented);
        if (count < bestCount) {
          bestCount = count;
          best = { missing, invented };
        }
        if (count === 0) return best!;
      }
    return best;
  }

  /**
   * Blocks in the units of reported ones, other than those of `known`, that advice concerned between the two cuts: a
   * diff may tell of it, though it left what was there.
   */
  #advised(
    { volume, snapshot, base, promise, blockCount }: DiffQuestion,
    reported: BlockSet,
    known: BlockSet,
  ) {
    const advised = new BlockSet();
    if (!this.#tracker.deallocateIsAdvice) return advised;
    const strange = new BlockSet();
    for (const run of reported.minus(known)) strange.addRun(run);
    const { geometry, window } = this.#workload;
    const end = geometry.volumeBlocks[volume]!;
    const spans = this.#spans(
      snapshotView(this.#tracker, snapshot).segments,
      base === undefined ? [] : snapshotView(this.#tracker, base).segments,
    );
    for (const block of strange.rounded(promise.granularityBlocks, Math.min(blockCount, end)).blocks()) {
      if (block >= end) continue;
      const extent = geometry.extent(geometry.pdOf(volume, block));
      const isAdvised = spans.some(({ ltsMin, ltsMax }) => {
        let lts = window.lastLts(extent.pd, ltsMax);
        for (; lts !== undefined && lts > ltsMin; lts = window.prevLts(lts)) {
          const operation = this.#workload.operationOn(lts, block - extent.firstBlock);
          if (operation === undefined) continue;
          const position = positionOf(lts, operation.operationId);
          if (!this.#reconciler.isOfAdvice(-position) || base?.inside.has(position) === true) continue;
          if (this.#tracker.outcomeOf(position) !== "failed") return true;
        }
        return false;
      });
      if (isAdvised) advised.add(block);
    }
    return advised;
  }

  /** A block of which a cut shows one state. */
  #settled(state: number, record: SnapshotRecord | undefined): BlockAtCut {
    return settled(state, record, this.#reconciler.isOfAdvice(state));
  }

  /** The parts of the history between two views: all that either has since the branch that both come from. */
  #spans(segments: readonly Segment[], base: readonly Segment[]): { ltsMin: number; ltsMax: number }[] {
    const common = segments.find(({ branch }) => base.some((other) => other.branch === branch));
    const since = ({ branch }: Segment): boolean => common === undefined || branch > common.branch;
    const spans = [...segments, ...base].filter(since).map(({ ltsMin, ltsMax }) => ({ ltsMin, ltsMax }));
    const other = base.find(({ branch }) => branch === common?.branch);
    if (common !== undefined && other !== undefined && common.record !== other.record)
      spans.push({
        ltsMin: Math.min(...[common, other].map(({ record, ltsMax }) => record?.ltsBefore ?? ltsMax)),
        ltsMax: Math.max(common.ltsMax, other.ltsMax),
      });
    return spans;
  }

  /** Extents of a volume with a visit in some spans of lts. */
  #extentsTouched(volume: number, spans: readonly { ltsMin: number; ltsMax: number }[]): Iterable<number> {
    const { geometry, window } = this.#workload;
    const pds = new Set<number>();
    for (const { ltsMin, ltsMax } of spans)
      if (ltsMin < 0) {
        // From the beginning: ask for the extents, not for the visits.
        const count = window.reachedCount(ltsMax);
        for (let index = 0; index < count; index++) pds.add(window.reachedPd(index));
      } else for (let lts = ltsMin + 1; lts <= ltsMax; lts++) pds.add(window.pd(lts));
    return [...pds].filter((pd) => geometry.extent(pd).volume === volume);
  }

  #contradiction(question: DiffQuestion, open: readonly OpenBlock[]): Violation {
    const { block } = open[0]!;
    return {
      ...this.#violation(
        question,
        "torn-cut",
        { block, blockCount: 1 },
        {
          summary:
            "base and snapshot show operations on the two sides of their cuts that no two instants have there",
          expected: "one instant for each that agrees with all that both show",
          observed: `${open.length} blocks with operations under way at either cut`,
        },
      ),
      rule: "cut",
    };
  }

  #content(question: DiffQuestion, missing: readonly BlockRun[], invented: readonly BlockRun[]): Violation[] {
    const shift = shiftBetween(missing, invented);
    if (shift !== undefined)
      return [
        this.#violation(question, "wrong-offset", missing[0]!, {
          summary: `the right blocks are reported ${Math.abs(shift)} blocks too ${shift > 0 ? "high" : "low"}`,
          expected: runsText(missing),
          observed: runsText(invented),
        }),
      ];
    const violations: Violation[] = [];
    if (missing.length > 0)
      violations.push(
        this.#violation(question, "omission", missing[0]!, {
          summary: `${total(missing)} changed blocks are not reported: a backup by this diff would lose them`,
          expected: `reported: ${runsText(missing)}`,
          observed: "not reported",
        }),
      );
    if (invented.length > 0)
      violations.push(
        this.#violation(question, "over-report", invented[0]!, {
          summary: `${total(invented)} blocks are reported that no operation touched between the two`,
          expected: "not reported",
          observed: `reported: ${runsText(invented)}`,
        }),
      );
    return violations;
  }

  #contract(question: DiffQuestion, pages: readonly AnswerPage[]): Violation[] {
    const broken = brokenContract(pages, question.blockCount, question.promise.chunkBlocks);
    if (broken === undefined) return [];
    return [this.#violation(question, "contract", { block: broken.block, blockCount: 1 }, broken)];
  }

  #violation(
    { volume, snapshot, base }: DiffQuestion,
    name: FaultClass,
    { block, blockCount }: BlockRun,
    text: Pick<Violation, "summary" | "expected" | "observed">,
  ): Violation {
    return {
      rule: "diff",
      class: name,
      summary: text.summary,
      volume,
      block,
      blockCount,
      snapshot: snapshot.snapshot,
      ...(base === undefined ? {} : { base: base.snapshot }),
      ltsMax: snapshot.ltsMax,
      expected: text.expected,
      observed: text.observed,
      operations: this.#lastTouch(volume, block, (base?.ltsBefore ?? -1) + 1, snapshot.ltsMax),
    };
  }

  /** The newest operation of the span that touched a block: what should have been reported, if anything. */
  #lastTouch(volume: number, block: number, ltsMin: number, ltsMax: number): readonly OperationReference[] {
    const { window, geometry } = this.#workload;
    if (block >= geometry.volumeBlocks[volume]!) return [];
    const extent = geometry.extent(geometry.pdOf(volume, block));
    for (
      let lts = window.lastLts(extent.pd, ltsMax);
      lts !== undefined && lts >= ltsMin;
      lts = window.prevLts(lts)
    ) {
      const operation = this.#workload.operationOn(lts, block - extent.firstBlock);
      if (operation === undefined || effectOf(operation.kind) === "none") continue;
      const { operationId, kind, firstBlock, blockCount } = operation;
      return [{ lts, operationId, kind, block: extent.firstBlock + firstBlock, blockCount, role: "touched" }];
    }
    return [];
  }
}

function union(a: BlockSet, b: BlockSet): BlockSet {
  if (b.size === 0) return a;
  const all = new BlockSet();
  for (const set of [a, b]) for (const block of set.blocks()) all.add(block);
  return all;
}

/** The distance by which all missing runs reappear among the invented ones. */
function shiftBetween(missing: readonly BlockRun[], invented: readonly BlockRun[]): number | undefined {
  if (missing.length === 0 || missing.length !== invented.length) return undefined;
  const shift = invented[0]!.block - missing[0]!.block;
  const isShifted = missing.every(
    (run, index) =>
      invented[index]!.block === run.block + shift && invented[index]!.blockCount === run.blockCount,
  );
  return isShifted ? shift : undefined;
}

function total(runs: readonly BlockRun[]): number {
  return runs.reduce((sum, { blockCount }) => sum + blockCount, 0);
}

function runsText(runs: readonly BlockRun[]): string {
  const named = runs
    .slice(0, blocksNamedMax)
    .map(({ block, blockCount }) =>
      blockCount === 1 ? `${block}` : `${block} to ${block + blockCount - 1}`,
    );
  const rest = runs.length - named.length;
  return `blocks ${named.join(", ")}${rest > 0 ? ` and ${rest} more runs` : ""}`;
}
