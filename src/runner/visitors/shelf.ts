/**
 * The snapshots that a run has taken, on the target and in the model.
 *
 * @packageDocumentation
 */
import type { SnapshotRecord } from "../../model/snapshot-record.ts";
import type { KeptSnapshot } from "../kept-snapshot.ts";
import type { Run } from "../run.ts";

/** A snapshot of one volume on the target. */
export interface Taken {
  readonly uuid: string;
  readonly name: string;
  readonly record: SnapshotRecord;
  /** Extents that were read from it and found right. */
  readonly proven: Set<number>;
}

const documentName = "snapshots";

export class SnapshotShelf {
  readonly #run: Run;
  /** By number, then by volume; deleted ones stay for a while, for questions about deleted bases. */
  readonly #taken = new Map<number, readonly Taken[]>();
  readonly #alive = new Set<number>();

  constructor(run: Run) {
    this.#run = run;
  }

  /** Takes up those that an earlier process left, as its document has them. */
  resume(document: unknown): void {
    for (const { snapshot, isAlive, volumes } of (document ?? []) as readonly KeptSnapshot[]) {
      const taken = volumes.flatMap(({ uuid, name }, volume) => {
        const record = this.#run.tracker.snapshot(volume, snapshot);
        return record === undefined ? [] : [{ uuid, name, record, proven: new Set<number>() }];
      });
      // Of a deleted one the model keeps nothing, so it is no base to ask about any more.
      if (taken.length !== volumes.length) continue;
      this.#taken.set(snapshot, taken);
      if (isAlive) this.#alive.add(snapshot);
    }
    this.#run.snapshotsKept = this.#kept();
  }

  /** Numbers of those on the target, ascending. */
  get alive(): readonly number[] {
    return [...this.#alive].sort((a, b) => a - b);
  }

  get aliveCount(): number {
    return this.#alive.size;
  }

  /** Names of what is on the target. */
  get namesAlive(): readonly string[] {
    return this.alive.flatMap((snapshot) => this.#taken.get(snapshot)!.map(({ name }) => name));
  }

  has(snapshot: number): boolean {
    return this.#taken.has(snapshot);
  }

  of(snapshot: number, volume: number): Taken {
    const taken = this.#taken.get(snapshot)?.[volume];
    if (taken === undefined)
      throw new Error(`snapshot ${snapshot} of volume ${volume} is not known any more`);
    return taken;
  }

  volumesOf(snapshot: number): readonly Taken[] {
    return this.#taken.get(snapshot) ?? [];
  }

  add(snapshot: number, taken: readonly Taken[]): void {
    this.#taken.set(snapshot, taken);
    this.#alive.add(snapshot);
    this.#save();
  }

  deleted(snapshot: number): void {
    this.#alive.delete(snapshot);
    for (const { record } of this.volumesOf(snapshot)) this.#run.tracker.forgetSnapshot(record);
    const oldest = snapshot - 8 * this.#run.config.snapshots.keep;
    for (const number of this.#taken.keys())
      if (number < oldest && !this.#alive.has(number)) this.#taken.delete(number);
    this.#save();
  }

  #save(): void {
    const kept = this.#kept();
    this.#run.snapshotsKept = kept;
    this.#run.recorder?.putDocument(documentName, kept);
    this.#run.recorder?.commitDurably();
  }

  #kept(): readonly KeptSnapshot[] {
    return [...this.#taken].map(([snapshot, volumes]) => ({
      snapshot,
      isAlive: this.#alive.has(snapshot),
      volumes: volumes.map(({ uuid, name }) => ({ uuid, name })),
    }));
  }
}
