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
export function lifeOf(
  source: ExplainSource,
  place: BlockPlace,
  { last, around }: { readonly last: number; readonly around?: LifePoint },
): Life {
  const operations = operationsOn(source, place);
  const steps = new StepsOf(source, place, operations).all();
  const merged = mergedOrder(operations, steps);
  const end = around === undefined ? merged.length : endAround(merged, around, Math.ceil(last * afterShare));
  const start = Math.max(0, end - last);
  const shown = merged.slice(start, end);
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
    omittedBefore: counted(merged.slice(0, start)),
    omittedAfter: counted(merged.slice(end)),
    operations,
    violations: source.violations
      .map(({ violation }) => violation)
      .filter((violation) => concerns(violation, place)),
  };
}

/** Where to end, so that what is asked about is told, with some of what came after it. */
function endAround(merged: readonly Merged[], around: LifePoint, afterCount: number): number {
  const index = merged.findLastIndex((one) =>
    "snapshot" in around
      ? one.kind === "control" && one.at.step.kind === "snapshot" && one.at.step.snapshot === around.snapshot
      : one.kind === "operation" && one.operation.lts <= around.lts,
  );
  return Math.min(merged.length, index + 1 + afterCount);
}

function counted(merged: readonly Merged[]): Omitted {
  const operations = merged.filter(({ kind }) => kind === "operation").length;
  return { operations, steps: merged.length - operations };
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

function mergedOrder(
  operations: readonly BlockOperation[],
  steps: readonly PlacedControl[],
): readonly Merged[] {
  const merged: Merged[] = [];
  let next = 0;
  for (const at of steps) {
    for (; next < at.after; next++) merged.push({ kind: "operation", operation: operations[next]! });
    merged.push({ kind: "control", at });
  }
  for (; next < operations.length; next++) merged.push({ kind: "operation", operation: operations[next]! });
  return merged;
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
