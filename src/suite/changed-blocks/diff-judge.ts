/**
 * What the model says of the answer to a question for a diff: all that differs must be in it, nothing that was not
 * touched, and its pages must keep to their contract.
 *
 * @packageDocumentation
 */
import { BlockSet } from "../../model/block-set.ts";
import { type AnswerPage, brokenContract, reportedBlocks } from "../../model/diff-contract.ts";
import type { BlockRange, DiffCapabilities } from "../../sut/port.ts";
import type { BlockVersions } from "./block-versions.ts";
import { type Region, rangeText } from "./layout.ts";
import { SuiteFailure } from "./suite-failure.ts";

/** The answer to a question for a diff, found right by the model. */
export interface Answer {
  /** For people: which diff it is. */
  readonly what: string;
  readonly pages: readonly AnswerPage[];
  readonly rangeCount: number;
  readonly reported: BlockSet;
}

/** What is known of a snapshot. */
export interface KnownSnapshot {
  readonly label: string;
  readonly versions: BlockVersions;
  /** How much had been touched; see `SourceMemory.touchCount`. */
  readonly touchCount: number;
}

export interface Question {
  readonly snapshot: KnownSnapshot;
  readonly base: KnownSnapshot | undefined;
  readonly volumeBlocks: number;
  readonly capabilities: DiffCapabilities;
  /** All that may have changed since the base; `undefined` if a volume of before the suite may hold anything. */
  readonly touched: readonly BlockRange[] | undefined;
}

/** @throws {SuiteFailure} If the answer breaks the contract, leaves a block out, or reports one too many. */
export function judge(pages: readonly AnswerPage[], question: Question): Answer {
  const { snapshot, base, volumeBlocks, capabilities, touched } = question;
  const what = questionText(snapshot, base);
  const { chunkBlocks, granularityBlocks } = capabilities;
  const broken = brokenContract(pages, volumeBlocks, chunkBlocks);
  if (broken !== undefined)
    throw new SuiteFailure(
      `${what}: ${broken.summary}: expected ${broken.expected}, got ${broken.observed}`,
      { faultClass: "contract", block: broken.block },
    );
  const reported = reportedBlocks(pages);
  const changed =
    base === undefined ? snapshot.versions.written() : snapshot.versions.differingFrom(base.versions);
  const [missing] = changed.minus(reported);
  if (missing !== undefined)
    throw new SuiteFailure(
      `${what} leaves out ${rangeText(missing)}, which ${base === undefined ? "hold data" : "differ"}`,
      { faultClass: "omission", block: missing.block },
    );
  if (touched !== undefined) {
    const [extra] = reported.minus(setOf(touched).rounded(granularityBlocks, volumeBlocks));
    if (extra !== undefined)
      throw new SuiteFailure(`${what} reports ${rangeText(extra)}, which nobody has touched`, {
        faultClass: "over-report",
        block: extra.block,
      });
  }
  const rangeCount = pages.reduce((sum, { ranges }) => sum + ranges.length, 0);
  return { what, pages, rangeCount, reported };
}

export function questionText(
  snapshot: Pick<KnownSnapshot, "label">,
  base: Pick<KnownSnapshot, "label"> | undefined,
): string {
  return base === undefined
    ? `diff of ${snapshot.label} without base`
    : `diff of ${snapshot.label} against ${base.label}`;
}

/**
 * The part of an answer that comes from an offset on is what the whole answer says from there on; between the offset
 * and the chunk that it lies in, either may be told.
 *
 * @throws {SuiteFailure} With the first block that is missing, or one too many.
 */
export function expectRest(
  whole: Answer,
  pages: readonly AnswerPage[],
  { offset, volumeBlocks, chunkBlocks }: { offset: number; volumeBlocks: number; chunkBlocks: number },
): void {
  const what = `${whole.what}, from block ${offset} on`;
  const broken = brokenContract(pages, volumeBlocks, chunkBlocks);
  if (broken !== undefined)
    throw new SuiteFailure(
      `${what}: ${broken.summary}: expected ${broken.expected}, got ${broken.observed}`,
      { faultClass: "contract", block: broken.block },
    );
  const rest = reportedBlocks(pages);
  for (const run of whole.reported.minus(rest)) {
    const end = run.block + run.blockCount;
    const block = Math.max(run.block, offset);
    if (block < end)
      throw new SuiteFailure(`${what}, leaves out ${rangeText({ block, blockCount: end - block })}`, {
        faultClass: "omission",
        block,
      });
  }
  const chunk = offset - (offset % chunkBlocks);
  for (const run of rest.minus(whole.reported))
    throw new SuiteFailure(`${what}, reports ${rangeText(run)}, which it does not from the start`, {
      faultClass: "nondeterministic",
      block: run.block,
    });
  for (const block of rest.blocks()) {
    if (block >= chunk) break;
    throw new SuiteFailure(`${what}, reports block ${block}, which lies before it`, {
      faultClass: "contract",
      block,
    });
  }
}

/** @throws {SuiteFailure} If a region is not wholly reported. */
export function expectReported({ reported, what }: Answer, region: Region): void {
  const [missing] = setOf([region]).minus(reported);
  if (missing !== undefined)
    throw new SuiteFailure(`${what} leaves out ${rangeText(missing)} of ${region.name}`, {
      faultClass: "omission",
      block: missing.block,
    });
}

/** @throws {SuiteFailure} If a block of a region is reported. */
export function expectNotReported({ reported, what }: Answer, region: Region): void {
  for (let block = region.block; block < region.block + region.blockCount; block++)
    if (reported.has(block))
      throw new SuiteFailure(`${what} reports block ${block} of ${region.name}`, {
        faultClass: "over-report",
        block,
      });
}

/**
 * Two answers to the same question, range by range.
 *
 * @throws {SuiteFailure} With the first range that differs.
 */
export function expectSameRanges(one: Answer, other: Answer): void {
  const [first, second] = [one, other].map(({ pages }) => pages.flatMap(({ ranges }) => ranges));
  const count = Math.max(first!.length, second!.length);
  for (let index = 0; index < count; index++) {
    const [a, b] = [first![index], second![index]];
    if (a !== undefined && b !== undefined && a.lbaStart === b.lbaStart && isEqual(a.bitmap, b.bitmap))
      continue;
    throw new SuiteFailure(
      `${one.what}: ${first!.length} ranges the first time, ${second!.length} the second; they differ from range ${index} on`,
      { faultClass: "nondeterministic", block: (a ?? b)!.lbaStart },
    );
  }
}

export function setOf(ranges: readonly BlockRange[]): BlockSet {
  const set = new BlockSet();
  for (const range of ranges) set.addRun(range);
  return set;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
