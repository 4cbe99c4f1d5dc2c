/**
 * What a drawn history asks of the control plane, for a plan: numbered anew where something is left out, and without
 * what would then make no sense.
 *
 * @packageDocumentation
 */
import type { ControlStep } from "./control-schedule.ts";
import type { History } from "./history.ts";
import { clonesMax, snapshotsMax, stepsMax } from "./history-limits.ts";
import { SnapshotNames } from "./snapshot-names.ts";
import type { WrittenCloneVisit } from "./written-history.ts";

/** What follows one lts of the drawn history. */
export interface StepsOfLts {
  readonly lts: number;
  readonly steps: readonly ControlStep[];
}

export interface PlanStepsOptions {
  readonly ltsMin: number;
  readonly ltsCount: number;
  /** Extents that clones are written to; any if left out. */
  readonly pds: ReadonlySet<number> | undefined;
  readonly snapshots: "all" | "none";
  /** Operations on clones, at most. */
  readonly operationsMax: number;
}

export interface PlanSteps {
  /** In the order of their lts. */
  readonly all: readonly StepsOfLts[];
  /** Extents that each volume has before the first of them. */
  readonly startExtents: readonly number[];
  readonly clones: ReadonlyMap<number, readonly WrittenCloneVisit[]>;
  readonly snapshotNames: readonly string[];
  readonly cloneNames: readonly string[];
  readonly resizeCount: number;
  /** Operations on clones. */
  readonly operationCount: number;
}

/** lts that are looked through for steps, the newest: some seconds' worth. */
const ltsLookedAtMax = 2 ** 26;

export function planSteps(history: History, options: PlanStepsOptions): PlanSteps {
  const { geometry, sizes } = history;
  const { since, found } = newestSteps(history, options);
  const startExtents = geometry.volumeBlocks.map((_, volume) =>
    Math.ceil(sizes.blockCountAt(volume, since) / geometry.extentBlocks),
  );
  const { writes, operationCount } = cloneWrites(history, found, options);
  const numbering = new Numbering(history, startExtents, writes);
  const all = found.map(({ lts, steps }) => ({
    lts,
    steps: steps.flatMap((step) => numbering.step(step) ?? []),
  }));
  const { clones, snapshotNames, cloneNames, resizeCount } = numbering;
  return { all, startExtents, clones, snapshotNames, cloneNames, resizeCount, operationCount };
}

/** The newest steps that a plan can hold, and the lts from which on it has them all. */
function newestSteps(
  { control }: History,
  { ltsMin, ltsCount, snapshots }: PlanStepsOptions,
): { readonly since: number; readonly found: readonly StepsOfLts[] } {
  const found: StepsOfLts[] = [];
  const left = { steps: stepsMax, snapshots: snapshotsMax, clones: clonesMax };
  const oldest = Math.max(ltsMin, ltsCount - ltsLookedAtMax);
  let since = ltsCount;
  for (; since > oldest; since--) {
    const lts = since - 1;
    const steps = control
      .stepsAfter(lts)
      .filter(({ kind }) => kind !== "custom" && (snapshots === "all" || !snapshotKinds.has(kind)));
    if (steps.length === 0) continue;
    left.steps -= steps.length;
    for (const { kind } of steps)
      if (kind === "snapshot") left.snapshots--;
      else if (kind === "clone") left.clones--;
    if (left.steps < 0 || left.snapshots < 0 || left.clones < 0) break;
    found.push({ lts, steps });
  }
  return { since, found: found.reverse() };
}

const snapshotKinds: ReadonlySet<ControlStep["kind"]> = new Set([
  "snapshot",
  "deleteSnapshot",
  "diff",
  "diffDeletedBase",
  "sync",
  "clone",
  "checkClone",
  "deleteClone",
  "rollback",
]);

/** What is written to each clone, by its number in the drawn history; of too many, to the newest. */
function cloneWrites(
  history: History,
  found: readonly StepsOfLts[],
  { pds, operationsMax }: PlanStepsOptions,
): { readonly writes: ReadonlyMap<number, readonly WrittenCloneVisit[]>; readonly operationCount: number } {
  const writes = new Map<number, readonly WrittenCloneVisit[]>();
  const takenAfter = new Map<number, number>();
  for (const { lts, steps } of found)
    for (const step of steps) if (step.kind === "snapshot") takenAfter.set(step.snapshot, lts);
  let operationCount = 0;
  for (const { steps } of found.toReversed())
    for (const step of steps) {
      const lts = step.kind === "clone" ? takenAfter.get(step.snapshot) : undefined;
      if (step.kind !== "clone" || lts === undefined) continue;
      const visits = history
        .cloneVisits(step.clone, lts)
        .filter(({ extent, operations }) => operations.length > 0 && (pds?.has(extent.pd) ?? true))
        .map(({ extent, operations }) => ({ pd: extent.pd, operations }));
      const count = visits.reduce((sum, { operations }) => sum + operations.length, 0);
      if (operationCount + count > operationsMax) return { writes, operationCount };
      operationCount += count;
      writes.set(step.clone, visits);
    }
  return { writes, operationCount };
}

/** Goes through the steps as they are performed, as does the reader of a text. */
class Numbering {
  readonly clones = new Map<number, readonly WrittenCloneVisit[]>();
  readonly cloneNames: string[] = [];
  resizeCount = 0;
  readonly #history: History;
  readonly #extentCounts: number[];
  readonly #writes: ReadonlyMap<number, readonly WrittenCloneVisit[]>;
  readonly #snapshots = new SnapshotNames();
  /** Names of snapshots, and numbers of clones that are there, by their numbers in the drawn history. */
  readonly #nameOf = new Map<number, string>();
  readonly #cloneOf = new Map<number, number>();
  #lastSynced: string | undefined;

  constructor(
    history: History,
    startExtents: readonly number[],
    writes: ReadonlyMap<number, readonly WrittenCloneVisit[]>,
  ) {
    this.#history = history;
    this.#extentCounts = [...startExtents];
    this.#writes = writes;
  }

  get snapshotNames(): readonly string[] {
    return this.#snapshots.names;
  }

  /** @returns The step as the plan has it; `undefined` if it needs what the plan has not. */
  step(step: ControlStep): ControlStep | undefined {
    switch (step.kind) {
      case "snapshot":
        return { ...step, snapshot: this.#take(step.snapshot) };
      case "checkClone":
        return this.#ofClone(step.clone, (clone) => ({ kind: "checkClone", clone }));
      case "deleteClone":
        return this.#ofClone(step.clone, (clone) => {
          this.#cloneOf.delete(step.clone);
          return { kind: "deleteClone", clone };
        });
      case "resize":
        return this.#resize(step.blockCounts);
      case "crash":
      case "resetConnections":
      case "cutConnections":
      case "slow":
        return step;
      case "custom":
        return undefined;
      default: {
        const name = this.#nameOf.get(step.snapshot);
        return name === undefined || this.#snapshots.isDeleted(name)
          ? undefined
          : this.#ofSnapshot(step, name);
      }
    }
  }

  /** What is asked of a snapshot that is there. */
  #ofSnapshot(
    step: Extract<
      ControlStep,
      { readonly kind: "deleteSnapshot" | "diff" | "diffDeletedBase" | "sync" | "clone" | "rollback" }
    >,
    name: string,
  ): ControlStep | undefined {
    const snapshots = this.#snapshots;
    const snapshot = snapshots.numberOf(name, "");
    switch (step.kind) {
      case "deleteSnapshot":
        return { kind: "deleteSnapshot", snapshot: snapshots.delete(name, "") };
      case "rollback":
        return { kind: "rollback", snapshot: snapshots.rollback(name, "") };
      case "diff":
      case "diffDeletedBase":
        return this.#diff(step.base, name, snapshot);
      case "sync": {
        const last = this.#lastSynced;
        const isBase = last !== undefined && snapshots.isAncestor(last, name);
        this.#lastSynced = name;
        return { kind: "sync", snapshot, base: isBase ? snapshots.numberOf(last, "") : undefined };
      }
      case "clone": {
        const writes = this.#writes.get(step.clone);
        if (writes === undefined) return undefined;
        const clone = this.cloneNames.length;
        this.cloneNames.push(`c${clone}`);
        this.clones.set(clone, writes);
        this.#cloneOf.set(step.clone, clone);
        return { kind: "clone", clone, snapshot };
      }
    }
  }

  #diff(drawnBase: number | undefined, name: string, snapshot: number): ControlStep | undefined {
    if (drawnBase === undefined) return { kind: "diff", snapshot, base: undefined, isFar: false };
    const baseName = this.#nameOf.get(drawnBase);
    if (baseName === undefined) return undefined;
    const base = this.#snapshots.numberOf(baseName, "");
    if (this.#snapshots.isDeleted(baseName)) return { kind: "diffDeletedBase", snapshot, base };
    if (!this.#snapshots.isAncestor(baseName, name)) return undefined;
    return { kind: "diff", snapshot, base, isFar: !this.#snapshots.isParent(baseName, name) };
  }

  #take(drawn: number): number {
    const name = `s${this.#nameOf.size}`;
    this.#nameOf.set(drawn, name);
    return this.#snapshots.take(name, "");
  }

  #ofClone(drawn: number, make: (clone: number) => ControlStep): ControlStep | undefined {
    const clone = this.#cloneOf.get(drawn);
    return clone === undefined ? undefined : make(clone);
  }

  /** A plan's volumes grow to the same number of extents, those that are smaller at last to all of theirs. */
  #resize(drawnCounts: readonly number[]): ControlStep {
    const { volumeBlocks, extentBlocks } = this.#history.geometry;
    const extents = Math.max(...drawnCounts.map((count) => Math.ceil(count / extentBlocks)));
    for (const [volume, blocks] of volumeBlocks.entries())
      this.#extentCounts[volume] = Math.min(extents, Math.ceil(blocks / extentBlocks));
    const blockCounts = this.#extentCounts.map((count, volume) =>
      Math.min(volumeBlocks[volume]!, count * extentBlocks),
    );
    return { kind: "resize", step: ++this.resizeCount, blockCounts };
  }
}
