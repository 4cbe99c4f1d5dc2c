/**
 * Writes a history by hand, in terms of extents, blocks and kinds of operation.
 *
 * What a test does not care about is drawn from the seed: which blocks, how many, in which order. The same calls with
 * the same seed and geometry give the same history. Mistakes are told at once, with the line that made them.
 *
 * @packageDocumentation
 */
import { Choices } from "../generators/choices.ts";
import type { ContentKind } from "../generators/content.ts";
import type { BlockSpan } from "./block-selector.ts";
import { CloneWriter } from "./clone-writer.ts";
import type { ControlStep } from "./control-schedule.ts";
import type { Geometry } from "./geometry.ts";
import { HistoryError, lineOfCaller } from "./history-error.ts";
import { type GroupOrder, OperationGroup, type Wish } from "./operation-group.ts";
import type { Operation } from "./operations.ts";
import { operationsOf, type Placed, placed, readsOf } from "./placement.ts";
import { namePattern, SnapshotNames } from "./snapshot-names.ts";
import type { WrittenCloneVisit, WrittenVisit } from "./written-history.ts";

/** A finished history, to be performed, or to be written as text. */
export interface HistoryPlan {
  readonly seed: bigint;
  readonly geometry: Geometry;
  readonly visits: readonly WrittenVisit[];
  readonly clones: ReadonlyMap<number, readonly WrittenCloneVisit[]>;
  readonly startExtents: readonly number[];
  /** What blocks are filled with; all kinds, as in a run, if left out. */
  readonly content?: ContentKind;
  /** How many lts are in flight together; one after another if left out. */
  readonly depth?: number;
  /** Names of snapshots and clones, by number. */
  readonly snapshotNames: readonly string[];
  readonly cloneNames: readonly string[];
}

export interface HistoryBuilderOptions {
  readonly seed: bigint;
  readonly geometry: Geometry;
  /** Extents that each volume has at first; all of them if left out. */
  readonly startExtents?: number;
  /** Blocks of the longest compare-and-write; 1 if left out. */
  readonly compareAndWriteBlocksMax?: number;
}

/** Extents of a clone that are written to if nothing is said. */
const clonedExtents = 2;

/** Of the draws of builders: what one seed decides about them has nothing to do with its content. */
const builderStream = 2021n;
export class HistoryBuilder {
  readonly geometry: Geometry;
  readonly seed: bigint;
  readonly #choices: Choices;
  readonly #options: HistoryBuilderOptions;
  readonly #visits: { pd: number; operations: Operation[]; reads: BlockSpan[]; steps: ControlStep[] }[] = [];
  readonly #clones = new Map<number, readonly WrittenCloneVisit[]>();
  readonly #cloneNames: string[] = [];
  readonly #deletedClones = new Set<string>();
  readonly #snapshots = new SnapshotNames();
  /** Extents of each volume when it was taken, by number of the snapshot. */
  readonly #snapshotExtents: (readonly number[])[] = [];
  readonly #extentCounts: number[];
  #lastSynced: string | undefined;
  #nextExtent = 0;
  #open: OperationGroup<this> | undefined;

  constructor(options: HistoryBuilderOptions) {
    const { geometry, seed, startExtents } = options;
    this.geometry = geometry;
    this.seed = seed;
    this.#options = options;
    this.#choices = new Choices(seed, builderStream);
    const all = geometry.volumeBlocks.map((blocks) => Math.ceil(blocks / geometry.extentBlocks));
    this.#extentCounts = all.map((count) => Math.min(count, startExtents ?? count));
    if (startExtents !== undefined && !(Number.isInteger(startExtents) && startExtents >= 1))
      throw new HistoryError(
        `volumes that start with ${startExtents} extents: expected 1 or more`,
        lineOfCaller(),
      );
  }

  /** How many lts the history has so far. */
  get ltsCount(): number {
    return this.#visits.length;
  }

  /** An extent of its own: the one after all that were asked for before; the first again after the last. */
  nextExtent(): OperationGroup<this> {
    const existing = this.#existingPds();
    const pd = existing[this.#nextExtent % existing.length]!;
    return this.#group(pd, lineOfCaller());
  }

  /** @param index - From 0; the extents of the first volume come first. */
  extent(index: number): OperationGroup<this> {
    const line = lineOfCaller();
    const existing = this.#existingPds();
    if (!(Number.isInteger(index) && index >= 0 && index < existing.length))
      throw new HistoryError(`extent ${index}: there are ${existing.length}, numbered from 0`, line);
    return this.#group(existing[index]!, line);
  }

  /** Takes a snapshot of all volumes. */
  snapshot(name: string): this {
    const line = this.#between("snapshot");
    const snapshot = this.#snapshots.take(name, line);
    this.#snapshotExtents.push([...this.#extentCounts]);
    return this.#step({ kind: "snapshot", snapshot, isHot: true });
  }

  deleteSnapshot(name: string): this {
    const line = this.#between("deleteSnapshot");
    return this.#step({ kind: "deleteSnapshot", snapshot: this.#snapshots.delete(name, line) });
  }

  /**
   * Asks for the diff of `to` against `from`, or without base.
   *
   * If `from` was deleted, the right answer is a refusal.
   */
  diff(from: string | undefined, to: string): this {
    const line = this.#between("diff");
    const snapshot = this.#snapshots.alive(to, line);
    if (from === undefined) return this.#step({ kind: "diff", snapshot, base: undefined, isFar: false });
    if (this.#snapshots.isDeleted(from))
      return this.#step({ kind: "diffDeletedBase", snapshot, base: this.#snapshots.numberOf(from, line) });
    const base = this.#snapshots.ancestor(from, to, line);
    return this.#step({ kind: "diff", snapshot, base, isFar: !this.#snapshots.isParent(from, to) });
  }

  /**
   * Makes a clone of a snapshot, writes to it, and looks whether each of the two shows its own.
   *
   * @param write - Writes to up to four of the extents that the snapshot has; one write to each of the first if left
   *   out.
   */
  clone(name: string, snapshot: string, write?: (clone: CloneWriter) => void): this {
    const line = this.#between("clone");
    const number = this.#snapshots.alive(snapshot, line);
    if (!namePattern.test(name))
      throw new HistoryError(`clone '${name}': expected letters, digits, '.', '_' and '-', at most 64`, line);
    if (this.#cloneNames.includes(name)) throw new HistoryError(`there is a clone '${name}' already`, line);
    const existing = this.#existingPds(this.#snapshotExtents[number]);
    const writer = new CloneWriter(existing.length);
    if (write === undefined)
      for (let extent = 0; extent < Math.min(clonedExtents, existing.length); extent++) writer.write(extent);
    else write(writer);
    const visits = [...writer.wishes].map(([extent, wishes]) => {
      const pd = existing[extent]!;
      return { pd, operations: operationsOf(this.#place(pd, wishes)) };
    });
    const clone = this.#cloneNames.push(name) - 1;
    this.#clones.set(clone, visits);
    this.#step({ kind: "clone", clone, snapshot: number });
    return this.#step({ kind: "checkClone", clone });
  }

  /** Looks at a clone again. */
  checkClone(name: string): this {
    const line = this.#between("checkClone");
    return this.#step({ kind: "checkClone", clone: this.#cloneNumber(name, line) });
  }

  deleteClone(name: string): this {
    const line = this.#between("deleteClone");
    const clone = this.#cloneNumber(name, line);
    this.#deletedClones.add(name);
    return this.#step({ kind: "deleteClone", clone });
  }

  /** Puts all volumes back to a snapshot. */
  rollback(name: string): this {
    const line = this.#between("rollback");
    const snapshot = this.#snapshots.rollback(name, line);
    return this.#step({ kind: "rollback", snapshot });
  }

  /** Makes each volume as large as so many extents, or as it can be. */
  resize(extents: number): this {
    const line = this.#between("resize");
    const { geometry } = this;
    const most = geometry.volumeBlocks.map((blocks) => Math.ceil(blocks / geometry.extentBlocks));
    for (const [volume, count] of this.#extentCounts.entries()) {
      if (extents < count)
        throw new HistoryError(
          `volumes of ${extents} extents: volume ${volume} has ${count} already, and volumes only grow`,
          line,
        );
      this.#extentCounts[volume] = Math.min(extents, most[volume]!);
    }
    this.#snapshots.resized();
    const blockCounts = this.#extentCounts.map((count, volume) =>
      Math.min(geometry.volumeBlocks[volume]!, count * geometry.extentBlocks),
    );
    const before = this.#visits.flatMap(({ steps }) => steps.filter(({ kind }) => kind === "resize"));
    return this.#step({ kind: "resize", step: before.length + 1, blockCounts });
  }

  /** Brings a copy up to date with a snapshot, by the diff with the one synced before. */
  sync(name: string): this {
    const line = this.#between("sync");
    const snapshot = this.#snapshots.alive(name, line);
    const last = this.#lastSynced;
    const base =
      last !== undefined && this.#snapshots.isAncestor(last, name)
        ? this.#snapshots.numberOf(last, line)
        : undefined;
    this.#lastSynced = name;
    return this.#step({ kind: "sync", snapshot, base });
  }

  /** Kills the target and starts it again. */
  crash(): this {
    this.#between("crash");
    return this.#step({ kind: "crash" });
  }

  /** Does something of the test's own between two lts, at rest. */
  custom(label: string, perform: () => Promise<void> | void): this {
    this.#between("custom");
    return this.#step({ kind: "custom", label, perform: async () => perform() });
  }

  /** Ends the history. */
  finish(): HistoryPlan {
    const line = this.#between("finish");
    if (this.#visits.length === 0) throw new HistoryError("the history is empty: write something", line);
    return {
      seed: this.seed,
      geometry: this.geometry,
      visits: this.#visits,
      clones: this.#clones,
      startExtents: this.geometry.volumeBlocks.map((blocks) =>
        Math.min(
          Math.ceil(blocks / this.geometry.extentBlocks),
          this.#options.startExtents ?? Number.POSITIVE_INFINITY,
        ),
      ),
      snapshotNames: this.#snapshots.names,
      cloneNames: this.#cloneNames,
    };
  }

  #group(pd: number, line: string): OperationGroup<this> {
    this.#between("another extent", line);
    const place = this.#existingPds().indexOf(pd);
    this.#nextExtent = Math.max(this.#nextExtent, place + 1);
    const group: OperationGroup<this> = new OperationGroup(line, (wishes, order) => {
      if (this.#open === group) this.#open = undefined;
      this.#add(pd, wishes, order);
      return this;
    });
    this.#open = group;
    return group;
  }

  /** Nothing else may begin while operations of an extent wait for their `finish()`. */
  #between(what: string, line = lineOfCaller()): string {
    const open = this.#open;
    if (open !== undefined && !open.isEmpty)
      throw new HistoryError(`${what}: the operations begun at ${open.line} lack their finish()`, line);
    this.#open = undefined;
    return line;
  }

  #step(step: ControlStep): this {
    const last = this.#visits.at(-1);
    // What a resize makes is there from the next lts on: so is what comes after it, as a snapshot is as large as its lts.
    if (last === undefined || last.steps.some(({ kind }) => kind === "resize")) {
      const pd = last?.pd ?? this.#existingPds()[0]!;
      this.#visits.push({ pd, operations: [], reads: [], steps: [step] });
    } else last.steps.push(step);
    return this;
  }

  #add(pd: number, wishes: readonly Wish[], { isSimultaneous, isShuffled }: GroupOrder): void {
    const ordered = isShuffled ? this.#choices.shuffled(wishes) : wishes;
    for (const group of isSimultaneous ? [ordered] : ordered.map((wish) => [wish])) {
      const all = this.#place(pd, group);
      this.#visits.push({ pd, operations: operationsOf(all), reads: readsOf(all), steps: [] });
    }
  }

  #place(pd: number, wishes: readonly Wish[]): readonly Placed[] {
    const { compareAndWriteBlocksMax = 1 } = this.#options;
    return placed(wishes, {
      choices: this.#choices,
      blockCount: this.geometry.extent(pd).blockCount,
      blockSizeBytes: this.geometry.blockSizeBytes,
      compareAndWriteBlocksMax,
    });
  }

  #existingPds(extentCounts: readonly number[] = this.#extentCounts): readonly number[] {
    const { keys } = this.geometry;
    return extentCounts.flatMap((count, volume) =>
      Array.from({ length: count }, (_, index) => keys.deflate([volume, index])),
    );
  }

  #cloneNumber(name: string, line: string): number {
    const clone = this.#cloneNames.indexOf(name);
    if (clone < 0) throw new HistoryError(`there is no clone '${name}'`, line);
    if (this.#deletedClones.has(name)) throw new HistoryError(`clone '${name}' was deleted`, line);
    return clone;
  }
}
