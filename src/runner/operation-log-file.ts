/**
 * The operation log as a file: an SQLite database, for `harrow explain` and for people with the program `sqlite3`.
 *
 *   about        one row: what is in the file, and what was forgotten before it was written
 *   operations   in the order of their submission; kind and blocks are there for people, as they follow from the seed
 *   steps        control steps, in the order in which they began
 *
 * The database is made in memory and written as it is, so the file is there whole or not at all, and nothing of
 * SQLite's own is ever beside it.
 *
 * @packageDocumentation
 */
import { statSync } from "node:fs";
import Database from "better-sqlite3";
import { operationAt, positionOf } from "../selectors/operations.ts";
import { writeWhole } from "../sut/whole-file.ts";
import type { LoggedOperation, LoggedOutcome, LoggedStep, OperationLog } from "./operation-log.ts";

/** An operation log can not be written or read; the message names the file, and says what can still be done. */
export class OperationLogError extends Error {
  override readonly name = "OperationLogError";
}

/** What the history says of an operation. */
interface DescribedOperation {
  readonly kind: string;
  /** Of the volume. */
  readonly block: number;
  /** 0 for a flush. */
  readonly blockCount: number;
}

/** An operation as it is in the file. */
export interface StoredOperation extends LoggedOperation {
  /** Absent if it was not told when the file was written. */
  readonly text: DescribedOperation | undefined;
}

/** "hrwO" in ASCII. */
const applicationId = 0x6872774f;
const formatVersion = 1;

const schema = `
  CREATE TABLE about (
    operationCount INTEGER NOT NULL, droppedCount INTEGER NOT NULL,
    stepCount INTEGER NOT NULL, droppedStepCount INTEGER NOT NULL, wallOffsetMs REAL NOT NULL
  ) STRICT;
  CREATE TABLE operations (
    id INTEGER PRIMARY KEY, lts INTEGER NOT NULL, operationId INTEGER NOT NULL, volume INTEGER NOT NULL,
    kind TEXT, block INTEGER, blockCount INTEGER,
    submittedEvent INTEGER NOT NULL, completedEvent INTEGER, fencedEvent INTEGER,
    submittedMs REAL NOT NULL, completedMs REAL,
    outcome TEXT NOT NULL, code TEXT, connection INTEGER
  ) STRICT;
  CREATE TABLE steps (
    id INTEGER PRIMARY KEY, lts INTEGER NOT NULL, kind TEXT NOT NULL, words TEXT NOT NULL,
    submittedEvent INTEGER NOT NULL, completedEvent INTEGER, submittedMs REAL NOT NULL, completedMs REAL, outcome TEXT
  ) STRICT;
`;
/** Made when the rows are there, which is faster. */
const indexes = `
  CREATE INDEX operationsByLts ON operations (lts, operationId);
  CREATE INDEX operationsByEvent ON operations (submittedEvent);
`;

const withoutIt = "everything but times, outcomes and connections follows from the seed, so go on without it";

/**
 * Writes what a log remembers, in place of a file that may be there; takes a quarter of a second for a full log.
 *
 * @param options.describe - Says of a position what stands there in the history, for the columns that people read.
 * @throws {OperationLogError} If it could not be written; a file of before stays as it is.
 */
export function writeOperationLog(
  path: string,
  log: OperationLog,
  { describe }: { readonly describe?: (position: number) => DescribedOperation | undefined } = {},
): void {
  const bytes = databaseOf(log, describe);
  try {
    writeWhole(path, bytes);
  } catch (cause) {
    throw new OperationLogError(`${path}: could not be written: ${messageOf(cause)}`, { cause });
  }
}

function databaseOf(
  log: OperationLog,
  describe: ((position: number) => DescribedOperation | undefined) | undefined,
): Buffer {
  const database = new Database(":memory:");
  try {
    database.exec(schema);
    database.pragma(`application_id = ${applicationId}`);
    database.pragma(`user_version = ${formatVersion}`);
    database.transaction(() => {
      database
        .prepare("INSERT INTO about VALUES (?, ?, ?, ?, ?)")
        .run(log.operationCount, log.droppedCount, log.stepCount, log.droppedStepCount, log.wallOffsetMs);
      const operation = database.prepare(
        "INSERT INTO operations VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      );
      for (const one of log.operations()) {
        const { lts, operationId } = one;
        const text = describe?.(positionOf(lts, operationId));
        operation.run(
          ...[lts, operationId, one.volume, text?.kind, text?.block, text?.blockCount],
          ...[one.submittedEvent, one.completedEvent, one.fencedEvent, one.submittedMs, one.completedMs],
          ...[one.outcome, one.code, one.connection],
        );
      }
      const step = database.prepare("INSERT INTO steps VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)");
      for (const one of log.steps())
        step.run(
          ...[one.lts, one.kind, one.words, one.submittedEvent, one.completedEvent],
          ...[one.submittedMs, one.completedMs, one.outcome],
        );
      database.exec(indexes);
    })();
    return database.serialize();
  } finally {
    database.close();
  }
}

/**
 * Opens a file that {@link writeOperationLog} wrote, and makes sure that all of it can be read.
 *
 * @throws {OperationLogError} If it is missing, damaged, someone else's, or of another version.
 */
export function readOperationLog(path: string): OperationLogFile {
  let database: Database.Database | undefined;
  try {
    const status = statSync(path, { throwIfNoEntry: false });
    if (status === undefined) throw new OperationLogError(`${path}: is missing; ${withoutIt}`);
    if (!status.isFile()) throw new OperationLogError(`${path}: is no file; ${withoutIt}`);
    database = new Database(path, { readonly: true, fileMustExist: true });
    checkFormat(path, database);
    return new OperationLogFile(database);
  } catch (cause) {
    database?.close();
    throw asOperationLogError(path, cause);
  }
}

function checkFormat(path: string, database: Database.Database): void {
  if (database.pragma("application_id", { simple: true }) !== applicationId)
    throw new OperationLogError(`${path}: is no operation log of harrow's; ${withoutIt}`);
  const version = database.pragma("user_version", { simple: true });
  if (version !== formatVersion)
    throw new OperationLogError(
      `${path}: has format version ${version}, and this version of harrow knows ${formatVersion} only; use the ` +
        `version that wrote it, or: ${withoutIt}`,
    );
  const finding = database.pragma("quick_check(1)", { simple: true });
  if (finding !== "ok") throw damaged(path, String(finding));
  // A constraint would not do: SQLite knows none in a file that is open for reading only.
  const odd = database.prepare(
    "SELECT outcome FROM operations WHERE outcome NOT IN ('inFlight', 'ok', 'failed', 'unknown') LIMIT 1",
  );
  const outcome = odd.pluck().get();
  if (outcome !== undefined) throw damaged(path, `an outcome "${outcome}"`);
  for (const [table, column] of [
    ["operations", "operationCount"],
    ["steps", "stepCount"],
  ]) {
    const [there, expected] = [
      database.prepare(`SELECT count(*) FROM ${table}`).pluck().get(),
      database.prepare(`SELECT ${column} FROM about`).pluck().get(),
    ];
    if (there !== expected) throw damaged(path, `${there} ${table} are there, ${expected} were written`);
  }
}

function damaged(path: string, finding: string, cause?: unknown): OperationLogError {
  return new OperationLogError(`${path}: is damaged (${finding}); ${withoutIt}`, { cause });
}

function asOperationLogError(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof OperationLogError) return cause;
  const { code } = cause as Error & { readonly code?: unknown };
  if (typeof code !== "string") return cause;
  if (/^SQLITE_(CORRUPT|NOTADB|ERROR)/.test(code)) return damaged(path, cause.message, cause);
  return new OperationLogError(`${path}: could not be read: ${cause.message} (${code}); ${withoutIt}`, {
    cause,
  });
}

type OperationRow = Omit<LoggedOperation, "completedEvent" | "fencedEvent" | "completedMs" | "code"> & {
  readonly outcome: LoggedOutcome;
  readonly kind: string | null;
  readonly block: number | null;
  readonly blockCount: number | null;
  readonly completedEvent: number | null;
  readonly fencedEvent: number | null;
  readonly completedMs: number | null;
  readonly code: string | null;
  readonly connection: number | null;
};

type StepRow = Omit<LoggedStep, "completedEvent" | "completedMs" | "outcome"> & {
  readonly completedEvent: number | null;
  readonly completedMs: number | null;
  readonly outcome: string | null;
};

interface About {
  readonly droppedCount: number;
  readonly droppedStepCount: number;
  readonly wallOffsetMs: number;
}

/** An operation log that is open for reading; see {@link readOperationLog}. */
export class OperationLogFile {
  /** Operations, and steps, that were forgotten before the file was written: older than all that are there. */
  readonly droppedCount: number;
  readonly droppedStepCount: number;
  /** To be added to a time of the log: milliseconds since 1970. */
  readonly wallOffsetMs: number;
  /** Lowest lts of which there is anything; what was before is forgotten, or was done by an earlier process. */
  readonly ltsFirst: number | undefined;
  readonly #database: Database.Database;
  readonly #ofLts: Database.Statement<[number], OperationRow>;
  readonly #one: Database.Statement<[number, number], OperationRow>;
  readonly #between: Database.Statement<[number, number], OperationRow>;
  readonly #steps: Database.Statement<[], StepRow>;

  /** Use {@link readOperationLog}. */
  constructor(database: Database.Database) {
    this.#database = database;
    const about = database.prepare<[], About>("SELECT * FROM about").get();
    this.droppedCount = about?.droppedCount ?? 0;
    this.droppedStepCount = about?.droppedStepCount ?? 0;
    this.wallOffsetMs = about?.wallOffsetMs ?? 0;
    const first = database.prepare<[], number | null>(
      "SELECT min(lts) FROM (SELECT min(lts) AS lts FROM operations UNION ALL SELECT min(lts) FROM steps)",
    );
    this.ltsFirst = first.pluck().get() ?? undefined;
    const operations = `
      SELECT lts, operationId, volume, kind, block, blockCount, submittedEvent, completedEvent, fencedEvent,
        submittedMs, completedMs, outcome, code, connection
      FROM operations`;
    this.#ofLts = database.prepare(`${operations} WHERE lts = ? ORDER BY operationId`);
    this.#one = database.prepare(`${operations} WHERE lts = ? AND operationId = ?`);
    // What is in doubt may be applied until its fence, if there was one.
    this.#between = database.prepare(`${operations}
      WHERE submittedEvent <= ? AND (
        CASE outcome WHEN 'unknown' THEN coalesce(fencedEvent, 9e99) ELSE coalesce(completedEvent, 9e99) END
      ) >= ? ORDER BY submittedEvent`);
    this.#steps = database.prepare(`
      SELECT lts, kind, words, submittedEvent, completedEvent, submittedMs, completedMs, outcome
      FROM steps ORDER BY id`);
  }

  /** Operations of an lts, as far as they are remembered, by their number. */
  operationsOf(lts: number): readonly StoredOperation[] {
    return this.#ofLts.all(lts).map(operationOf);
  }

  /** The operation at a position, of either sign; absent if it is not remembered. */
  operation(position: number): StoredOperation | undefined {
    const { lts, operationId } = operationAt(position);
    const row = this.#one.get(lts, operationId);
    return row === undefined ? undefined : operationOf(row);
  }

  /**
   * Operations that were under way, or in doubt, at some time between two events, both included; in the order of
   * their submission. Bounds may be infinite.
   */
  between(eventMin: number, eventMax: number): readonly StoredOperation[] {
    return this.#between.all(eventMax, eventMin).map(operationOf);
  }

  /** In the order in which they began. */
  steps(): readonly LoggedStep[] {
    return this.#steps.all().map((row) => ({
      ...row,
      completedEvent: row.completedEvent ?? undefined,
      completedMs: row.completedMs ?? undefined,
      outcome: row.outcome ?? undefined,
    }));
  }

  /** May be repeated. */
  close(): void {
    this.#database.close();
  }
}

function operationOf({ kind, block, blockCount, ...row }: OperationRow): StoredOperation {
  return {
    ...row,
    completedEvent: row.completedEvent ?? undefined,
    fencedEvent: row.fencedEvent ?? undefined,
    completedMs: row.completedMs ?? undefined,
    code: row.code ?? undefined,
    connection: row.connection ?? undefined,
    text: kind === null || block === null || blockCount === null ? undefined : { kind, block, blockCount },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
