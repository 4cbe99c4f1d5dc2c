/**
 * The life of a block: each operation that touched it, and all that befell its volume between them, in order.
 *
 * Under load a control step is put where its own events say, if anyone has kept those, and otherwise after the lts
 * that it follows in the history.
 *
 * @packageDocumentation
 */
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import type { RollbackRecord } from "../model/tracker.ts";
import { snapshotView, standingOf, type View, volumeView } from "../model/view.ts";
import type { Violation } from "../model/violation.ts";
import type { LoggedStep } from "../runner/operation-log.ts";
import { stepWords } from "../runner/step-words.ts";
import type { ControlStep } from "../selectors/control-schedule.ts";
import type { OperationKind } from "../selectors/operations.ts";
import { BlockStates, segmentOf, stateName } from "./explain-candidates.ts";
import { controlSteps } from "./explain-control.ts";
import { type Report, reportOf } from "./explain-diffs.ts";
import { type BlockOperation, type BlockPlace, operationsOn, withDurability } from "./explain-operations.ts";
import { type ExplainSource, guessedRecord, recordsOf, type RunLogFile } from "./explain-source.ts";

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

/** What a control step has to do with the block. */
export interface ControlAbout {
  /** Of a snapshot: the states that it may show, and since when nobody keeps its cut. */
  readonly holds?: readonly number[];
  readonly isCutKept?: boolean;
  readonly events?: { readonly submitted: number; readonly completed: number };
  /** Of a diff or a sync. */
  readonly report?: Report;
  /** Of a clone: what it wrote to the block itself. */
  readonly wrote?: OperationKind;
  /** Of a rollback: operations on the block that it took back, and those that it brought back, by position. */
  readonly undone?: readonly number[];
  readonly returned?: readonly number[];
  /** Of a resize: whether the block is there since. */
  readonly isFirst?: boolean;
}

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

/** A step with its place among the operations on the block; what it is about is worked out when it is shown. */
interface PlacedControl {
  readonly lts: number;
  readonly step: ControlStep;
  readonly logged: LoggedStep | undefined;
  /** So many of the operations come before it. */
  readonly after: number;
  readonly about: () => ControlAbout;
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

/** The control steps that a run has logged, by what they were. */
class StepLog {
  /** Nothing was forgotten, so that what is not there was not performed. */
  readonly isComplete: boolean;
  readonly #steps: ReadonlyMap<string, LoggedStep>;

  constructor(log: RunLogFile) {
    this.isComplete = log.droppedStepCount === 0;
    this.#steps = new Map(log.steps().map((step) => [`${step.lts}:${step.words}`, step]));
  }

  of(lts: number, step: ControlStep): LoggedStep | undefined {
    return this.#steps.get(`${lts}:${stepWords(step)}`);
  }
}

/** Goes through the control steps of a history, and works out what each has to do with one block. */
class StepsOf {
  readonly #source: ExplainSource;
  readonly #place: BlockPlace;
  readonly #operations: readonly BlockOperation[];
  readonly #states: BlockStates;
  readonly #records: ReadonlyMap<number, SnapshotRecord>;
  /** Of snapshots whose cut nobody keeps, as if it had been taken at rest. */
  readonly #guessed = new Map<number, SnapshotRecord>();
  readonly #snapshotLts = new Map<number, number>();
  readonly #log: StepLog | undefined;
  #rollbackCount = 0;

  constructor(source: ExplainSource, place: BlockPlace, operations: readonly BlockOperation[]) {
    this.#source = source;
    this.#place = place;
    this.#operations = operations;
    this.#states = new BlockStates(source, place);
    const records = [...recordsOf(source, place.volume)];
    this.#log = source.log === undefined ? undefined : new StepLog(source.log);
    this.#records = new Map(records.map((record) => [record.snapshot, record]));
  }

  all(): readonly PlacedControl[] {
    const { history, config, ltsEnd } = this.#source;
    const placed: PlacedControl[] = [];
    let after = 0;
    for (const { lts, step } of controlSteps(history, config, ltsEnd)) {
      const found = this.#placed(lts, step);
      if (found === undefined) continue;
      const logged = this.#log?.of(lts, step);
      if (logged === undefined && this.#log?.isComplete === true) continue;
      // Steps follow one another, whatever goes on beside them.
      after = Math.max(after, found.after, logged === undefined ? 0 : this.#countBefore(logged));
      placed.push({ lts, step, logged, after, about: found.about });
    }
    return placed;
  }

  #placed(lts: number, step: ControlStep): Pick<PlacedControl, "after" | "about"> | undefined {
    const { checks } = this.#source.config;
    const after = this.#countUpTo(lts);
    switch (step.kind) {
      case "snapshot": {
        this.#snapshotLts.set(step.snapshot, lts);
        const record = this.#records.get(step.snapshot);
        if (record === undefined) this.#guess(step.snapshot, lts);
        return {
          after: record === undefined ? after : this.#countInside(record),
          about: () => this.#snapshot(step.snapshot),
        };
      }
      case "diff":
        if (!checks.diffs.enabled) return undefined;
        return { after, about: () => ({ report: this.#report(step.snapshot, step.base) }) };
      case "sync":
        if (!checks.sync) return undefined;
        return { after, about: () => ({ report: this.#report(step.snapshot, step.base) }) };
      case "clone": {
        if (!checks.clones) return undefined;
        const snapshotLts = this.#snapshotLts.get(step.snapshot);
        return { after, about: () => this.#clone(step.clone, snapshotLts ?? lts) };
      }
      case "rollback":
        return this.#rollback(step.snapshot, after);
      case "resize":
        return { after, about: () => this.#resize(lts, step.blockCounts) };
      case "deleteSnapshot":
      case "crash":
      case "resetConnections":
      case "cutConnections":
      case "slow":
      case "custom":
        return { after, about: () => ({}) };
      case "diffDeletedBase":
      case "checkClone":
      case "deleteClone":
        // Tells nothing of the block.
        return undefined;
    }
  }

  #snapshot(snapshot: number): ControlAbout {
    const record = this.#recordOf(snapshot);
    const isCutKept = this.#records.has(snapshot);
    const view = snapshotView(this.#source.tracker, record);
    return {
      holds: this.#states.allowed(view).map(({ state }) => state),
      isCutKept,
      ...(isCutKept && this.#source.basis === "memory"
        ? { events: { submitted: record.submittedEvent, completed: record.completedEvent } }
        : {}),
    };
  }

  #report(snapshot: number, base: number | undefined): Report {
    const numbers = base === undefined ? [snapshot] : [snapshot, base];
    // Where the cut of one is not known, either may be right.
    const isSure =
      this.#source.config.runner.kind === "sequential" || numbers.every((one) => this.#records.has(one));
    const report = reportOf(this.#source, this.#states, this.#place, {
      snapshot: this.#recordOf(snapshot),
      base: base === undefined ? undefined : this.#recordOf(base),
      operations: this.#operations,
    });
    return isSure ? report : "may";
  }

  #clone(clone: number, snapshotLts: number): ControlAbout {
    const { extent, block } = this.#place;
    const at = block - extent.firstBlock;
    for (const visit of this.#source.history.cloneVisits(clone, snapshotLts)) {
      if (visit.extent.pd !== extent.pd) continue;
      const wrote = visit.operations.find(
        ({ firstBlock, blockCount }) => at >= firstBlock && at < firstBlock + blockCount,
      );
      if (wrote !== undefined) return { wrote: wrote.kind };
    }
    return {};
  }

  /** One that was not performed, as its snapshot was gone, has left no record. */
  #rollback(snapshot: number, after: number): Pick<PlacedControl, "after" | "about"> | undefined {
    const rollback = this.#source.tracker.rollbacksOf(this.#place.volume)[this.#rollbackCount];
    if (rollback?.record.snapshot !== snapshot) return undefined;
    const before = this.#source.tracker.rollbacksOf(this.#place.volume)[this.#rollbackCount - 1];
    this.#rollbackCount++;
    return {
      after: Math.max(after, this.#countUpTo(rollback.afterLts)),
      about: () => this.#branches(rollback, before),
    };
  }

  /** The line of operations before a rollback, and after it. */
  #branches(rollback: RollbackRecord, before: RollbackRecord | undefined): ControlAbout {
    const { tracker } = this.#source;
    const line = (record: SnapshotRecord | undefined) =>
      record === undefined ? undefined : snapshotView(tracker, record);
    const past = line(before?.record);
    const now = line(rollback.record)!;
    const isIn = (view: View | undefined, { lts, position }: BlockOperation): boolean => {
      const segment = view === undefined ? undefined : segmentOf(view, lts);
      return segment !== undefined && standingOf(tracker, view!, segment, position, lts).standing !== "out";
    };
    const changes = this.#operations.filter(
      ({ effect, outcome, lts }) => effect !== "none" && outcome !== "failed" && lts <= rollback.afterLts,
    );
    const wasIn = (operation: BlockOperation): boolean =>
      operation.lts > (before?.afterLts ?? -1) || isIn(past, operation);
    return {
      undone: changes.filter((one) => wasIn(one) && !isIn(now, one)).map(({ position }) => position),
      returned: changes.filter((one) => !wasIn(one) && isIn(now, one)).map(({ position }) => position),
    };
  }

  #resize(lts: number, blockCounts: readonly number[]): ControlAbout {
    const { volume, block } = this.#place;
    const before = this.#source.history.sizes.blockCountAt(volume, lts);
    return { isFirst: block >= before && block < blockCounts[volume]! };
  }

  #recordOf(snapshot: number): SnapshotRecord {
    return this.#records.get(snapshot) ?? this.#guessed.get(snapshot)!;
  }

  #guess(snapshot: number, lts: number): void {
    const { volume } = this.#place;
    this.#guessed.set(snapshot, guessedRecord({ snapshot, volume, lts, branch: this.#rollbackCount }));
  }

  #countUpTo(lts: number): number {
    const index = this.#operations.findIndex((operation) => operation.lts > lts);
    return index < 0 ? this.#operations.length : index;
  }

  /** Operations that were submitted before a step began. */
  #countBefore({ submittedEvent }: LoggedStep): number {
    const isLater = ({ events }: BlockOperation): boolean =>
      events !== undefined && events.submitted > submittedEvent;
    const index = this.#operations.findIndex(isLater);
    if (index >= 0) return index;
    return this.#operations.at(-1)?.events === undefined ? 0 : this.#operations.length;
  }

  /** Operations that were submitted before the call of a snapshot was. */
  #countInside({ ltsBefore, inside, open, submittedEvent }: SnapshotRecord): number {
    const index = this.#operations.findIndex(
      ({ lts, position }) =>
        lts > ltsBefore &&
        !inside.has(position) &&
        (open.get(position)?.submitted ?? Number.POSITIVE_INFINITY) > submittedEvent,
    );
    return index < 0 ? this.#operations.length : index;
  }
}

/** The states that a block may be in, as a list. */
export function statesText(states: readonly number[]): string {
  return states.map(stateName).join(", or ");
}
