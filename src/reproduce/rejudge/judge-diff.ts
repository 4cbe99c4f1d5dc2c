/**
 * Judges the diff of a dump again: the answers that it keeps, or those that the target gives now.
 *
 * @packageDocumentation
 */
import { BlockSet } from "../../model/block-set.ts";
import type { DiffQuestion } from "../../model/diff-checker.ts";
import type { AnswerPage } from "../../model/diff-contract.ts";
import type { Violation } from "../../model/violation.ts";
import type { DiffExhibit } from "../../runner/exhibit.ts";
import type { Run } from "../../runner/run.ts";
import type { DiffCapabilities } from "../../sut/port.ts";
import { compared, findingText, isAlike, type Judgement, notKept } from "./judgement.ts";

/** An answer, and the one to the same question asked again; absent for a question that was refused. */
export interface Answers {
  readonly pages: readonly AnswerPage[];
  readonly again: readonly AnswerPage[];
}

export interface DiffJudging {
  readonly run: Run;
  /** Absent for what has no diffs. */
  readonly capabilities: DiffCapabilities | undefined;
  /** Who gives the answers, for people. */
  readonly what: string;
  /** @returns Why the question was refused, if it was. */
  answers(exhibit: DiffExhibit): Promise<Answers | string>;
}

export async function judgeDiff(
  { run, capabilities, what, answers }: DiffJudging,
  violation: Violation,
  exhibit: DiffExhibit,
): Promise<Judgement> {
  const question = questionOf(run, capabilities, exhibit);
  if (typeof question === "string") return notKept(violation, question);
  const given = await answers(exhibit);
  if (typeof given === "string")
    return exhibit.isBaseDeleted
      ? compared(violation, undefined, `${what} refuses the question, as it should: ${given}`)
      : notKept(violation, `${what} does not answer: ${given}`);
  const { pages, again } = given;
  if (exhibit.isBaseDeleted) {
    const found = run.diffs.deletedBase(question, pages);
    return compared(violation, found, `${what}: ${findingText(found)}`);
  }
  const { violations, reported } = run.diffs.check(question, pages, again);
  const parts = exhibit.reportedByParts === undefined ? undefined : setOf(exhibit.reportedByParts);
  const strange = parts === undefined ? undefined : run.diffs.algebra(question, reported, parts);
  const all = strange === undefined ? violations : [...violations, strange];
  const found = all.find((one) => isAlike(one, violation)) ?? all[0];
  return compared(
    violation,
    found,
    found === undefined ? `${what} is right` : `${what}: ${findingText(found)}`,
  );
}

/** @returns Why it can not be judged, if it can not. */
function questionOf(
  { tracker, workload, config }: Run,
  capabilities: DiffCapabilities | undefined,
  { volume, snapshot, base, isBaseDeleted }: DiffExhibit,
): DiffQuestion | string {
  const record = tracker.snapshot(volume, snapshot);
  if (record === undefined) return forgottenText(snapshot);
  if (capabilities === undefined) return "the dump does not say what the target promises of its diffs";
  let baseRecord = base === undefined ? undefined : tracker.snapshot(volume, base);
  if (base !== undefined && baseRecord === undefined) {
    if (!isBaseDeleted) return forgottenText(base);
    // That there is an answer at all is wrong: of the base only its number is asked for.
    baseRecord = { ...record, snapshot: base };
  }
  return {
    volume,
    snapshot: record,
    base: baseRecord,
    blockCount: workload.sizes.blockCountAt(volume, record.lts),
    promise: { ...capabilities, precision: config.checks.diffs.precision },
  };
}

function forgottenText(snapshot: number): string {
  return `snapshot ${snapshot} was deleted before the run was over, and the model has forgotten its cut`;
}

function setOf(blocks: readonly number[]): BlockSet {
  const set = new BlockSet();
  for (const block of blocks) set.add(block);
  return set;
}
