/**
 * A history while it is cut down.
 *
 * An outline is a plan in which things are told apart by identity: an operation, a read or a step stays the same object
 * until it is changed, and snapshots and clones keep the numbers that they had at first, with gaps where some are gone.
 * What can not be without something that went goes with it: a diff with its snapshot, the writes of a clone with the
 * clone. `planOf` makes a plan of it.
 *
 * @packageDocumentation
 */
import type { BlockSpan } from "../../selectors/block-selector.ts";
import type { ControlStep } from "../../selectors/control-schedule.ts";
import type { HistoryPlan } from "../../selectors/history-builder.ts";
import { HistoryError } from "../../selectors/history-error.ts";
import { HistoryTextError, historyText, parseHistory } from "../../selectors/history-text.ts";
import { SnapshotNames } from "../../selectors/snapshot-names.ts";
import type { WrittenCloneVisit, WrittenVisit } from "../../selectors/written-history.ts";

/** Distinct from a plan in its numbers alone. */
export type Outline = HistoryPlan;

/** What can be taken out of a history. */
type Part = WrittenVisit["operations"][number] | BlockSpan | ControlStep;

/** A history as it is performed, and as it is written. */
export interface Performable {
  readonly plan: HistoryPlan;
  readonly text: string;
}

/**
 * The outline without some parts, and without what can not be without them.
 *
 * @param isCompact - Takes out lts at which nothing is left to do; else they stay, and do nothing.
 */
export function without(outline: Outline, gone: ReadonlySet<object>, isCompact: boolean): Outline {
  const stays = (part: Part): boolean => !gone.has(part);
  const visits = outline.visits
    .filter((visit) => !gone.has(visit))
    .map((visit) => {
      const { pd, operations, reads = [], steps = [] } = visit;
      return {
        pd,
        operations: operations.filter(stays),
        reads: reads.filter(stays),
        steps: steps.filter(stays),
      };
    });
  const clones = clonesOf(outline, (operations) => operations.filter(stays));
  return settled({ ...outline, visits, clones }, isCompact);
}

/** The outline with some parts changed. */
export function replaced(outline: Outline, changes: ReadonlyMap<object, object>): Outline {
  const changed = <Any extends Part>(part: Any): Any => (changes.get(part) as Any | undefined) ?? part;
  const visits = outline.visits.map(({ pd, operations, reads = [], steps = [] }) => ({
    pd,
    operations: operations.map(changed),
    reads: reads.map(changed),
    steps: steps.map(changed),
  }));
  return { ...outline, visits, clones: clonesOf(outline, (operations) => operations.map(changed)) };
}

/** Visits of clones that have no operation left are none. */
function clonesOf(
  { clones }: Outline,
  change: (operations: WrittenCloneVisit["operations"]) => WrittenCloneVisit["operations"],
): ReadonlyMap<number, readonly WrittenCloneVisit[]> {
  return new Map(
    [...clones].map(([clone, visits]) => [
      clone,
      visits
        .map(({ pd, operations }) => ({ pd, operations: change(operations) }))
        .filter(({ operations }) => operations.length > 0),
    ]),
  );
}

/** Goes through the history as it would be performed, and leaves out what can not be. */
function settled(outline: Outline, isCompact: boolean): Outline {
  const settling = new Settling(outline);
  const visits = outline.visits.map((visit) => settling.visit(visit));
  const kept = isCompact ? visits.filter((visit) => !isIdle(visit)) : visits;
  const clones = new Map([...outline.clones].filter(([clone]) => settling.cloneVisits.has(clone)));
  for (const [clone, visits] of settling.cloneVisits) clones.set(clone, visits);
  return { ...outline, visits: kept, clones };
}

/** An lts at which nothing is done, and that nothing follows. */
export function isIdle({ operations, reads = [], steps = [] }: WrittenVisit): boolean {
  return operations.length + reads.length + steps.length === 0;
}

class Settling {
  readonly cloneVisits = new Map<number, readonly WrittenCloneVisit[]>();
  readonly #outline: Outline;
  readonly #snapshots = new SnapshotNames();
  readonly #deletedClones = new Set<number>();
  readonly #snapshotExtents = new Map<number, readonly number[]>();
  readonly #extentCounts: number[];
  #pd: number;

  constructor(outline: Outline) {
    this.#outline = outline;
    this.#extentCounts = [...outline.startExtents];
    this.#pd = outline.geometry.keys.deflate([0, 0]);
  }

  visit({ pd, operations, reads = [], steps = [] }: WrittenVisit): WrittenVisit {
    const isThere = this.#isIn(pd, this.#extentCounts);
    if (isThere) this.#pd = pd;
    return {
      pd: this.#pd,
      operations: isThere ? operations : [],
      reads: reads.filter((read) => this.#isIn(read.pd ?? pd, this.#extentCounts)),
      steps: steps.filter((step) => this.#can(step)),
    };
  }

  #isIn(pd: number, extentCounts: readonly number[]): boolean {
    const [volume, index] = this.#outline.geometry.keys.inflate(pd);
    return index < extentCounts[volume]!;
  }

  #can(step: ControlStep): boolean {
    try {
      return this.#take(step);
    } catch (error) {
      if (error instanceof HistoryError) return false;
      throw error;
    }
  }

  /** @throws {HistoryError} If the snapshot is not there. */
  #take(step: ControlStep): boolean {
    const snapshots = this.#snapshots;
    switch (step.kind) {
      case "snapshot":
        snapshots.take(this.#name(step.snapshot), "");
        this.#snapshotExtents.set(step.snapshot, [...this.#extentCounts]);
        return true;
      case "deleteSnapshot":
        snapshots.delete(this.#name(step.snapshot), "");
        return true;
      case "rollback":
        snapshots.rollback(this.#name(step.snapshot), "");
        return true;
      case "diff":
        snapshots.alive(this.#name(step.snapshot), "");
        if (step.base !== undefined) snapshots.ancestor(this.#name(step.base), this.#name(step.snapshot), "");
        return true;
      case "diffDeletedBase":
        snapshots.alive(this.#name(step.snapshot), "");
        return snapshots.isDeleted(this.#name(step.base));
      case "sync":
        snapshots.alive(this.#name(step.snapshot), "");
        return true;
      case "clone": {
        snapshots.alive(this.#name(step.snapshot), "");
        const visits = this.#outline.clones.get(step.clone) ?? [];
        const extentCounts = this.#snapshotExtents.get(step.snapshot)!;
        this.cloneVisits.set(
          step.clone,
          visits.filter(({ pd }) => this.#isIn(pd, extentCounts)),
        );
        return true;
      }
      case "checkClone":
        return this.#hasClone(step.clone);
      case "deleteClone":
        if (!this.#hasClone(step.clone)) return false;
        this.#deletedClones.add(step.clone);
        return true;
      case "resize": {
        const { extentBlocks } = this.#outline.geometry;
        const counts = step.blockCounts.map((blocks) => Math.ceil(blocks / extentBlocks));
        if (counts.some((count, volume) => count < this.#extentCounts[volume]!)) return false;
        for (const [volume, count] of counts.entries()) this.#extentCounts[volume] = count;
        snapshots.resized();
        return true;
      }
      default:
        return true;
    }
  }

  #name(snapshot: number): string {
    return this.#outline.snapshotNames[snapshot]!;
  }

  #hasClone(clone: number): boolean {
    return this.cloneVisits.has(clone) && !this.#deletedClones.has(clone);
  }
}

/** The plan of an outline, if it is a history that can be written; nothing else is ever performed. */
export function performable(outline: Outline): Performable | undefined {
  const plan = planOf(outline);
  const text = historyText(plan);
  try {
    parseHistory(text, "a smaller history");
    return { plan, text };
  } catch (error) {
    if (error instanceof HistoryTextError) return undefined;
    throw error;
  }
}

/** The outline with snapshots and clones numbered without gaps, and what follows from their order as it has to be. */
function planOf(outline: Outline): HistoryPlan {
  const snapshots = new Map<number, number>();
  const clones = new Map<number, number>();
  const names = new SnapshotNames();
  const name = (snapshot: number): string => outline.snapshotNames[snapshot]!;
  let lastSynced: number | undefined;
  let resizeCount = 0;
  const numbered = (step: ControlStep): ControlStep => {
    switch (step.kind) {
      case "snapshot": {
        names.take(name(step.snapshot), "");
        snapshots.set(step.snapshot, snapshots.size);
        return { ...step, snapshot: snapshots.get(step.snapshot)! };
      }
      case "deleteSnapshot":
        names.delete(name(step.snapshot), "");
        return { ...step, snapshot: snapshots.get(step.snapshot)! };
      case "rollback":
        names.rollback(name(step.snapshot), "");
        return { ...step, snapshot: snapshots.get(step.snapshot)! };
      case "diff": {
        const snapshot = snapshots.get(step.snapshot)!;
        const base = step.base === undefined ? undefined : snapshots.get(step.base)!;
        const isFar = step.base !== undefined && !names.isParent(name(step.base), name(step.snapshot));
        return { kind: "diff", snapshot, base, isFar };
      }
      case "diffDeletedBase":
        return { ...step, snapshot: snapshots.get(step.snapshot)!, base: snapshots.get(step.base)! };
      case "sync": {
        const isBase = lastSynced !== undefined && names.isAncestor(name(lastSynced), name(step.snapshot));
        const base = isBase ? snapshots.get(lastSynced!) : undefined;
        lastSynced = step.snapshot;
        return { kind: "sync", snapshot: snapshots.get(step.snapshot)!, base };
      }
      case "clone":
        clones.set(step.clone, clones.size);
        return { kind: "clone", clone: clones.get(step.clone)!, snapshot: snapshots.get(step.snapshot)! };
      case "checkClone":
      case "deleteClone":
        return { ...step, clone: clones.get(step.clone)! };
      case "resize":
        return { ...step, step: ++resizeCount };
      default:
        return step;
    }
  };
  const visits = outline.visits.map((visit) => ({ ...visit, steps: visit.steps?.map(numbered) ?? [] }));
  return {
    ...outline,
    visits,
    clones: new Map([...clones].map(([clone, number]) => [number, outline.clones.get(clone) ?? []])),
    snapshotNames: [...snapshots.keys()].map(name),
    cloneNames: [...clones.keys()].map((clone) => outline.cloneNames[clone]!),
  };
}

/** How large a history is. */
export interface Extensiveness {
  readonly lts: number;
  /** Of the volumes and of clones. */
  readonly operations: number;
  readonly reads: number;
  /** What is asked of the control plane, and what befalls the target. */
  readonly steps: number;
}

export function sizeOf({ visits, clones }: HistoryPlan): Extensiveness {
  const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0);
  const all = [...visits, ...[...clones.values()].flat()];
  return {
    lts: visits.length,
    operations: sum(all.map(({ operations }) => operations.length)),
    reads: sum(visits.map(({ reads }) => reads?.length ?? 0)),
    steps: sum(visits.map(({ steps }) => steps?.length ?? 0)),
  };
}
