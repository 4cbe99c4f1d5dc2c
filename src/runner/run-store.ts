/**
 * What a run remembers on disk, so that it can go on after its process has ended, however it ended.
 *
 * Changes are noted in memory as they happen and written together: what is on disk is always all that was known at
 * one commit, and never a part of it. When to commit is the caller's business; before lts are begun they are
 * reserved, which commits as well, so that a run that goes on knows which of them may have been under way.
 *
 * A commit that fails ends the store: its directory stays as of the commit before, for a process to go on from.
 *
 * @packageDocumentation
 */
import type Database from "better-sqlite3";
import type { RollbackRecord } from "../model/lineage.ts";
import type { OperationTimes } from "../model/operation-times.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import type { Tracker, TrackerListener, TrackerState } from "../model/tracker.ts";
import {
  createRunDatabase,
  openRunDatabase,
  type RunDatabase,
  readRunDatabase,
} from "./run-store-database.ts";
import { asRunStoreError, RunStoreError } from "./run-store-error.ts";
import {
  type DecisionChange,
  type Progress,
  type RunAbout,
  type RunEnd,
  StoredProgress,
} from "./run-store-progress.ts";
import { StoredSnapshots } from "./run-store-snapshots.ts";
import { StoredTimes } from "./run-store-times.ts";

/** What had been committed when a run's store was opened. */
export interface RunMemory extends TrackerState {
  readonly about: RunAbout;
  readonly documents: ReadonlyMap<string, unknown>;
}

/** What gives numbers to events, and tells of changes. */
type EventSource = Pick<Tracker, "lastEvent" | "listen">;

/** Events that may be given out without a commit; half of them when the bound is raised. */
const eventMargin = 2 ** 32;

export class RunStore implements TrackerListener {
  readonly #path: string;
  readonly #database: Database.Database;
  readonly #times: StoredTimes;
  readonly #snapshots: StoredSnapshots;
  readonly #stored: StoredProgress;
  readonly #memory: RunMemory;
  readonly #write: () => void;
  #source: EventSource | undefined;
  /** As it is to be, and as it is written. */
  readonly #progress: Progress;
  #written: Progress;
  readonly #exceptions = new Set<OperationTimes>();
  #decisions: DecisionChange[] = [];
  readonly #changed = new Set<SnapshotRecord>();
  readonly #forgotten = new Set<SnapshotRecord>();
  #rollbacks: RollbackRecord[] = [];
  #end: RunEnd | undefined;
  /** JSON by name; absent to delete it. */
  readonly #documents = new Map<string, string | undefined>();
  #state: "open" | "failed" | "closed" = "open";

  private constructor({ path, database }: RunDatabase, stored: StoredProgress) {
    this.#path = path;
    this.#database = database;
    this.#stored = stored;
    this.#times = new StoredTimes(database);
    this.#snapshots = new StoredSnapshots(database, this.#times);
    this.#progress = stored.progress();
    this.#written = { ...this.#progress };
    this.#memory = loaded({ path, database }, stored, { times: this.#times, snapshots: this.#snapshots });
    this.#write = database.transaction(() => this.#writePending());
  }

  /**
   * Makes a directory for a new run, and holds it until {@link close}.
   *
   * @param directory - New or empty.
   * @throws {RunStoreError} `ERR_NOT_EMPTY` or `ERR_IO`.
   */
  static create(directory: string, about: RunAbout): RunStore {
    return RunStore.#over(
      createRunDatabase(directory, (database) => StoredProgress.begin(database, about)),
      directory,
    );
  }

  /**
   * Opens the directory of a run that is to go on, and holds it until {@link close}.
   *
   * @throws {RunStoreError} Any code but `ERR_NOT_EMPTY`.
   */
  static open(directory: string): RunStore {
    return RunStore.#over(openRunDatabase(directory), directory);
  }

  static #over(run: RunDatabase, directory: string): RunStore {
    try {
      const stored = new StoredProgress(run);
      const { about, end } = stored.about();
      if (end === undefined) return new RunStore(run, stored);
      throw new RunStoreError(
        "ERR_FINISHED",
        `${directory}: run ${about.name} finished at ${end.finishedAt}, with verdict ${end.verdict}: start a new one`,
      );
    } catch (cause) {
      run.database.close();
      throw asRunStoreError(run.path, cause);
    }
  }

  /** What had been committed when the store was opened; of a new one, nothing but what the run is. */
  load(): RunMemory {
    return this.#memory;
  }

  /** Keeps every change that a tracker tells of from now on, and a bound above its events. */
  follow(source: EventSource): void {
    this.#source = source;
    source.listen(this);
  }

  /**
   * Records that lts up to and with `ltsMax` may have been begun, and all changes pending, on stable media.
   *
   * Once it has returned, neither the end of the process nor of the host takes it back.
   */
  reserve(ltsMax: number): void {
    this.#progress.ltsReserved = Math.max(this.#progress.ltsReserved, ltsMax);
    this.commitDurably();
  }

  /** Nothing is under way, and no lts above `ltsMax` was begun: what was reserved beyond it is free again. */
  release(ltsMax: number): void {
    this.#progress.ltsReserved = Math.min(this.#progress.ltsReserved, ltsMax);
    this.commitDurably();
  }

  ltsComplete(lts: number): void {
    this.#progress.ltsComplete = lts;
  }

  exception(times: OperationTimes): void {
    this.#exceptions.add(times);
  }

  decision(position: number, block: number, happened: boolean | undefined): void {
    this.#decisions.push({ position, block, happened });
  }

  snapshot(record: SnapshotRecord): void {
    this.#changed.add(record);
  }

  snapshotForgotten(record: SnapshotRecord): void {
    this.#forgotten.add(record);
  }

  rollback(rollback: RollbackRecord): void {
    this.#rollbacks.push(rollback);
  }

  /**
   * Keeps a value under a name, in place of the one before.
   *
   * @param value - JSON, taken as it is now; absent to delete what is kept.
   */
  putDocument(name: string, value: unknown): void {
    this.#documents.set(name, value === undefined ? undefined : JSON.stringify(value));
  }

  /** The value that was put last, committed or not. */
  document(name: string): unknown {
    if (!this.#documents.has(name)) return this.#stored.document(name);
    const json = this.#documents.get(name);
    return json === undefined ? undefined : JSON.parse(json);
  }

  /**
   * Writes all changes pending: the end of the process does not take them back; the end of the host may, down to
   * the last durable commit or later, in whole commits.
   *
   * @throws {RunStoreError} `ERR_IO` or `ERR_DAMAGED`; the store can only be closed then.
   */
  commit(): void {
    if (this.#isPending()) this.#commit();
  }

  /** Writes all changes pending, and makes sure that this commit and all before are on stable media. */
  commitDurably(): void {
    this.#checkOpen();
    this.#database.pragma("synchronous = FULL");
    try {
      this.#commit();
    } finally {
      this.#database.pragma("synchronous = NORMAL");
    }
  }

  /** The run is over, and can not be opened any more; committed durably, with all changes pending. */
  finish(end: RunEnd): void {
    this.#end = end;
    this.commitDurably();
  }

  /** Commits, if it can, and gives the directory back; may be repeated. */
  close(): void {
    try {
      if (this.#state === "open") this.commit();
    } finally {
      this.#state = "closed";
      this.#database.close();
    }
  }

  #isPending(): boolean {
    const { ltsComplete, event } = this.#progress;
    return (
      ltsComplete !== this.#written.ltsComplete ||
      event !== this.#eventBound() ||
      this.#exceptions.size > 0 ||
      this.#decisions.length > 0 ||
      this.#changed.size > 0 ||
      this.#forgotten.size > 0 ||
      this.#rollbacks.length > 0 ||
      this.#documents.size > 0 ||
      this.#snapshots.isStale
    );
  }

  #commit(): void {
    this.#checkOpen();
    this.#progress.event = this.#eventBound();
    try {
      this.#write();
    } catch (cause) {
      this.#state = "failed";
      throw asRunStoreError(this.#path, cause);
    }
    this.#written = { ...this.#progress };
    this.#decisions = [];
    this.#rollbacks = [];
    this.#end = undefined;
    for (const pending of [this.#exceptions, this.#changed, this.#forgotten, this.#documents])
      pending.clear();
  }

  #checkOpen(): void {
    if (this.#state !== "open")
      throw new Error(`${this.#path}: is ${this.#state}, and takes no more commits`);
  }

  #eventBound(): number {
    const { event } = this.#progress;
    const lastEvent = this.#source?.lastEvent;
    return lastEvent === undefined || lastEvent <= event - eventMargin / 2 ? event : lastEvent + eventMargin;
  }

  /** Within a transaction. */
  #writePending(): void {
    let isPruneDue = this.#forgotten.size > 0;
    for (const decision of this.#decisions) this.#stored.writeDecision(decision);
    for (const times of this.#exceptions) if (this.#times.writeException(times)) isPruneDue = true;
    for (const record of this.#changed) this.#snapshots.write(record);
    for (const rollback of this.#rollbacks) this.#snapshots.rollback(rollback);
    for (const record of this.#forgotten) this.#snapshots.forget(record);
    this.#snapshots.refresh();
    if (isPruneDue) {
      this.#times.prune();
      this.#snapshots.prune();
    }
    for (const [name, json] of this.#documents) this.#stored.writeDocument(name, json);
    if (this.#end !== undefined) this.#stored.writeEnd(this.#end);
    this.#stored.writeProgress(this.#progress);
  }
}

/**
 * What a run remembers, whether it is to go on, goes on, or has finished; it is neither held nor changed.
 *
 * @throws {RunStoreError} `ERR_NOT_A_RUN`, `ERR_DAMAGED`, `ERR_FORMAT_VERSION` or `ERR_IO`.
 */
export function readRunMemory(directory: string): RunMemory {
  return readRunDatabase(directory, (run) => {
    const times = new StoredTimes(run.database);
    const snapshots = new StoredSnapshots(run.database, times);
    return loaded(run, new StoredProgress(run), { times, snapshots });
  });
}

function loaded(
  run: RunDatabase,
  stored: StoredProgress,
  { times, snapshots }: { readonly times: StoredTimes; readonly snapshots: StoredSnapshots },
): RunMemory {
  const { byId, exceptions } = times.load(run);
  return {
    about: stored.about().about,
    ...stored.progress(),
    exceptions,
    decisions: stored.decisions(),
    ...snapshots.load(run, byId),
    documents: stored.documents(),
  };
}
