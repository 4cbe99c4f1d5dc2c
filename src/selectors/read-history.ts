/**
 * Puts the lines of a history together, and says where they do not agree: with the geometry, or with each other.
 *
 * @packageDocumentation
 */
import type { BlockSpan } from "./block-selector.ts";
import type { ControlStep } from "./control-schedule.ts";
import { isFaultStep } from "./fault-schedule.ts";
import type { Geometry } from "./geometry.ts";
import type { HistoryPlan } from "./history-builder.ts";
import type { HeadOfPlan } from "./history-head.ts";
import { clonesMax, snapshotsMax, stepsMax } from "./history-limits.ts";
import {
  type ExtentPlace,
  type HistoryLine,
  LineProblem,
  type OperationText,
  type StepText,
} from "./history-line.ts";
import type { HistoryProblems } from "./history-problems.ts";
import { effectOf, type Operation, operationsPerLtsMax } from "./operations.ts";
import { SnapshotNames } from "./snapshot-names.ts";
import type { WrittenCloneVisit, WrittenRead, WrittenVisit } from "./written-history.ts";

/** A line of a history, with its number. */
export type BodyLine = Exclude<HistoryLine, { readonly kind: "head" }> & { readonly line: number };

export interface ReadOptions extends HeadOfPlan {
  readonly body: readonly BodyLine[];
  /** Where to tell what is missing. */
  readonly endLine: number;
  readonly problems: HistoryProblems;
}

/** @returns What is to be used only if there were no problems. */
export function readHistory(options: ReadOptions): HistoryPlan {
  return new HistoryReader(options).read();
}

/** What is said of one lts, or of one visit of a clone. */
interface Draft {
  /** The extent of the operations, once a line has named it: the line, and the extent. */
  named: { readonly line: number; readonly pd: number } | undefined;
  readonly operations: { readonly line: number; readonly operation: Operation }[];
  readonly reads: { readonly line: number; readonly pd: number; readonly span: BlockSpan }[];
}

type Step = Extract<BodyLine, { readonly kind: "step" }>;

class HistoryReader {
  readonly #options: ReadOptions;
  readonly #problems: HistoryProblems;
  readonly #geometry: Geometry;
  readonly #drafts = new Map<number, Draft>();
  readonly #steps = new Map<number, Step[]>();
  /** By name of the clone, then by number of the visit. */
  readonly #cloneDrafts = new Map<string, Map<number, Draft>>();
  readonly #snapshots = new SnapshotNames();
  readonly #clones = new Map<string, { readonly number: number; isDeleted: boolean }>();
  readonly #cloneVisits = new Map<number, readonly WrittenCloneVisit[]>();
  /** Extents that each volume has so far. */
  readonly #extentCounts: number[];
  /** The same when it was taken, by number of the snapshot. */
  readonly #snapshotExtents: (readonly number[])[] = [];
  #lastSynced: string | undefined;
  #resizeCount = 0;

  constructor(options: ReadOptions) {
    this.#options = options;
    this.#problems = options.problems;
    this.#geometry = options.geometry;
    this.#extentCounts = [...options.startExtents];
  }

  read(): HistoryPlan {
    for (const line of this.#options.body) {
      if (this.#problems.isFull) break;
      this.#problems.attempt(line.line, () => this.#take(line));
    }
    for (const draft of this.#drafts.values()) this.#checkDraft(draft);
    for (const visits of this.#cloneDrafts.values())
      for (const draft of visits.values()) this.#checkDraft(draft);
    const visits = this.#visits();
    for (const [name, drafts] of this.#cloneDrafts)
      if (!this.#clones.has(name))
        this.#problems.add(
          placeOf(firstOf(drafts)).line,
          `there is no clone '${name}': expected 'clone ${name} of …'`,
        );
    if (this.#options.body.length === 0)
      this.#problems.add(this.#options.endLine, "the history is empty: expected operations or steps");
    const { seed, geometry, startExtents, content, depth } = this.#options;
    return {
      ...{ seed, geometry, startExtents, visits },
      ...(content === undefined ? {} : { content }),
      ...(depth === undefined ? {} : { depth }),
      clones: this.#cloneVisits,
      snapshotNames: this.#snapshots.names,
      cloneNames: [...this.#clones.keys()],
    };
  }

  #take(line: BodyLine): void {
    switch (line.kind) {
      case "operation":
        addOperation(this.#draft(this.#drafts, line.lts, line.operation.extent, line.line), line);
        return;
      case "read": {
        const pd = this.#pdOf(line.extent);
        expectWithin(this.#geometry, pd, line.span);
        const { reads } = draftOf(this.#drafts, line.lts);
        if (reads.length === operationsPerLtsMax)
          throw new LineProblem(`lts ${line.lts} has more than ${operationsPerLtsMax} reads`);
        reads.push({ line: line.line, pd, span: line.span });
        return;
      }
      case "nothing":
        this.#draft(this.#drafts, line.lts, line.extent, line.line);
        return;
      case "cloneOperation": {
        const { kind } = line.operation;
        if (effectOf(kind) === "none" || kind === "compareAndWrite")
          throw new LineProblem(
            "expected an operation that writes, zeroes or deallocates, as this is in a clone",
          );
        const drafts = this.#cloneDrafts.get(line.clone) ?? new Map<number, Draft>();
        this.#cloneDrafts.set(line.clone, drafts);
        addOperation(this.#draft(drafts, line.visit, line.operation.extent, line.line), line);
        return;
      }
      case "step": {
        const steps = this.#steps.get(line.lts);
        if (steps === undefined) this.#steps.set(line.lts, [line]);
        else steps.push(line);
      }
    }
  }

  /** The draft of an lts or visit; all lines of one, but for reads, agree about the extent. */
  #draft(drafts: Map<number, Draft>, number: number, place: ExtentPlace, line: number): Draft {
    const pd = this.#pdOf(place);
    const draft = draftOf(drafts, number);
    const named = (draft.named ??= { line, pd });
    if (named.pd === pd) return draft;
    throw new LineProblem(
      `extent ${place.join("/")}: expected ${this.#geometry.keys.inflate(named.pd).join("/")}, as at line ${named.line}`,
    );
  }

  #pdOf([volume, index]: ExtentPlace): number {
    const { volumeBlocks, extentBlocks, keys } = this.#geometry;
    const blocks = volumeBlocks[volume];
    if (blocks === undefined)
      throw new LineProblem(`volume ${volume}: there are ${volumeBlocks.length}, numbered from 0`);
    const extentCount = Math.ceil(blocks / extentBlocks);
    if (index >= extentCount)
      throw new LineProblem(
        `extent ${volume}/${index}: volume ${volume} has ${extentCount}, numbered from 0`,
      );
    return keys.deflate([volume, index]);
  }

  /** Looks at the operations of one lts together, and puts them in order. */
  #checkDraft({ named, operations }: Draft): void {
    if (named === undefined) return;
    operations.sort((a, b) => a.operation.operationId - b.operation.operationId);
    for (const [index, { line, operation }] of operations.entries()) {
      this.#problems.attempt(line, () => expectWithin(this.#geometry, named.pd, operation));
      const before = operations[index - 1];
      if (before === undefined) continue;
      if (before.operation.operationId === operation.operationId)
        this.#problems.add(line, `this place is taken by line ${before.line}`);
      else if (before.operation.batch > operation.batch)
        this.#problems.add(
          line,
          `batch ${operation.batch}: the operation before it, at line ${before.line}, is of batch ${before.operation.batch}, and batches follow one another`,
        );
    }
    const byBlock = operations
      .filter(({ operation }) => operation.blockCount > 0)
      .sort((a, b) => a.operation.firstBlock - b.operation.firstBlock);
    for (const [index, { line, operation }] of byBlock.entries()) {
      const before = byBlock[index - 1];
      if (before === undefined) continue;
      const { firstBlock, blockCount } = before.operation;
      if (firstBlock + blockCount > operation.firstBlock)
        this.#problems.add(
          line,
          `block ${operation.firstBlock} is taken by line ${before.line}: operations of one lts touch different blocks`,
        );
    }
  }

  /** Goes through the history as it would be performed. */
  #visits(): readonly WrittenVisit[] {
    let ltsCount = 0;
    for (const lts of [...this.#drafts.keys(), ...this.#steps.keys()]) ltsCount = Math.max(ltsCount, lts + 1);
    const visits: WrittenVisit[] = [];
    let stepCount = 0;
    let pd = 0;
    for (let lts = 0; lts < ltsCount && !this.#problems.isFull; lts++) {
      const draft = this.#drafts.get(lts);
      if (draft !== undefined) {
        pd = placeOf(draft).pd;
        for (const { line, pd: named } of [placeOf(draft), ...draft.reads])
          this.#problems.attempt(line, () => this.#expectExisting(named));
      }
      const steps: ControlStep[] = [];
      for (const { line, step } of this.#steps.get(lts) ?? []) {
        if (++stepCount > stepsMax) {
          this.#problems.add(line, `expected at most ${stepsMax} steps`);
          return visits;
        }
        this.#problems.attempt(line, () => {
          if (steps.some(({ kind }) => kind === "resize") && !isFaultStep(step))
            throw new LineProblem(
              `lts ${lts} ends with its resize, and what it makes is there from the next on: expected this after ${lts + 1}`,
            );
          steps.push(this.#step(step));
        });
      }
      const operations = draft?.operations.map(({ operation }) => operation) ?? [];
      visits.push({ pd, operations, reads: draft === undefined ? [] : readsOf(draft), steps });
    }
    return visits;
  }

  #step(step: StepText): ControlStep {
    const snapshots = this.#snapshots;
    switch (step.kind) {
      case "snapshot": {
        if (snapshots.names.length === snapshotsMax)
          throw new LineProblem(`expected at most ${snapshotsMax} snapshots`);
        const snapshot = snapshots.take(step.name, "");
        this.#snapshotExtents.push([...this.#extentCounts]);
        return { kind: "snapshot", snapshot, isHot: step.isHot };
      }
      case "deleteSnapshot":
        return { kind: "deleteSnapshot", snapshot: snapshots.delete(step.name, "") };
      case "rollback":
        return { kind: "rollback", snapshot: snapshots.rollback(step.name, "") };
      case "diff":
        return this.#diff(step.from, step.to);
      case "sync":
        return this.#sync(step.name);
      case "clone":
        return this.#clone(step.name, step.snapshot);
      case "checkClone":
        return { kind: "checkClone", clone: this.#cloneNumber(step.name) };
      case "deleteClone": {
        const clone = this.#cloneNumber(step.name);
        this.#clones.get(step.name)!.isDeleted = true;
        return { kind: "deleteClone", clone };
      }
      case "resize":
        return this.#resize(step.extents);
      case "crash":
      case "resetConnections":
      case "cutConnections":
      case "slow":
        return step;
    }
  }

  #diff(from: string | undefined, to: string): ControlStep {
    const snapshot = this.#snapshots.alive(to, "");
    if (from === undefined) return { kind: "diff", snapshot, base: undefined, isFar: false };
    if (this.#snapshots.isDeleted(from))
      return { kind: "diffDeletedBase", snapshot, base: this.#snapshots.numberOf(from, "") };
    const base = this.#snapshots.ancestor(from, to, "");
    return { kind: "diff", snapshot, base, isFar: !this.#snapshots.isParent(from, to) };
  }

  #sync(name: string): ControlStep {
    const snapshot = this.#snapshots.alive(name, "");
    const last = this.#lastSynced;
    const isBase = last !== undefined && this.#snapshots.isAncestor(last, name);
    this.#lastSynced = name;
    return { kind: "sync", snapshot, base: isBase ? this.#snapshots.numberOf(last, "") : undefined };
  }

  #clone(name: string, snapshotName: string): ControlStep {
    const snapshot = this.#snapshots.alive(snapshotName, "");
    if (this.#clones.has(name)) throw new LineProblem(`there is a clone '${name}' already`);
    if (this.#clones.size === clonesMax) throw new LineProblem(`expected at most ${clonesMax} clones`);
    const clone = this.#clones.size;
    this.#clones.set(name, { number: clone, isDeleted: false });
    const drafts = this.#cloneDrafts.get(name) ?? new Map<number, Draft>();
    const visits: WrittenCloneVisit[] = [];
    for (const draft of drafts.values())
      this.#problems.attempt(placeOf(draft).line, () => this.#expectInSnapshot(placeOf(draft).pd, snapshot));
    const last = Math.max(-1, ...drafts.keys());
    for (let visit = 0; visit <= last; visit++) {
      const draft = drafts.get(visit);
      const pd = draft === undefined ? (visits.at(-1)?.pd ?? placeOf(firstOf(drafts)).pd) : placeOf(draft).pd;
      visits.push({ pd, operations: draft?.operations.map(({ operation }) => operation) ?? [] });
    }
    this.#cloneVisits.set(clone, visits);
    return { kind: "clone", clone, snapshot };
  }

  #cloneNumber(name: string): number {
    const clone = this.#clones.get(name);
    if (clone === undefined) throw new LineProblem(`there is no clone '${name}'`);
    if (clone.isDeleted) throw new LineProblem(`clone '${name}' was deleted`);
    return clone.number;
  }

  #resize(extents: number): ControlStep {
    const { volumeBlocks, extentBlocks } = this.#geometry;
    for (const [volume, count] of this.#extentCounts.entries())
      if (extents < count)
        throw new LineProblem(
          `volumes of ${extents} extents: volume ${volume} has ${count} already, and volumes only grow`,
        );
    for (const [volume, blocks] of volumeBlocks.entries())
      this.#extentCounts[volume] = Math.min(extents, Math.ceil(blocks / extentBlocks));
    this.#snapshots.resized();
    const blockCounts = this.#extentCounts.map((count, volume) =>
      Math.min(volumeBlocks[volume]!, count * extentBlocks),
    );
    return { kind: "resize", step: ++this.#resizeCount, blockCounts };
  }

  #expectInSnapshot(pd: number, snapshot: number): void {
    const [volume, index] = this.#geometry.keys.inflate(pd);
    const count = this.#snapshotExtents[snapshot]![volume]!;
    if (index >= count)
      throw new LineProblem(
        `extent ${volume}/${index}: volume ${volume} had ${count} when the snapshot of the clone was taken`,
      );
  }

  #expectExisting(pd: number): void {
    const [volume, index] = this.#geometry.keys.inflate(pd);
    const count = this.#extentCounts[volume]!;
    if (index < count) return;
    throw new LineProblem(
      `extent ${volume}/${index}: volume ${volume} has ${count} at this lts; it is to be resized before`,
    );
  }
}

function draftOf(drafts: Map<number, Draft>, number: number): Draft {
  const known = drafts.get(number);
  if (known !== undefined) return known;
  const draft: Draft = { named: undefined, operations: [], reads: [] };
  drafts.set(number, draft);
  return draft;
}

/** The extent of a draft, with the line that says so. */
function placeOf({ named, reads }: Draft): { readonly line: number; readonly pd: number } {
  return (named ?? reads[0])!;
}

function readsOf(draft: Draft): readonly WrittenRead[] {
  const own = placeOf(draft).pd;
  return draft.reads.map(({ pd, span }) => (pd === own ? span : { pd, ...span }));
}

function addOperation(
  { operations }: Draft,
  { line, operation: text }: { readonly line: number; readonly operation: OperationText },
): void {
  const { kind, operationId, batch, span } = text;
  operations.push({ line, operation: { kind, operationId, batch, ...span } });
}

function expectWithin(geometry: Geometry, pd: number, { firstBlock, blockCount }: BlockSpan): void {
  const { blockCount: most } = geometry.extent(pd);
  const last = firstBlock + blockCount - 1;
  if (last < most) return;
  throw new LineProblem(`block ${last}: the extent has ${most} blocks, numbered from 0`);
}

function firstOf(drafts: ReadonlyMap<number, Draft>): Draft {
  return drafts.get(Math.min(...drafts.keys()))!;
}
