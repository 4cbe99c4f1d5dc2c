/**
 * The file of a run: one SQLite database in WAL mode, its format, and who may open it.
 *
 * The connection holds the database exclusively as long as it is open; the operating system lets go of it when the
 * process dies, however it dies. What the tables hold is read and written by the files that are named for it.
 *
 * @packageDocumentation
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import Database from "better-sqlite3";
import { syncDirectory } from "../sut/whole-file.ts";
import { asRunStoreError, damaged, RunStoreError } from "./run-store-error.ts";

/** "hrwR" in ASCII. */
const applicationId = 0x68727752;
const formatVersion = 1;
const copyTriesMax = 5;

/**
 * - about, progress: one row each; the latter is rewritten at every commit.
 * - times: of operations that are exceptions or open in a snapshot; one row for each object, whoever shares it.
 * - cuts: one row for each object as well; instants and inside are lists of little-endian doubles.
 * - snapshots: isForgotten marks those that are kept for a rollback only.
 */
const schema = `
  CREATE TABLE about (
    version TEXT NOT NULL, configYaml TEXT NOT NULL, seed TEXT NOT NULL, name TEXT NOT NULL, target TEXT NOT NULL,
    startedAt TEXT NOT NULL, finishedAt TEXT, verdict TEXT
  ) STRICT;
  CREATE TABLE progress (
    ltsReserved INTEGER NOT NULL, ltsComplete INTEGER NOT NULL, event INTEGER NOT NULL, commits INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE times (
    id INTEGER PRIMARY KEY, position INTEGER NOT NULL, submitted INTEGER NOT NULL, completed REAL NOT NULL,
    outcome TEXT NOT NULL, lostAt REAL NOT NULL, hasOverlap INTEGER NOT NULL, isException INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX exceptions ON times (position) WHERE isException = 1;
  CREATE INDEX unexceptional ON times (id) WHERE isException = 0;
  CREATE TABLE decisions (
    position INTEGER NOT NULL, block INTEGER NOT NULL, happened INTEGER NOT NULL, PRIMARY KEY (position, block)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE cuts (id INTEGER PRIMARY KEY, instants BLOB NOT NULL) STRICT;
  CREATE TABLE snapshots (
    id INTEGER PRIMARY KEY, volume INTEGER NOT NULL, snapshot INTEGER NOT NULL, name TEXT NOT NULL,
    lts INTEGER NOT NULL, submittedEvent INTEGER NOT NULL, completedEvent INTEGER NOT NULL,
    ltsBefore INTEGER NOT NULL, ltsMax INTEGER NOT NULL, branch INTEGER NOT NULL, inside BLOB NOT NULL,
    cutId INTEGER NOT NULL, isForgotten INTEGER NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX remembered ON snapshots (volume, snapshot) WHERE isForgotten = 0;
  CREATE TABLE snapshotOpen (
    snapshotId INTEGER NOT NULL, timesId INTEGER NOT NULL, PRIMARY KEY (snapshotId, timesId)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE snapshotShown (
    snapshotId INTEGER NOT NULL, block INTEGER NOT NULL, state REAL NOT NULL, PRIMARY KEY (snapshotId, block)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE rollbacks (
    id INTEGER PRIMARY KEY, volume INTEGER NOT NULL, afterLts INTEGER NOT NULL, snapshotId INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE documents (name TEXT PRIMARY KEY, json TEXT NOT NULL) STRICT, WITHOUT ROWID;
`;

/** An open database, and its path for messages. */
export interface RunDatabase {
  readonly path: string;
  readonly database: Database.Database;
}

/**
 * Makes a directory, and in it a database in which `fill` puts the first rows; all of it or nothing counts.
 *
 * @throws {RunStoreError} `ERR_NOT_EMPTY` if the directory holds anything, `ERR_IO`.
 */
export function createRunDatabase(
  directory: string,
  fill: (database: Database.Database) => void,
): RunDatabase {
  const path = pathIn(directory);
  try {
    claimDirectory(directory, path);
    return connected(path, (database) => {
      database.pragma("journal_mode = WAL");
      database.pragma("synchronous = FULL");
      database.transaction(() => {
        database.exec(schema);
        database.pragma(`application_id = ${applicationId}`);
        database.pragma(`user_version = ${formatVersion}`);
        fill(database);
      })();
      syncDirectory(directory);
      syncDirectory(dirname(resolve(directory)));
    });
  } catch (cause) {
    throw asRunStoreError(path, cause);
  }
}

/**
 * Opens what {@link createRunDatabase} made.
 *
 * @throws {RunStoreError} `ERR_NOT_A_RUN`, `ERR_DAMAGED`, `ERR_FORMAT_VERSION`, `ERR_IN_USE` or `ERR_IO`.
 */
export function openRunDatabase(directory: string): RunDatabase {
  const path = pathIn(directory);
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) throw notARun(directory);
    return connected(path, (database) => {
      checkFormat(database, directory, path);
      database.pragma("journal_mode = WAL");
      // A write transaction takes the exclusive lock now rather than at the first commit.
      database.exec("BEGIN IMMEDIATE; COMMIT");
      expectWhole(database, path);
    });
  } catch (cause) {
    throw asOpeningError(directory, path, cause);
  }
}

/**
 * Reads what {@link createRunDatabase} made, also while another process has it open, or after the run has finished:
 * from a copy, so that the run is neither held nor changed.
 *
 * @throws {RunStoreError} `ERR_NOT_A_RUN`, `ERR_DAMAGED`, `ERR_FORMAT_VERSION` or `ERR_IO`.
 */
export function readRunDatabase<Value>(directory: string, read: (run: RunDatabase) => Value): Value {
  const path = pathIn(directory);
  const copies = directoryForCopies();
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) throw notARun(directory);
    const copy = pathIn(copies);
    copyConsistently(path, copy);
    const { database } = connected(copy, (opened) => {
      checkFormat(opened, directory, path);
      expectWhole(opened, path);
    });
    try {
      return read({ path, database });
    } finally {
      database.close();
    }
  } catch (cause) {
    throw asOpeningError(directory, path, cause);
  } finally {
    rmSync(copies, { recursive: true, force: true });
  }
}

/** @throws {RunStoreError} `ERR_IO`. */
function directoryForCopies(): string {
  try {
    return mkdtempSync(join(tmpdir(), "harrow-run-"));
  } catch (cause) {
    throw asRunStoreError(tmpdir(), cause);
  }
}

/** What was written to the log after the copy of the database is no harm; a log that was begun anew is. */
function copyConsistently(path: string, copy: string): void {
  for (let tries = 1; ; tries++) {
    const before = logSaltOf(path);
    copyFileSync(path, copy);
    rmSync(logOf(copy), { force: true });
    if (existsSync(logOf(path))) copyFileSync(logOf(path), logOf(copy));
    if (logSaltOf(copy) === before || tries === copyTriesMax) return;
  }
}

function logOf(path: string): string {
  return `${path}-wal`;
}

/** The part of the log's header that changes when it is begun anew; empty if there is no log. */
function logSaltOf(path: string): string {
  if (!existsSync(logOf(path))) return "";
  const header = Buffer.alloc(32);
  const fd = openSync(logOf(path), "r");
  try {
    return header.subarray(0, readSync(fd, header)).toString("hex", 16, 24);
  } finally {
    closeSync(fd);
  }
}

function expectWhole(database: Database.Database, path: string): void {
  const finding = database.pragma("quick_check(1)", { simple: true });
  if (finding !== "ok") throw damaged(path, String(finding));
}

function asOpeningError(directory: string, path: string, cause: unknown): unknown {
  const isNoDirectory = (cause as { readonly code?: string }).code === "ENOTDIR";
  return isNoDirectory ? notARun(directory) : asRunStoreError(path, cause);
}

function pathIn(directory: string): string {
  return join(directory, "run.sqlite");
}

/** Makes the directory, if need be, and in it the empty file, so that of two processes one comes first. */
function claimDirectory(directory: string, path: string): void {
  const notEmpty = (what: string, cause?: unknown): RunStoreError =>
    new RunStoreError(
      "ERR_NOT_EMPTY",
      `${directory}: ${what}; a new run needs a directory that is new or empty, so name another`,
      { cause },
    );
  try {
    makeDirectory(resolve(directory));
    const [first] = readdirSync(directory);
    if (first !== undefined) throw notEmpty(first === "run.sqlite" ? "holds a run" : `holds ${first}`);
    closeSync(openSync(path, "wx"));
  } catch (cause) {
    const { code } = cause as { readonly code?: string };
    if (code === "EEXIST" || code === "ENOTDIR")
      throw notEmpty("is there, and is not an empty directory", cause);
    throw cause;
  }
}

function connected(path: string, prepare: (database: Database.Database) => void): RunDatabase {
  const database = new Database(path, { fileMustExist: true, timeout: 0 });
  try {
    database.pragma("locking_mode = EXCLUSIVE");
    prepare(database);
    // A process that is killed loses nothing that was committed; see RunStore.commitDurably for a host that is.
    database.pragma("synchronous = NORMAL");
    return { path, database };
  } catch (cause) {
    database.close();
    throw cause;
  }
}

function checkFormat(database: Database.Database, directory: string, path: string): void {
  if (database.prepare("SELECT count(*) FROM sqlite_master").pluck().get() === 0)
    throw new RunStoreError(
      "ERR_NOT_A_RUN",
      `${path}: is empty, as the run ended before it began; delete the directory ${directory}, and start anew`,
    );
  if (database.pragma("application_id", { simple: true }) !== applicationId) throw notARun(directory);
  const version = database.pragma("user_version", { simple: true });
  if (version === formatVersion) return;
  throw new RunStoreError(
    "ERR_FORMAT_VERSION",
    `${path}: has format version ${version}, and this version of harrow knows ${formatVersion} only; resume the ` +
      "run with the version that made it, or start a new one",
  );
}

function notARun(directory: string): RunStoreError {
  return new RunStoreError(
    "ERR_NOT_A_RUN",
    `${directory}: is not the directory of a run (it has no run.sqlite that harrow made); name one that a run was ` +
      "started with",
  );
}

/** Makes a directory and those above it. Node's own way never returns where the kernel makes no directories (/proc). */
function makeDirectory(directory: string): void {
  if (existsSync(directory)) return;
  makeDirectory(dirname(directory));
  mkdirSync(directory);
}
