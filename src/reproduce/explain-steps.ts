/**
 * What each control step of a history has to do with one block, and where it comes among the operations on it.
 *
 * @packageDocumentation
 */
import type { RollbackRecord } from "../model/lineage.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import { snapshotView, standingOf, type View } from "../model/view.ts";
import type { LoggedStep } from "../runner/operation-log.ts";
import { stepWords } from "../runner/step-words.ts";
import type { ControlStep } from "../selectors/control-schedule.ts";
import type { OperationKind } from "../selectors/operations.ts";
import { BlockStates, segmentOf } from "./explain-candidates.ts";
import { ltsWithSteps } from "./explain-control.ts";
import { type Report, reportOf } from "./explain-diffs.ts";
import type { BlockOperation, BlockPlace } from "./explain-operations.ts";
import { guessedRecord } from "./explain-resting.ts";
import { type ExplainSource, isSequential, type RunLogFile, recordsOf } from "./explain-source.ts";
import { firstIndex } from "./first-index.ts";

/** What a control step has to do with the block. */
export interface ControlAbout {
  /** Of a snapshot: the states that it may show, and whether it is known where its cut lay. */
  readonly holds?: readonly number[];
  readonly isCutKnown?: boolean;
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

/** A step with its place among the operations on the block; what it is about is worked out when it is shown. */
export interface PlacedControl {
  readonly lts: number;
  readonly step: ControlStep;
  readonly logged: LoggedStep | undefined;
  /** So many of the operations come before it. */
  readonly after: number;
  readonly about: () => ControlAbout;
}

/** The control steps that a run has logged, by what they were. */
class StepLog {
  /** From this lts on nothing was forgotten, so that what is not there was not performed. */
  readonly #ltsComplete: number;
  readonly #steps: ReadonlyMap<string, LoggedStep>;

  constructor(log: RunLogFile) {
    // A run that was gone on with has logged nothing of what it had done before.
    this.#ltsComplete = log.droppedStepCount === 0 ? (log.ltsFirst ?? 0) : Number.POSITIVE_INFINITY;
    this.#steps = new Map(log.steps().map((step) => [`${step.lts}:${step.words}`, step]));
  }

  of(lts: number, step: ControlStep): LoggedStep | undefined {
    return this.#steps.get(`${lts}:${stepWords(step)}`);
  }

  /** Whether a step is known not to have been performed. */
  isMissing(lts: number, step: ControlStep): boolean {
    return lts >= this.#ltsComplete && this.of(lts, step) === undefined;
  }
}

/** Goes through the control steps of a history, and works out what each has to do with one block. */
export class StepsOf {
  readonly #source: ExplainSource;
  readonly #place: BlockPlace;
  readonly #operations: readonly BlockOperation[];
  readonly #states: BlockStates;
  readonly #records: ReadonlyMap<number, SnapshotRecord>;
  /** When snapshots were taken of which there is no record. */
  readonly #taken = new Map<number, { readonly lts: number; readonly branch: number }>();
  /** Of such snapshots, as if they had been taken at rest. */
  readonly #guessed = new Map<number, SnapshotRecord>();
  /** The highest event that an operation, or one before it, was submitted at; −∞ where nobody knows. */
  readonly #submittedMax: readonly number[];
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
    let max = Number.NEGATIVE_INFINITY;
    this.#submittedMax = operations.map(({ events }) => (max = Math.max(max, events?.submitted ?? max)));
  }

  /** Oldest first; now and then nothing, where it may be left alone for a while. */
  *inOrder(): Generator<PlacedControl | undefined> {
    const { history, config, ltsEnd } = this.#source;
    let after = 0;
    for (const lts of ltsWithSteps(history, config, ltsEnd)) {
      yield undefined;
      for (const step of history.control.stepsAfter(lts)) {
        const found = this.#placed(lts, step);
        if (found === undefined) continue;
        if (this.#log?.isMissing(lts, step) === true) continue;
        const logged = this.#log?.of(lts, step);
        // Steps follow one another, whatever goes on beside them.
        after = Math.max(after, found.after, logged === undefined ? 0 : this.#countBefore(logged));
        yield { lts, step, logged, after, about: found.about };
      }
    }
  }

  #placed(lts: number, step: ControlStep): Pick<PlacedControl, "after" | "about"> | undefined {
    const { checks } = this.#source.config;
    const after = this.#countUpTo(lts);
    switch (step.kind) {
      case "snapshot": {
        const record = this.#records.get(step.snapshot);
        if (record === undefined && this.#source.expected === undefined)
          this.#taken.set(step.snapshot, { lts, branch: this.#rollbackCount });
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
        return { after, about: () => this.#clone(step.clone, this.#ltsOf(step.snapshot) ?? lts) };
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
    const isCutKept = this.#isCutKept(snapshot);
    const view = snapshotView(this.#source.tracker, record);
    return {
      holds: this.#states.allowed(view).map(({ state }) => state),
      isCutKnown: isCutKept || isSequential(this.#source),
      ...(isCutKept && this.#source.basis === "memory"
        ? { events: { submitted: record.submittedEvent, completed: record.completedEvent } }
        : {}),
    };
  }

  #report(snapshot: number, base: number | undefined): Report {
    const numbers = base === undefined ? [snapshot] : [snapshot, base];
    // Where the cut of one is not known, either may be right.
    const isSure = isSequential(this.#source) || numbers.every((one) => this.#isCutKept(one));
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
    const { volume } = this.#place;
    let record =
      this.#records.get(snapshot) ?? this.#source.expected?.(volume, snapshot) ?? this.#guessed.get(snapshot);
    if (record === undefined) {
      record = guessedRecord({ snapshot, volume, ...this.#taken.get(snapshot)! });
      this.#guessed.set(snapshot, record);
    }
    return record;
  }

  #ltsOf(snapshot: number): number | undefined {
    const record = this.#records.get(snapshot) ?? this.#source.expected?.(this.#place.volume, snapshot);
    return record?.lts ?? this.#taken.get(snapshot)?.lts;
  }

  #isCutKept(snapshot: number): boolean {
    return this.#records.has(snapshot) || this.#source.expected !== undefined;
  }

  #countUpTo(lts: number): number {
    return firstIndex(this.#operations.length, (index) => this.#operations[index]!.lts > lts);
  }

  /** Operations that were submitted before a step began. */
  #countBefore({ submittedEvent }: LoggedStep): number {
    const { length } = this.#operations;
    const index = firstIndex(length, (at) => this.#submittedMax[at]! > submittedEvent);
    if (index < length) return index;
    return this.#operations.at(-1)?.events === undefined ? 0 : this.#operations.length;
  }

  /** Operations that were submitted before the call of a snapshot was. */
  #countInside({ ltsBefore, inside, open, submittedEvent }: SnapshotRecord): number {
    const isInside = ({ position }: BlockOperation): boolean =>
      inside.has(position) || (open.get(position)?.submitted ?? Number.POSITIVE_INFINITY) <= submittedEvent;
    let index = this.#countUpTo(ltsBefore);
    while (index < this.#operations.length && isInside(this.#operations[index]!)) index++;
    return index;
  }
}
