/**
 * Histories as text, to be kept, read, cut down by hand and performed again.
 *
 *   harrow history 1                         the format
 *   seed           0x5eed                    what content and choices follow from
 *   block-size     4096                      bytes
 *   extent-blocks  16
 *   volume-blocks  128 128                   of each volume
 *   start-extents  4 4                       of each volume, if they are to grow
 *
 *   0.0        0/3     write        3..5     lts 0, operation 0: volume 0, extent 3, blocks 3 to 5 of it
 *   0          0/3     read         0..15    a read, in flight together with the operations of lts 0
 *   0          1/5     read         2        another, of another extent
 *   2.0        0/3     flush
 *   after 2    snapshot a                    what follows lts 2, in the order of the text
 *   after 2    diff - a
 *   after 2    clone c of a
 *   in c 0.0   1/2     deallocate   7        visit 0 of the clone, operation 0
 *   5          1/0     nothing               there is an lts 5, at which nothing is done
 *
 * Content follows from the seed, the block and the place, so a line can be deleted and the others still write what
 * they did. An lts without lines is there all the same, without operations, on the extent of the one before it.
 * The extent of an lts is that of its operations, or of its line `nothing`; of an lts that has neither, that of its
 * first read.
 * Snapshots and clones are numbered in the order in which they are made; a clone that is deleted from the text gives
 * its number, and with it the content of its writes, to the next. What follows a `#` is a comment.
 *
 * Steps of kind `custom` are code, which text can not hold: a comment stands in their place.
 *
 * @packageDocumentation
 */
import type { BlockSpan } from "./block-selector.ts";
import type { ControlStep } from "./control-schedule.ts";
import type { Geometry } from "./geometry.ts";
import type { HistoryPlan } from "./history-builder.ts";
import { type Head, headLines, readHead } from "./history-head.ts";
import { historyLine, quoted, wordsOf } from "./history-line.ts";
import { HistoryProblems } from "./history-problems.ts";
import { stepText, wordOf } from "./history-words.ts";
import type { Operation } from "./operations.ts";
import { type BodyLine, readHistory } from "./read-history.ts";
import type { WrittenCloneVisit, WrittenVisit } from "./written-history.ts";

/** The format that is written and read. */
const format = 1;
/** Longest text read, in characters. */
export const historyLengthMax = 32 * 2 ** 20;
/** Where columns begin, as long as what is before them fits. */
const columns = { place: 12, extent: 7, operation: 18 } as const;
/** Longest label of a step that is left out. */
const labelLengthMax = 100;

/** The text is no history: every problem found, up to a limit, as `name:line: problem`. */
export class HistoryTextError extends Error {
  override readonly name = "HistoryTextError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/** The history as text that `parseHistory` reads as the same, but for steps of kind `custom`. */
export function historyText(plan: HistoryPlan): string {
  const { geometry, visits } = plan;
  const lines = [`harrow history ${format}`, ...headLines(plan), ""];
  let pd = 0;
  for (const [lts, visit] of visits.entries()) {
    if (!isImplied(visit, pd, lts === visits.length - 1)) lines.push(...visitLines(lts, visit, geometry));
    for (const step of visit.steps ?? []) lines.push(...stepLines(lts, step, plan));
    pd = visit.pd;
  }
  return `${lines.join("\n")}\n`;
}

/**
 * Reads a history.
 *
 * @param name - What to call the text in messages.
 * @throws {HistoryTextError} With what is wrong, line by line; at most 20 problems.
 */
export function parseHistory(text: string, name: string): HistoryPlan {
  if (text.length > historyLengthMax)
    throw new HistoryTextError([`${name}: ${text.length} characters: expected at most ${historyLengthMax}`]);
  const problems = new HistoryProblems();
  const { head, body, endLine } = linesOf(text, problems);
  throwIfAny(problems, name);
  const read = readHead(head, endLine, problems);
  throwIfAny(problems, name);
  const plan = readHistory({ ...read!, body, endLine, problems });
  throwIfAny(problems, name);
  return plan;
}

function linesOf(
  text: string,
  problems: HistoryProblems,
): { readonly head: Head; readonly body: readonly BodyLine[]; readonly endLine: number } {
  const head: Head = {};
  const body: BodyLine[] = [];
  const lines = text.split("\n");
  let hasFormat = false;
  for (const [index, raw] of lines.entries()) {
    const line = index + 1;
    const words = wordsOf(raw);
    if (words.length === 0) continue;
    if (!hasFormat) {
      hasFormat = isFormat(words, line, problems);
      if (!hasFormat) break;
      continue;
    }
    const parsed = problems.attempt(line, () => historyLine(words));
    if (problems.isFull) break;
    if (parsed === undefined) continue;
    if (parsed.kind !== "head") body.push({ ...parsed, line });
    else if (head[parsed.key] === undefined) head[parsed.key] = { line, values: parsed.values };
    else problems.add(line, `${parsed.key} was said before, at line ${head[parsed.key]!.line}`);
  }
  if (!hasFormat && problems.count === 0) problems.add(1, `expected 'harrow history ${format}', got nothing`);
  return { head, body, endLine: lines.length };
}

/** Whether the first line says that this is a history, of the format that is read here. */
function isFormat(
  [harrow, history, version, more]: readonly string[],
  line: number,
  problems: HistoryProblems,
) {
  const isHistory =
    harrow === "harrow" && history === "history" && version !== undefined && more === undefined;
  if (isHistory && version === String(format)) return true;
  problems.add(
    line,
    isHistory
      ? `format ${quoted(version)} of a history: this version reads format ${format}`
      : `expected 'harrow history ${format}', the first line of a history`,
  );
  return false;
}

function throwIfAny(problems: HistoryProblems, name: string): void {
  if (problems.count > 0) throw new HistoryTextError(problems.told(name));
}

/** A visit that the text need not mention, as it has nothing and the lines around it say that it is there. */
function isImplied(
  { pd, operations, reads = [], steps = [] }: WrittenVisit,
  before: number,
  isLast: boolean,
) {
  const isEmpty = operations.length + reads.length === 0;
  return isEmpty && pd === before && !(isLast && steps.every(({ kind }) => kind === "custom"));
}

function* visitLines(lts: number, visit: WrittenVisit, geometry: Geometry): Generator<string> {
  const { pd, operations, reads = [] } = visit;
  const extent = extentText(geometry, pd);
  for (const operation of operations)
    yield row(`${lts}.${operation.operationId}`, extent, operationText(operation));
  const isNamed = operations.length > 0 || (reads[0] !== undefined && (reads[0].pd ?? pd) === pd);
  if (!isNamed) yield row(String(lts), extent, "nothing");
  for (const { pd: readPd = pd, ...span } of reads)
    yield row(
      String(lts),
      extentText(geometry, readPd),
      `${"read".padEnd(columns.operation)}${blocksText(span)}`,
    );
}

function* stepLines(lts: number, step: ControlStep, plan: HistoryPlan): Generator<string> {
  const place = `after ${lts}`.padEnd(columns.place - 1);
  if (step.kind === "custom")
    yield `# ${place} ${JSON.stringify(step.label.slice(0, labelLengthMax))} is left out: it is code`;
  else yield `${place} ${stepText(step, plan)}`;
  if (step.kind === "clone") yield* cloneLines(step.clone, plan);
}

function* cloneLines(clone: number, { clones, cloneNames, geometry }: HistoryPlan): Generator<string> {
  const visits: readonly WrittenCloneVisit[] = clones.get(clone) ?? [];
  for (const [visit, { pd, operations }] of visits.entries())
    for (const operation of operations)
      yield row(
        `in ${cloneNames[clone]!} ${visit}.${operation.operationId}`,
        extentText(geometry, pd),
        operationText(operation),
      );
}

function operationText({ kind, batch, ...span }: Operation): string {
  const blocks = kind === "flush" ? "" : blocksText(span);
  const suffix = batch === 0 ? "" : ` batch ${batch}`;
  return `${wordOf(kind).padEnd(columns.operation - 1)} ${blocks}${suffix}`.trimEnd();
}

function blocksText({ firstBlock, blockCount }: BlockSpan): string {
  return blockCount === 1 ? String(firstBlock) : `${firstBlock}..${firstBlock + blockCount - 1}`;
}

function extentText({ keys }: Geometry, pd: number): string {
  return keys.inflate(pd).join("/");
}

function row(place: string, extent: string, rest: string): string {
  return `${place.padEnd(columns.place - 1)} ${extent.padEnd(columns.extent - 1)} ${rest}`;
}
