/**
 * Snapshots, their cuts, and the rollbacks to them, in a run's database.
 *
 * What never changes of a snapshot is written once. At a commit, what was shown since is added, and what may have
 * changed without being told of is compared: the instants of its cut, and the times of operations that were still
 * under way or in doubt when they were last written.
 *
 * @packageDocumentation
 */
import type Database from "better-sqlite3";
import { Cut, type Instants } from "../model/cut.ts";
import type { RollbackRecord } from "../model/lineage.ts";
import type { OperationTimes } from "../model/operation-times.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import type { RunDatabase } from "./run-store-database.ts";
import { damaged } from "./run-store-error.ts";
import type { StoredTimes } from "./run-store-times.ts";

interface SnapshotRow {
  readonly id: number;
  readonly volume: number;
  readonly snapshot: number;
  readonly name: string;
  readonly lts: number;
  readonly submittedEvent: number;
  readonly completedEvent: number;
  readonly ltsBefore: number;
  readonly ltsMax: number;
  readonly branch: number;
  readonly inside: Buffer;
  readonly cutId: number;
  readonly isForgotten: number;
}

/** What is in the database of a record. */
interface Stored {
  readonly id: number;
  readonly cut: StoredCut;
  readonly shown: Map<number, number>;
  /** Open operations whose completion is not written yet. */
  unsettled: readonly OperationTimes[];
  /** A rollback needs it. */
  isReferred: boolean;
}

interface StoredCut {
  readonly id: number;
  /** As last written. */
  instants: readonly Instants[];
}

export class StoredSnapshots {
  readonly #times: StoredTimes;
  readonly #stored = new Map<SnapshotRecord, Stored>();
  readonly #cuts = new WeakMap<Cut, StoredCut>();
  readonly #forgotten = new WeakSet<SnapshotRecord>();
  readonly #statements: ReturnType<typeof prepared>;
  #idMax = 0;
  #cutIdMax = 0;

  constructor(database: Database.Database, times: StoredTimes) {
    this.#times = times;
    this.#statements = prepared(database);
  }

  /** The state of records that are stored has changed, though nobody told. */
  get isStale(): boolean {
    for (const [{ cut }, stored] of this.#stored)
      if (stored.unsettled.length > 0 || stored.cut.instants !== cut.instants) return true;
    return false;
  }

  /** A record that is new, or shows more than before; one that is forgotten stays so. */
  write(record: SnapshotRecord): void {
    if (this.#forgotten.has(record) && !this.#stored.has(record)) return;
    const { id, shown } = this.#stored.get(record) ?? this.#insert(record);
    for (const [block, state] of record.shown) {
      if (shown.get(block) === state) continue;
      this.#statements.writeShown.run(id, block, state);
      shown.set(block, state);
    }
  }

  rollback({ volume, afterLts, record }: RollbackRecord): void {
    const stored = this.#stored.get(record) ?? this.#insert(record);
    stored.isReferred = true;
    this.write(record);
    this.#statements.insertRollback.run(volume, afterLts, stored.id);
  }

  /** Nobody asks for a record any more, but for the rollbacks to it; {@link prune} is due afterwards. */
  forget(record: SnapshotRecord): void {
    this.#forgotten.add(record);
    const stored = this.#stored.get(record);
    if (stored === undefined) return;
    if (stored.isReferred) {
      this.#statements.forget.run(stored.id);
      return;
    }
    this.#stored.delete(record);
    for (const statement of this.#statements.remove) statement.run(stored.id);
  }

  /** Writes what changed without being told of. */
  refresh(): void {
    for (const [{ cut }, stored] of this.#stored) {
      if (stored.cut.instants !== cut.instants) this.#writeCut(stored.cut, cut);
      if (stored.unsettled.length > 0) stored.unsettled = this.#writeUnsettled(stored.unsettled);
    }
  }

  /** Deletes the cuts that no snapshot has any more. */
  prune(): void {
    this.#statements.pruneCuts.run();
  }

  load(
    { path, database }: RunDatabase,
    timesById: ReadonlyMap<number, OperationTimes>,
  ): { readonly snapshots: readonly SnapshotRecord[]; readonly rollbacks: readonly RollbackRecord[] } {
    const found = <Value>(values: ReadonlyMap<number, Value>, id: number, what: string): Value => {
      const value = values.get(id);
      if (value === undefined) throw damaged(path, `${what} ${id} is missing`);
      return value;
    };
    const cuts = new Map<number, Cut>();
    const cutRows = database.prepare<[], { id: number; instants: Buffer }>("SELECT * FROM cuts ORDER BY id");
    for (const { id, instants } of cutRows.iterate()) {
      const cut = new Cut(decodeInstants(path, instants));
      cuts.set(id, cut);
      this.#cuts.set(cut, { id, instants: cut.instants });
      this.#cutIdMax = id;
    }
    const byId = new Map<number, SnapshotRecord>();
    const snapshots: SnapshotRecord[] = [];
    const readOpen = database
      .prepare<[number], number>("SELECT timesId FROM snapshotOpen WHERE snapshotId = ? ORDER BY timesId")
      .pluck();
    const readShown = database
      .prepare<[number], [number, number]>("SELECT block, state FROM snapshotShown WHERE snapshotId = ?")
      .raw();
    for (const row of database.prepare<[], SnapshotRow>("SELECT * FROM snapshots ORDER BY id").all()) {
      const { id, inside, cutId, isForgotten, ...rest } = row;
      const open = readOpen.all(id).map((timesId) => found(timesById, timesId, "times row"));
      const record: SnapshotRecord = {
        ...rest,
        inside: new Set(decodeNumbers(path, inside)),
        open: new Map(open.map((times) => [times.position, times])),
        shown: new Map(readShown.all(id)),
        cut: found(cuts, cutId, "cut"),
      };
      byId.set(id, record);
      this.#idMax = id;
      this.#stored.set(record, {
        id,
        cut: this.#cuts.get(record.cut)!,
        shown: new Map(record.shown),
        unsettled: open.filter(isUnsettled),
        isReferred: false,
      });
      if (isForgotten === 0) snapshots.push(record);
    }
    const rollbackRows = database.prepare<[], { volume: number; afterLts: number; snapshotId: number }>(
      "SELECT volume, afterLts, snapshotId FROM rollbacks ORDER BY id",
    );
    const rollbacks = rollbackRows.all().map(({ volume, afterLts, snapshotId }) => {
      const record = found(byId, snapshotId, "snapshot row");
      this.#stored.get(record)!.isReferred = true;
      return { volume, afterLts, record };
    });
    return { snapshots, rollbacks };
  }

  #insert(record: SnapshotRecord): Stored {
    const { volume, snapshot, name, lts, submittedEvent, completedEvent, ltsBefore, ltsMax, branch } = record;
    const isForgotten = this.#forgotten.has(record);
    if (!isForgotten) this.#forgetNamesakes(record);
    const id = ++this.#idMax;
    this.#statements.insert.run(
      ...[id, volume, snapshot, name, lts, submittedEvent, completedEvent, ltsBefore, ltsMax, branch],
      ...[encodeNumbers([...record.inside]), this.#insertCut(record.cut).id, isForgotten ? 1 : 0],
    );
    const open = [...record.open.values()];
    for (const times of open) this.#statements.insertOpen.run(id, this.#times.write(times));
    const stored: Stored = {
      id,
      cut: this.#cuts.get(record.cut)!,
      shown: new Map(),
      unsettled: open.filter(isUnsettled),
      isReferred: false,
    };
    this.#stored.set(record, stored);
    return stored;
  }

  /** A record takes the place of another of its volume and number. */
  #forgetNamesakes({ volume, snapshot }: SnapshotRecord): void {
    for (const other of [...this.#stored.keys()])
      if (other.volume === volume && other.snapshot === snapshot) this.forget(other);
  }

  /** Written even if it is known: its row may have been deleted since. */
  #insertCut(cut: Cut): StoredCut {
    let stored = this.#cuts.get(cut);
    if (stored === undefined) {
      stored = { id: ++this.#cutIdMax, instants: cut.instants };
      this.#cuts.set(cut, stored);
    }
    this.#writeCut(stored, cut);
    return stored;
  }

  #writeCut(stored: StoredCut, { instants }: Cut): void {
    const numbers = instants.flatMap(({ after, before, shown, missing }) => [after, before, shown, missing]);
    this.#statements.writeCut.run(stored.id, encodeNumbers(numbers));
    stored.instants = instants;
  }

  #writeUnsettled(unsettled: readonly OperationTimes[]): readonly OperationTimes[] {
    for (const times of unsettled) this.#times.write(times);
    return unsettled.filter(isUnsettled);
  }
}

function isUnsettled({ completed }: OperationTimes): boolean {
  return completed === Number.POSITIVE_INFINITY;
}

function prepared(database: Database.Database) {
  return {
    insert: database.prepare(`
      INSERT INTO snapshots (
        id, volume, snapshot, name, lts, submittedEvent, completedEvent, ltsBefore, ltsMax, branch, inside, cutId,
        isForgotten
      ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    insertOpen: database.prepare("INSERT INTO snapshotOpen (snapshotId, timesId) VALUES (?, ?)"),
    writeShown: database.prepare(
      "INSERT OR REPLACE INTO snapshotShown (snapshotId, block, state) VALUES (?, ?, ?)",
    ),
    writeCut: database.prepare("INSERT OR REPLACE INTO cuts (id, instants) VALUES (?, ?)"),
    insertRollback: database.prepare("INSERT INTO rollbacks (volume, afterLts, snapshotId) VALUES (?, ?, ?)"),
    forget: database.prepare("UPDATE snapshots SET isForgotten = 1 WHERE id = ?"),
    remove: [
      database.prepare("DELETE FROM snapshotOpen WHERE snapshotId = ?"),
      database.prepare("DELETE FROM snapshotShown WHERE snapshotId = ?"),
      database.prepare("DELETE FROM snapshots WHERE id = ?"),
    ],
    pruneCuts: database.prepare("DELETE FROM cuts WHERE id NOT IN (SELECT cutId FROM snapshots)"),
  };
}

function encodeNumbers(numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 8);
  for (const [index, number] of numbers.entries()) bytes.writeDoubleLE(number, index * 8);
  return bytes;
}

function decodeNumbers(path: string, bytes: Buffer): number[] {
  if (bytes.length % 8 !== 0) throw damaged(path, `a list of numbers is ${bytes.length} bytes long`);
  return Array.from({ length: bytes.length / 8 }, (_, index) => bytes.readDoubleLE(index * 8));
}

function decodeInstants(path: string, bytes: Buffer): readonly Instants[] {
  const numbers = decodeNumbers(path, bytes);
  if (numbers.length === 0 || numbers.length % 4 !== 0)
    throw damaged(path, `a cut has ${numbers.length} numbers, and every instant takes 4`);
  const instants: Instants[] = [];
  for (let at = 0; at < numbers.length; at += 4)
    instants.push({
      after: numbers[at]!,
      before: numbers[at + 1]!,
      shown: numbers[at + 2]!,
      missing: numbers[at + 3]!,
    });
  return instants;
}
