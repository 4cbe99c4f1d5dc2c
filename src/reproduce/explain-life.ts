/**
 * The life of a block: each operation that touched it, and all that befell its volume between them, in order.
 *
 * Under load a control step is put where its own events say, if anyone has kept those, and otherwise after the lts
 * that it follows in the history.
 *
 * @packageDocumentation
 */
import { standingOf, type View, volumeView } from "../model/view.ts";
import type { Violation } from "../model/violation.ts";
import type { LoggedStep } from "../runner/operation-log.ts";
import type { ControlStep } from "../selectors/control-schedule.ts";
import { segmentOf } from "./explain-candidates.ts";
import { type BlockOperation, type BlockPlace, operationsOn, withDurability } from "./explain-operations.ts";
import type { ExplainSource } from "./explain-source.ts";
import { type ControlAbout, type PlacedControl, StepsOf } from "./explain-steps.ts";
import type { Turns } from "./turns.ts";

/** Something in the life of a block. */
export type LifeEvent =
  /** `isUndone`: a rollback has taken it back, for good so far. */
  | { readonly kind: "operation"; readonly operation: BlockOperation; readonly isUndone: boolean }
  | {
      readonly kind: "control";
      readonly lts: number;
      readonly step: ControlStep;
      /** Absent if nobody has logged it; then whether it came to it is not known either. */
      readonly logged: LoggedStep | undefined;
      readonly about: ControlAbout;
    };

export interface Omitted {
  readonly operations: number;
  readonly steps: number;
}

/** A snapshot, or an lts of the volume, that is asked about: what lies around it is told. */
export type LifePoint = { readonly snapshot: number } | { readonly lts: number };

export interface Life {
  readonly place: BlockPlace;
  /** In the order in which it happened. */
  readonly events: readonly LifeEvent[];
  /** What is left out, of before and after what is told. */
  readonly omittedBefore: Omitted;
  readonly omittedAfter: Omitted;
  /** All operations on the block, oldest first, those left out as well. */
  readonly operations: readonly BlockOperation[];
  /** Violations that are about the block. */
  readonly violations: readonly Violation[];
}

/** Of the events told, so many may come after what is asked about. */
const afterShare = 1 / 4;

/**
 * @param options.last - Events to tell, at least 1: the newest, if they reach back to what is asked about.
 * @param options.around - What is asked about; the end if left out.
 */
export function* lifeOf(
  source: ExplainSource,
  place: BlockPlace,
  { last, around }: { readonly last: number; readonly around?: LifePoint },
): Turns<Life> {
  const operations = yield* operationsOn(source, place);
  const merged = mergedOrder(operations, new StepsOf(source, place, operations).inOrder());
  const afterCount = around === undefined ? Number.POSITIVE_INFINITY : Math.ceil(last * afterShare);
  const isAround = around === undefined ? () => true : aroundIn(operations, around);
  const { shown, before, after } = yield* windowOf(merged, { last, afterCount, isAround });
  const isShown = new Set(shown.flatMap((one) => (one.kind === "operation" ? [one.operation.position] : [])));
  const detailed = new Map(
    withDurability(
      source,
      place,
      operations.filter(({ position }) => isShown.has(position)),
    ).map((operation) => [operation.position, operation]),
  );
  const isStanding = standingAtEnd(source, place);
  const events = shown.map((one): LifeEvent => {
    if (one.kind === "operation") {
      const operation = detailed.get(one.operation.position)!;
      return { kind: "operation", operation, isUndone: !isStanding(operation) };
    }
    const { lts, step, logged, about } = one.at;
    return { kind: "control", lts, step, logged, about: about() };
  });
  return {
    place,
    events,
    omittedBefore: before,
    omittedAfter: after,
    operations,
    violations: source.violations
      .map(({ violation }) => violation)
      .filter((violation) => concerns(violation, place)),
  };
}

/** Whether something is what is asked about, of which the last counts. */
function aroundIn(operations: readonly BlockOperation[], around: LifePoint): (one: Merged) => boolean {
  if ("snapshot" in around)
    return (one) =>
      one.kind === "control" && one.at.step.kind === "snapshot" && one.at.step.snapshot === around.snapshot;
  const operation = operations.findLast(({ lts }) => lts <= around.lts);
  return (one) => one.kind === "operation" && one.operation === operation;
}

/** What is told of it all, which is gone through once: no more is held than may have to be told. */
function* windowOf(
  merged: Iterable<Merged | undefined>,
  {
    last,
    afterCount,
    isAround,
  }: {
    readonly last: number;
    /** So many are told at most that come after what is asked about. */
    readonly afterCount: number;
    readonly isAround: (one: Merged) => boolean;
  },
): Turns<{ readonly shown: readonly Merged[]; readonly before: Omitted; readonly after: Omitted }> {
  const all = { operations: 0, steps: 0 };
  const after = { operations: 0, steps: 0 };
  /** What is told if nothing is what is asked about: it came before all of it. */
  const first: Merged[] = [];
  let held: Merged[] = [];
  let end: number | undefined;
  let index = 0;
  for (const one of merged) {
    yield;
    if (one === undefined) continue;
    count(all, one);
    if (end === undefined && isAround(one)) end = index + 1 + afterCount;
    if (end === undefined && first.length < afterCount) first.push(one);
    if (end !== undefined && index >= end) count(after, one);
    else held.push(one);
    if (held.length >= 2 * last) held = held.slice(-last);
    index++;
  }
  if (end === undefined) return { shown: first, before: counted([]), after: less(all, counted(first)) };
  const shown = held.slice(-last);
  return { shown, before: less(less(all, after), counted(shown)), after };
}

function count(counts: { operations: number; steps: number }, { kind }: Merged): void {
  if (kind === "operation") counts.operations++;
  else counts.steps++;
}

function counted(merged: readonly Merged[]): Omitted {
  const counts = { operations: 0, steps: 0 };
  for (const one of merged) count(counts, one);
  return counts;
}

function less(counts: Omitted, others: Omitted): Omitted {
  return { operations: counts.operations - others.operations, steps: counts.steps - others.steps };
}

/** Whether a violation is about a block. */
export function concerns(
  { volume, block, blockCount }: Violation,
  place: Pick<BlockPlace, "volume" | "block">,
): boolean {
  return volume === place.volume && place.block >= block && place.block < block + blockCount;
}

type Merged =
  | { readonly kind: "operation"; readonly operation: BlockOperation }
  | { readonly kind: "control"; readonly at: PlacedControl };

function* mergedOrder(
  operations: readonly BlockOperation[],
  steps: Iterable<PlacedControl | undefined>,
): Generator<Merged | undefined> {
  let next = 0;
  for (const at of steps) {
    if (at === undefined) {
      yield undefined;
      continue;
    }
    for (; next < at.after; next++) yield { kind: "operation", operation: operations[next]! };
    yield { kind: "control", at };
  }
  for (; next < operations.length; next++) yield { kind: "operation", operation: operations[next]! };
}

/** Whether what an operation did is part of what the volume is, or would be if nothing had replaced it. */
function standingAtEnd({ tracker, ltsEnd }: ExplainSource, { volume }: BlockPlace) {
  const view = volumeView(tracker, volume, ltsEnd);
  return (operation: BlockOperation): boolean => isIn(view, operation);

  function isIn(line: View, { lts, position }: BlockOperation): boolean {
    const segment = segmentOf(line, lts);
    if (segment === undefined) return false;
    // What was refused has not been undone either.
    const { standing, times } = standingOf(tracker, line, segment, position, lts);
    return standing !== "out" || times?.outcome === "failed";
  }
}
