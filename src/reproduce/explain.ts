/**
 * Explains one block of a run: its life, what it may hold and why, what was found in it instead, and a drawing.
 *
 * @packageDocumentation
 */
import { snapshotView, type View, volumeView } from "../model/view.ts";
import type { Violation } from "../model/violation.ts";
import type { BlockExhibit, Exhibit } from "../runner/exhibit.ts";
import { BlockStates, type CandidateValue } from "./explain-candidates.ts";
import { controlSteps } from "./explain-control.ts";
import { drawing } from "./explain-drawing.ts";
import { type Found, foundIn } from "./explain-evidence.ts";
import { concerns, type Life, lifeOf } from "./explain-life.ts";
import { type BlockPlace, placeOf, QuestionError } from "./explain-operations.ts";
import { type ExplainSource, isSequential, snapshotOf } from "./explain-source.ts";
import { isDrawn, witnessRows } from "./explain-witness.ts";

export interface Question {
  readonly volume: number;
  /** On the volume. */
  readonly block: number;
  /** Number of the snapshot; that of the violation, or the volume, if left out. */
  readonly snapshot?: number | undefined;
  /** Events of the block's life to tell, the newest; at least 1. */
  readonly last: number;
  /** Draws also what no violation asks for. */
  readonly isDrawn?: boolean;
}

/** As what the block is looked at. */
interface Point {
  readonly snapshot: number | undefined;
  /** Of a volume: all up to this lts is complete, and nothing later can show. */
  readonly ltsMax: number;
  /** Of a snapshot: it is known where its cut lay. */
  readonly isCutKnown: boolean;
  /** The volume was looked at while operations went on: what could show is as it was judged then. */
  readonly isLive: boolean;
}

export interface Explanation {
  readonly life: Life;
  readonly point: Point;
  /** The newest first, all of them. */
  readonly values: readonly CandidateValue[];
  /** The violation that is explained, of those about this block. */
  readonly violation: Violation | undefined;
  readonly found: Found | undefined;
  /** What was seen of the violation could not be read. */
  readonly foundProblem: string | undefined;
  /** Lines; none if there is nothing to draw. */
  readonly drawing: readonly string[];
}

/** Snapshots that are named to whoever asks for another. */
const namedMax = 12;

/** @throws {QuestionError} */
export async function explainBlock(source: ExplainSource, question: Question): Promise<Explanation> {
  const place = placeOf(source, question.volume, question.block);
  if (question.snapshot !== undefined) expectSnapshot(source, place, question.snapshot);
  const dumped = source.violations.find(
    ({ violation }) =>
      concerns(violation, place) &&
      (question.snapshot === undefined || violation.snapshot === question.snapshot),
  );
  const violation = dumped?.violation;
  let exhibit: Exhibit | undefined;
  let foundProblem: string | undefined;
  try {
    exhibit = await dumped?.exhibit?.();
  } catch (error) {
    foundProblem = error instanceof Error ? error.message : String(error);
  }
  const seen = exhibit?.kind === "block" ? exhibit : undefined;
  const { point, view } = pointOf(source, place, question.snapshot ?? violation?.snapshot, violation, seen);
  const around =
    point.snapshot === undefined
      ? violation === undefined
        ? {}
        : { around: { lts: point.ltsMax } }
      : { around: { snapshot: point.snapshot } };
  const life = lifeOf(source, place, { last: question.last, ...around });
  const atRest = new BlockStates(source, place).values(view, life.operations);
  const values = point.isLive ? atRest.map((value) => judgedLive(value, seen!.allowed)) : atRest;
  const found =
    seen === undefined ? undefined : foundIn(source, place, { bytes: seen.found, values, violation });
  const isToBeDrawn = question.isDrawn === true || (violation !== undefined && isDrawn(violation));
  const { operations } = life;
  const { snapshot } = point;
  return {
    ...{ life, point, values, violation, found, foundProblem },
    drawing: isToBeDrawn ? drawing(witnessRows(source, place, { violation, snapshot, operations })) : [],
  };
}

function pointOf(
  source: ExplainSource,
  { volume }: BlockPlace,
  snapshot: number | undefined,
  violation: Violation | undefined,
  seen: BlockExhibit | undefined,
): { readonly point: Point; readonly view: View } {
  const { tracker, ltsEnd } = source;
  const known = snapshot === undefined ? undefined : snapshotOf(source, volume, snapshot);
  if (known !== undefined) {
    const { record, isCutKept } = known;
    const isCutKnown = isCutKept || isSequential(source);
    const point = { snapshot, ltsMax: record.ltsMax, isCutKnown, isLive: false };
    return { point, view: snapshotView(tracker, record) };
  }
  const ltsMax = Math.min(ltsEnd, violation?.ltsMax ?? ltsEnd);
  const isLive = seen?.judged?.isLive === true;
  const point = { snapshot: undefined, ltsMax, isCutKnown: true, isLive };
  return { point, view: viewAt(source, volume, ltsMax) };
}

/** What could show during a read can not be worked out afterwards: it is as it was judged then. */
function judgedLive(value: CandidateValue, allowed: readonly number[]): CandidateValue {
  if (allowed.includes(value.state))
    return { ...value, isAllowed: true, why: "it could show while the read was under way" };
  return value.isAllowed
    ? { ...value, isAllowed: false, why: "it could not show yet while the read was under way" }
    : value;
}

/** A volume as it was at an lts, before it was put back to snapshots later on. */
function viewAt({ tracker }: ExplainSource, volume: number, ltsMax: number): View {
  const rollbacks = tracker.rollbacksOf(volume);
  const last = rollbacks.findLast(({ afterLts }) => afterLts <= ltsMax);
  if (last === rollbacks.at(-1)) return volumeView(tracker, volume, ltsMax);
  const branch = last === undefined ? 0 : rollbacks.indexOf(last) + 1;
  const own = { ltsMin: last?.afterLts ?? -1, ltsMax, record: undefined, branch };
  const older = last === undefined ? [] : snapshotView(tracker, last.record).segments;
  return { volume, segments: [own, ...older], observation: undefined };
}

function expectSnapshot(source: ExplainSource, { volume, block }: BlockPlace, snapshot: number): void {
  const { history, config, ltsEnd } = source;
  const known = snapshotOf(source, volume, snapshot);
  if (known === undefined) {
    const taken: number[] = [];
    for (const { step } of controlSteps(history, config, ltsEnd))
      if (step.kind === "snapshot") taken.push(step.snapshot);
    throw new QuestionError(`snapshot ${snapshot}: the run ${takenText(taken)}`);
  }
  const blocks = history.sizes.blockCountAt(volume, known.record.lts);
  if (block >= blocks)
    throw new QuestionError(
      `block ${block}: snapshot ${snapshot} of volume ${volume} has blocks 0 to ${blocks - 1}`,
    );
}

function takenText(taken: readonly number[]): string {
  if (taken.length === 0) return "has taken none";
  const isRange = taken.every((number, index) => number === taken[0]! + index);
  if (isRange && taken.length > 1) return `has taken snapshots ${taken[0]} to ${taken.at(-1)}`;
  const named = taken.slice(-namedMax).join(", ");
  return taken.length > namedMax
    ? `has taken ${taken.length}, the last of them ${named}`
    : `has taken ${taken.length === 1 ? "snapshot" : "snapshots"} ${named}`;
}
