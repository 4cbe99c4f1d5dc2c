/**
 * The times of operations in a run's database: of exceptions, and of what is open in a snapshot.
 *
 * One object may be both, and open in several snapshots: it is one row, so that it is one object again when it is
 * read. What reads showed of an operation is not kept.
 *
 * @packageDocumentation
 */
import type Database from "better-sqlite3";
import type { OperationTimes } from "../model/operation-times.ts";
import type { RunDatabase } from "./run-store-database.ts";
import { damaged } from "./run-store-error.ts";

interface TimesRow {
  readonly id: number;
  readonly position: number;
  readonly submitted: number;
  readonly completed: number;
  readonly outcome: string;
  readonly lostAt: number;
  readonly hasOverlap: number;
  readonly isException: number;
}

export class StoredTimes {
  readonly #ids = new WeakMap<OperationTimes, number>();
  readonly #write: Database.Statement;
  readonly #unexcept: Database.Statement;
  readonly #prune: Database.Statement;
  #idMax = 0;

  constructor(database: Database.Database) {
    this.#write = database.prepare(`
      INSERT INTO times (id, position, submitted, completed, outcome, lostAt, hasOverlap, isException)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET
        completed = excluded.completed, outcome = excluded.outcome, lostAt = excluded.lostAt,
        hasOverlap = excluded.hasOverlap, isException = max(isException, excluded.isException)`);
    this.#unexcept = database.prepare(
      "UPDATE times SET isException = 0 WHERE position = ? AND isException = 1 AND id <> ?",
    );
    this.#prune = database.prepare(
      "DELETE FROM times WHERE isException = 0 AND id NOT IN (SELECT timesId FROM snapshotOpen)",
    );
  }

  /** Every row, as objects by id; those that are exceptions are listed as well. */
  load({ path, database }: RunDatabase): {
    readonly byId: ReadonlyMap<number, OperationTimes>;
    readonly exceptions: readonly OperationTimes[];
  } {
    const byId = new Map<number, OperationTimes>();
    const exceptions: OperationTimes[] = [];
    for (const row of database.prepare<[], TimesRow>("SELECT * FROM times ORDER BY id").iterate()) {
      const times = timesOf(path, row);
      byId.set(row.id, times);
      this.#ids.set(times, row.id);
      this.#idMax = row.id;
      if (row.isException === 1) exceptions.push(times);
    }
    return { byId, exceptions };
  }

  /** @returns Whether it takes the place of another exception at its position: then {@link prune} is due. */
  writeException(times: OperationTimes): boolean {
    const id = this.#idOf(times);
    const isReplacing = this.#unexcept.run(times.position, id).changes > 0;
    this.#run(id, times, 1);
    return isReplacing;
  }

  /** @returns The id of its row. */
  write(times: OperationTimes): number {
    const id = this.#idOf(times);
    this.#run(id, times, 0);
    return id;
  }

  /** Deletes what is neither an exception nor open in a snapshot. */
  prune(): void {
    this.#prune.run();
  }

  #idOf(times: OperationTimes): number {
    let id = this.#ids.get(times);
    if (id === undefined) this.#ids.set(times, (id = ++this.#idMax));
    return id;
  }

  #run(id: number, times: OperationTimes, isException: 0 | 1): void {
    const { position, submitted, completed, outcome, lostAt, hasOverlap } = times;
    this.#write.run(id, position, submitted, completed, outcome, lostAt, hasOverlap ? 1 : 0, isException);
  }
}

function timesOf(path: string, row: TimesRow): OperationTimes {
  const { position, submitted, completed, outcome, lostAt } = row;
  switch (outcome) {
    case "ok":
    case "failed":
    case "unknown":
    case "inFlight":
      return {
        position,
        submitted,
        completed,
        outcome,
        lostAt,
        hasOverlap: row.hasOverlap === 1,
        reads: undefined,
      };
    default:
      throw damaged(path, `times row ${row.id} has outcome ${outcome}`);
  }
}
