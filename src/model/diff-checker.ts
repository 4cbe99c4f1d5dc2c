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
 * Blocks that only an operation in doubt touched may be reported or not.
 *
 * @packageDocumentation
 */
import { effectOf, positionOf } from "../selectors/operations.ts";
import type { Workload } from "../selectors/workload.ts";
import { type BlockRun, BlockSet } from "./block-set.ts";
import { type Reconciler, sameContent } from "./reconciler.ts";
import type { SnapshotRecord, Tracker } from "./tracker.ts";
import type { FaultClass, OperationReference, Violation } from "./violation.ts";

/** One page of an answer: bit i of byte j of a range's bitmap stands for block `lbaStart + 8 j + i`. */
export interface AnswerPage {
  readonly offsetLba: number;
  readonly ranges: readonly { readonly lbaStart: number; readonly bitmap: Uint8Array }[];
  /** Start of the next page; 0 for the last. */
  readonly nextOffsetLba: number;
}

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
  readonly promise: DiffPromise;
}

export interface DiffVerdict {
  readonly violations: readonly Violation[];
  readonly reportedBlocks: number;
  /** Blocks that had to be reported. */
  readonly changedBlocks: number;
}

/** What an answer must and may report. */
interface Expectation {
  readonly must: BlockSet;
  readonly may: BlockSet;
}

const blocksNamedMax = 3;

export class DiffChecker {
  readonly #workload: Workload;
  readonly #tracker: Tracker;
  readonly #reconciler: Reconciler;
  readonly #before: Float64Array;
  readonly #after: Float64Array;

  constructor(workload: Workload, tracker: Tracker, reconciler: Reconciler) {
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
    const { must, may } = this.#expectation(question);
    const missing = [...must.minus(reported)];
    const invented = [
      ...reported.minus(may.rounded(question.promise.granularityBlocks, this.#volumeBlocks(question))),
    ];
    violations.push(...this.#content(question, missing, invented));
    return { violations, reportedBlocks: reported.size, changedBlocks: must.size };
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
    const ltsMin = (base?.ltsMax ?? -1) + 1;
    for (const pd of this.#extentsTouched(volume, ltsMin, snapshot.ltsMax)) {
      const extent = this.#workload.geometry.extent(pd);
      const { firstBlock, blockCount } = extent;
      const doubts = this.#reconciler.stateAt(extent, snapshot.ltsMax, this.#after);
      const open = new Set(doubts.map(({ block }) => block));
      if (base === undefined) this.#before.fill(0);
      else
        for (const { block } of this.#reconciler.stateAt(extent, base.ltsMax, this.#before)) open.add(block);
      const touched = this.#touched(pd, ltsMin, snapshot.ltsMax, may);
      for (let block = 0; block < blockCount; block++) {
        if (open.has(block)) continue;
        const differs = !sameContent(this.#before[block]!, this.#after[block]!);
        if (differs || (promise.precision === "exact" && touched[block] === 1)) must.add(firstBlock + block);
      }
    }
    return { must, may };
  }

  /** Extents of a volume with a visit in a span of lts. */
  #extentsTouched(volume: number, ltsMin: number, ltsMax: number): Iterable<number> {
    const { geometry, window } = this.#workload;
    const pds = new Set<number>();
    if (ltsMin === 0) {
      // The whole history: ask for the extents, not for the visits.
      const count = window.reachedCount(ltsMax);
      for (let index = 0; index < count; index++) pds.add(window.reachedPd(index));
    } else for (let lts = ltsMin; lts <= ltsMax; lts++) pds.add(window.pd(lts));
    return [...pds].filter((pd) => geometry.extent(pd).volume === volume);
  }

  /** Adds what the visits of an extent touched in a span to `may`; returns what certainly was, as flags. */
  #touched(pd: number, ltsMin: number, ltsMax: number, may: BlockSet): Uint8Array {
    const { window, geometry } = this.#workload;
    const { firstBlock } = geometry.extent(pd);
    const touched = new Uint8Array(geometry.extentBlocks);
    for (let lts = window.lastLts(pd, ltsMax); lts !== undefined && lts >= ltsMin; lts = window.prevLts(lts))
      for (const operation of this.#workload.visit(lts).operations) {
        if (effectOf(operation.kind) === "none") continue;
        const position = positionOf(lts, operation.operationId);
        const outcome = this.#tracker.outcomeOf(position);
        if (outcome === "failed") continue;
        may.addRun({ block: firstBlock + operation.firstBlock, blockCount: operation.blockCount });
        if (outcome === "ok")
          touched.fill(1, operation.firstBlock, operation.firstBlock + operation.blockCount);
      }
    return touched;
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
    const broken = brokenContract(pages, this.#volumeBlocks(question), question.promise.chunkBlocks);
    if (broken === undefined) return [];
    return [this.#violation(question, "contract", { block: broken.block, blockCount: 1 }, broken)];
  }

  #volumeBlocks({ volume }: DiffQuestion): number {
    return this.#workload.geometry.volumeBlocks[volume]!;
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
      operations: this.#lastTouch(volume, block, (base?.ltsMax ?? -1) + 1, snapshot.ltsMax),
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
      if (operation === undefined) continue;
      const { operationId, kind, firstBlock, blockCount } = operation;
      return [{ lts, operationId, kind, block: extent.firstBlock + firstBlock, blockCount, role: "touched" }];
    }
    return [];
  }
}

function reportedBlocks(pages: readonly AnswerPage[]): BlockSet {
  const reported = new BlockSet();
  for (const { ranges } of pages)
    for (const { lbaStart, bitmap } of ranges)
      for (const [byte, bits] of bitmap.entries())
        for (let bit = 0; bit < 8; bit++) if ((bits >> bit) & 1) reported.add(lbaStart + 8 * byte + bit);
  return reported;
}

/** The first breach of the page contract. */
function brokenContract(
  pages: readonly AnswerPage[],
  volumeBlocks: number,
  chunkBlocks: number,
): { block: number; summary: string; expected: string; observed: string } | undefined {
  let end = 0;
  for (const [index, { offsetLba, ranges, nextOffsetLba }] of pages.entries()) {
    const isLast = index === pages.length - 1;
    for (const { lbaStart, bitmap } of ranges) {
      const where = `range at block ${lbaStart}, page ${index}`;
      if (lbaStart % chunkBlocks !== 0)
        return {
          block: lbaStart,
          summary: `${where}: not aligned`,
          expected: `a multiple of ${chunkBlocks}`,
          observed: `${lbaStart}`,
        };
      if (lbaStart < offsetLba - (offsetLba % chunkBlocks))
        return {
          block: lbaStart,
          summary: `${where}: lies before its page`,
          expected: `a start at ${offsetLba} or after`,
          observed: `${lbaStart}`,
        };
      if (lbaStart < end)
        return {
          block: lbaStart,
          summary: `${where}: out of order, or overlaps the range before it`,
          expected: `a start at ${end} or after`,
          observed: `${lbaStart}`,
        };
      const last = lastBit(bitmap);
      if (last !== undefined && lbaStart + last >= volumeBlocks)
        return {
          block: lbaStart,
          summary: `${where}: reaches beyond the volume`,
          expected: `blocks below ${volumeBlocks}`,
          observed: `block ${lbaStart + last}`,
        };
      end = lbaStart + bitmap.length * 8;
    }
    if (isLast ? nextOffsetLba !== 0 : nextOffsetLba <= offsetLba)
      return {
        block: offsetLba,
        summary: `page ${index} does not lead on`,
        expected: isLast ? `0, or a next offset above ${offsetLba}` : `a next offset above ${offsetLba}`,
        observed: `${nextOffsetLba}`,
      };
    if (!isLast && nextOffsetLba < end)
      return {
        block: nextOffsetLba,
        summary: `page ${index} leads back into itself`,
        expected: `a next offset of ${end} or more`,
        observed: `${nextOffsetLba}`,
      };
  }
  return undefined;
}

function lastBit(bitmap: Uint8Array): number | undefined {
  for (let byte = bitmap.length - 1; byte >= 0; byte--)
    if (bitmap[byte] !== 0) return byte * 8 + 31 - Math.clz32(bitmap[byte]!);
  return undefined;
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
