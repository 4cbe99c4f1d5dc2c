/**
 * Calls of the history builder that are right wherever they stand.
 *
 * Their numbers count among what there is when their turn comes: the second snapshot of those that are left, the third
 * free block. A call that finds nothing does nothing.
 *
 * @packageDocumentation
 */
import { cloneVisitsMax } from "../selectors/clone-selector.ts";
import { HistoryBuilder, type HistoryPlan } from "../selectors/history-builder.ts";
import type { OperationGroup } from "../selectors/operation-group.ts";
import { SnapshotNames } from "../selectors/snapshot-names.ts";
import { geometryOf, type TestGeometry } from "./geometries.ts";
import { Room } from "./room.ts";

interface OperationCall {
  readonly kind: (typeof operationKinds)[number];
  readonly block: number;
  readonly blocks: number;
}

interface CloneWrite {
  readonly kind: (typeof cloneKinds)[number];
  readonly extent: number;
  readonly block: number;
  readonly blocks: number;
}

/** A call of the builder. */
export type Call =
  | {
      readonly kind: "operations";
      readonly extent: number;
      readonly isSimultaneous: boolean;
      readonly operations: readonly OperationCall[];
    }
  | { readonly kind: "snapshot" | "crash" }
  | { readonly kind: "deleteSnapshot" | "rollback" | "sync"; readonly snapshot: number }
  | { readonly kind: "diff"; readonly base: number; readonly snapshot: number }
  | { readonly kind: "clone"; readonly snapshot: number; readonly writes: readonly CloneWrite[] }
  | { readonly kind: "checkClone" | "deleteClone"; readonly clone: number }
  | { readonly kind: "resize"; readonly more: number };

/** The simplest first. */
export const operationKinds = [
  "write",
  "read",
  "flush",
  "writeZeroes",
  "deallocate",
  "writeFua",
  "compareAndWrite",
  "deallocateTail",
  "deallocateExtent",
] as const;
export const cloneKinds = ["write", "writeZeroes", "deallocate"] as const;

/** The history of some calls, which the builder takes whatever they are. */
export function calledPlan({
  seed,
  geometry,
  calls,
}: {
  readonly seed: bigint;
  readonly geometry: TestGeometry;
  readonly calls: readonly Call[];
}): HistoryPlan {
  return new Caller(seed, geometry).plan(calls);
}

/** Makes calls of a builder, each with what there is when its turn comes. */
class Caller {
  readonly #history: HistoryBuilder;
  readonly #extents: number;
  /** In each volume, so far. */
  #existing: number;
  readonly #volumes: number;
  readonly #extentBlocks: number;
  readonly #content: TestGeometry["content"];
  /** As the builder keeps them. */
  readonly #snapshots = new SnapshotNames();
  /** Extents of a volume when it was taken. */
  readonly #snapshotExtents = new Map<string, number>();
  readonly #clones = new Set<string>();
  #cloneCount = 0;

  constructor(seed: bigint, geometry: TestGeometry) {
    const { extents, volumes, extentBlocks, startExtents = extents, content } = geometry;
    this.#content = content;
    this.#extents = extents;
    this.#volumes = volumes;
    this.#extentBlocks = extentBlocks;
    this.#existing = Math.min(extents, startExtents);
    this.#history = new HistoryBuilder({
      seed,
      geometry: geometryOf(geometry),
      startExtents: this.#existing,
    });
  }

  plan(calls: readonly Call[]): HistoryPlan {
    for (const call of calls) this.#call(call);
    // None may be empty.
    if (this.#history.ltsCount === 0) this.#history.extent(0).flush().finish();
    return { ...this.#history.finish(), content: this.#content };
  }

  #call(call: Call): void {
    switch (call.kind) {
      case "operations":
        this.#operations(call);
        return;
      case "snapshot": {
        const name = `s${this.#snapshots.names.length}`;
        this.#snapshots.take(name, "");
        this.#snapshotExtents.set(name, this.#existing);
        this.#history.snapshot(name);
        return;
      }
      case "sync":
        this.#with(this.#alive(), call.snapshot, (name) => this.#history.sync(name));
        return;
      case "deleteSnapshot":
        this.#with(this.#alive(), call.snapshot, (name) => {
          this.#snapshots.delete(name, "");
          this.#history.deleteSnapshot(name);
        });
        return;
      case "rollback": {
        const targets = this.#alive().filter((name) => this.#snapshotExtents.get(name) === this.#existing);
        this.#with(targets, call.snapshot, (name) => {
          this.#snapshots.rollback(name, "");
          this.#history.rollback(name);
        });
        return;
      }
      case "diff":
        this.#with(this.#alive(), call.snapshot, (name) =>
          this.#with(this.#basesOf(name), call.base, (base) => this.#history.diff(base, name)),
        );
        return;
      case "clone":
        this.#with(this.#alive(), call.snapshot, (name) => this.#clone(name, call.writes));
        return;
      case "checkClone":
        this.#with([...this.#clones], call.clone, (name) => this.#history.checkClone(name));
        return;
      case "deleteClone":
        this.#with([...this.#clones], call.clone, (name) => {
          this.#clones.delete(name);
          this.#history.deleteClone(name);
        });
        return;
      case "resize":
        this.#resize(call.more);
        return;
      case "crash":
        this.#history.crash();
    }
  }

  /** Does something with one of some, if there are any. */
  #with<Item>(some: readonly Item[], index: number, act: (one: Item) => void): void {
    if (some.length > 0) act(some[index % some.length]!);
  }

  #alive(): readonly string[] {
    return this.#snapshots.names.filter((name) => !this.#snapshots.isDeleted(name));
  }

  /** None, the ancestors, and those of which the diff is to be refused. */
  #basesOf(name: string): readonly (string | undefined)[] {
    const snapshots = this.#snapshots;
    const bases = snapshots.names.filter(
      (other) => snapshots.isDeleted(other) || snapshots.isAncestor(other, name),
    );
    return [undefined, ...bases];
  }

  #operations({ extent, isSimultaneous, operations }: Extract<Call, { kind: "operations" }>): void {
    const group = this.#history.extent(extent % (this.#existing * this.#volumes));
    if (isSimultaneous) group.simultaneously();
    let room = new Room(this.#extentBlocks);
    for (const operation of operations) {
      if (!isSimultaneous) room = new Room(this.#extentBlocks);
      add(group, operation, room);
    }
    group.finish();
  }

  #clone(snapshot: string, writes: readonly CloneWrite[]): void {
    const name = `c${this.#cloneCount++}`;
    this.#clones.add(name);
    const rooms = new Map<number, Room>();
    this.#history.clone(name, snapshot, (clone) => {
      for (const { kind, extent, ...where } of writes) {
        const index = extent % (this.#snapshotExtents.get(snapshot)! * this.#volumes);
        if (!rooms.has(index) && rooms.size === cloneVisitsMax) continue;
        const room = rooms.get(index) ?? new Room(this.#extentBlocks);
        rooms.set(index, room);
        const span = room.take(where);
        if (span !== undefined) clone[kind](index, span);
      }
    });
  }

  #resize(more: number): void {
    const room = this.#extents - this.#existing;
    if (room === 0) return;
    this.#existing += 1 + (more % room);
    this.#history.resize(this.#existing);
  }
}

/** Asks for an operation where there is room, or not at all. */
function add(group: OperationGroup<HistoryBuilder>, { kind, ...where }: OperationCall, room: Room): void {
  switch (kind) {
    case "flush":
      group.flush();
      return;
    case "read":
      group.read(room.span(where));
      return;
    case "deallocateTail": {
      const span = room.takeTail(where.block);
      if (span !== undefined) group.deallocateTail(span.block);
      return;
    }
    case "deallocateExtent":
      if (room.isWhole) {
        room.takeTail(0);
        group.deallocateExtent();
      }
      return;
    default: {
      const span = room.take(kind === "compareAndWrite" ? { ...where, blocks: 1 } : where);
      if (span !== undefined) group[kind](span);
    }
  }
}
