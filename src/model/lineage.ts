/**
 * The snapshots that are known, and the rollbacks that branched the history of each volume.
 *
 * @packageDocumentation
 */
import type { SnapshotRecord } from "./snapshot-record.ts";

/** A volume was put back to one of its snapshots, at rest. */
export interface RollbackRecord {
  readonly volume: number;
  /** Highest lts that was undone, or done before the snapshot. */
  readonly afterLts: number;
  readonly record: SnapshotRecord;
}

export class Lineage {
  /** By volume and number, in the order in which they came. */
  readonly #snapshots = new Map<string, SnapshotRecord>();
  /** By volume, oldest first. */
  readonly #rollbacks = new Map<number, RollbackRecord[]>();

  /** Those that were not forgotten, the oldest first. */
  snapshots(): Iterable<SnapshotRecord> {
    return this.#snapshots.values();
  }

  snapshot(volume: number, snapshot: number): SnapshotRecord | undefined {
    return this.#snapshots.get(key(volume, snapshot));
  }

  add(record: SnapshotRecord): void {
    this.#snapshots.set(key(record.volume, record.snapshot), record);
  }

  /** A rollback to it keeps what it needs. */
  forget({ volume, snapshot }: SnapshotRecord): void {
    this.#snapshots.delete(key(volume, snapshot));
  }

  *rollbacks(): Generator<RollbackRecord> {
    for (const ofVolume of this.#rollbacks.values()) yield* ofVolume;
  }

  /** Oldest first. */
  rollbacksOf(volume: number): readonly RollbackRecord[] {
    return this.#rollbacks.get(volume) ?? [];
  }

  rolledBack(rollback: RollbackRecord): void {
    const ofVolume = this.#rollbacks.get(rollback.volume);
    if (ofVolume === undefined) this.#rollbacks.set(rollback.volume, [rollback]);
    else ofVolume.push(rollback);
  }
}

function key(volume: number, snapshot: number): string {
  return `${volume}:${snapshot}`;
}
