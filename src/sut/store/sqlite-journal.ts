/**
 * The metadata of a store in a directory: one SQLite database in WAL mode with full synchronisation.
 *
 * The connection holds the database exclusively as long as it is open, which is also what keeps a second
 * process out of the directory; the operating system lets go of it when the process dies, however it dies.
 *
 * @packageDocumentation
 */
import Database from "better-sqlite3";
import type {
  ChunkRow,
  LayerRow,
  MetadataChange,
  MetadataJournal,
  ObjectRows,
  SnapshotRow,
  StoredMetadata,
  VolumeRow,
  ZeroedRow,
} from "./metadata.ts";
import { StoreError } from "./port.ts";

/** "hrwS" in ASCII. */
const applicationId = 0x68727753;
const formatVersion = 1;

const schema = `
  CREATE TABLE layers (id INTEGER PRIMARY KEY, parentId INTEGER, blockSizeBytes INTEGER NOT NULL) STRICT;
  CREATE TABLE volumes (
    uuid TEXT PRIMARY KEY, name TEXT NOT NULL, nsid INTEGER NOT NULL UNIQUE, blockSizeBytes INTEGER NOT NULL,
    blockCount INTEGER NOT NULL, state TEXT NOT NULL, sourceSnapshotUuid TEXT, createdAtMs INTEGER NOT NULL,
    revision INTEGER NOT NULL, layerId INTEGER NOT NULL UNIQUE
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE snapshots (
    uuid TEXT PRIMARY KEY, name TEXT NOT NULL, volumeUuid TEXT NOT NULL, volumeName TEXT NOT NULL,
    blockSizeBytes INTEGER NOT NULL, blockCount INTEGER NOT NULL, state TEXT NOT NULL,
    createdAtMs INTEGER NOT NULL, revision INTEGER NOT NULL, layerId INTEGER NOT NULL UNIQUE,
    sequence INTEGER NOT NULL UNIQUE
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE chunks (
    layerId INTEGER NOT NULL, chunk INTEGER NOT NULL, slot INTEGER, mappedLow INTEGER NOT NULL,
    mappedHigh INTEGER NOT NULL, zeroLow INTEGER NOT NULL, zeroHigh INTEGER NOT NULL,
    PRIMARY KEY (layerId, chunk)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE zeroed (
    layerId INTEGER NOT NULL, first INTEGER NOT NULL, past INTEGER NOT NULL, PRIMARY KEY (layerId, first)
  ) STRICT, WITHOUT ROWID;
`;

export class SqliteJournal implements MetadataJournal {
  readonly #path: string;
  readonly #database: Database.Database;
  readonly #apply: (change: MetadataChange) => void;

  /**
   * Opens the database, creating it if it does not exist.
   *
   * @throws {StoreError} `ERR_NOT_NOW` if another process has it open, `ERR_INVALID` if it is of another
   *   format, `ERR_CORRUPT` if it is damaged.
   */
  constructor(path: string) {
    this.#path = path;
    this.#database = openDatabase(path);
    try {
      this.#apply = prepareApply(this.#database);
    } catch (cause) {
      this.#database.close();
      throw asStoreError(path, cause);
    }
  }

  /** All metadata; `chunks` and `zeroed` are read as they are iterated. */
  load(): StoredMetadata {
    return {
      layers: [...this.#rows<LayerRow>("layers")],
      volumes: [...this.#rows<VolumeRow>("volumes")],
      snapshots: [...this.#rows<SnapshotRow>("snapshots")],
      chunks: this.#rows<ChunkRow>("chunks"),
      zeroed: this.#rows<ZeroedRow>("zeroed"),
    };
  }

  commit(change: MetadataChange): void {
    try {
      this.#apply(change);
    } catch (cause) {
      throw asStoreError(this.#path, cause);
    }
  }

  close(): void {
    this.#database.close();
  }

  *#rows<Row>(table: string): Iterable<Row> {
    try {
      for (const row of this.#database.prepare(`SELECT * FROM ${table}`).iterate())
        yield withoutNulls<Row>(row);
    } catch (cause) {
      throw cause instanceof StoreError ? cause : asStoreError(this.#path, cause);
    }
  }
}

function openDatabase(path: string): Database.Database {
  let database: Database.Database;
  try {
    database = new Database(path, { timeout: 0 });
  } catch (cause) {
    throw asStoreError(path, cause);
  }
  try {
    database.pragma("locking_mode = EXCLUSIVE");
    if (isEmpty(database)) {
      database.pragma("journal_mode = WAL");
      database.pragma("synchronous = FULL");
      database.transaction(() => {
        database.exec(schema);
        database.pragma(`application_id = ${applicationId}`);
        database.pragma(`user_version = ${formatVersion}`);
      })();
      return database;
    }
    checkFormat(database, path);
    database.pragma("journal_mode = WAL");
    database.pragma("synchronous = FULL");
    // A write transaction takes the exclusive lock now rather than at the first commit.
    database.exec("BEGIN IMMEDIATE; COMMIT");
    const findings = database.pragma("quick_check(1)", { simple: true });
    if (findings !== "ok") throw damaged(path, String(findings), undefined);
    return database;
  } catch (cause) {
    database.close();
    throw cause instanceof StoreError ? cause : asStoreError(path, cause);
  }
}

function isEmpty(database: Database.Database): boolean {
  return database.prepare("SELECT count(*) FROM sqlite_master").pluck().get() === 0;
}

function checkFormat(database: Database.Database, path: string): void {
  if (database.pragma("application_id", { simple: true }) !== applicationId) {
    throw new StoreError("ERR_INVALID", `${path}: is a database of another program; use another directory`);
  }
  const version = database.pragma("user_version", { simple: true });
  if (version !== formatVersion) {
    throw new StoreError(
      "ERR_INVALID",
      `${path}: has format version ${version}, and this version of harrow knows ${formatVersion} only; use the ` +
        "version that made it, or another directory",
    );
  }
}

function prepareApply(database: Database.Database): (change: MetadataChange) => void {
  const insert = (table: string, columns: readonly string[]): Database.Statement =>
    database.prepare(
      `INSERT OR REPLACE INTO ${table} (${columns.join(", ")}) VALUES (${columns.map(() => "?").join(", ")})`,
    );
  const insertLayer = insert("layers", ["id", "parentId", "blockSizeBytes"]);
  const insertVolume = insert("volumes", [
    ...["uuid", "name", "nsid", "blockSizeBytes", "blockCount", "state", "sourceSnapshotUuid", "createdAtMs"],
    ...["revision", "layerId"],
  ]);
  const insertSnapshot = insert("snapshots", [
    ...["uuid", "name", "volumeUuid", "volumeName", "blockSizeBytes", "blockCount", "state", "createdAtMs"],
    ...["revision", "layerId", "sequence"],
  ]);
  const insertChunk = insert("chunks", [
    ...["layerId", "chunk", "slot", "mappedLow", "mappedHigh", "zeroLow", "zeroHigh"],
  ]);
  const insertZeroed = insert("zeroed", ["layerId", "first", "past"]);
  const deleteChunk = database.prepare("DELETE FROM chunks WHERE layerId = ? AND chunk = ?");
  const deleteChunks = database.prepare("DELETE FROM chunks WHERE layerId = ?");
  const deleteZeroed = database.prepare("DELETE FROM zeroed WHERE layerId = ?");

  const replaceObjects = (objects: ObjectRows): void => {
    database.exec("DELETE FROM layers; DELETE FROM volumes; DELETE FROM snapshots");
    for (const { id, parentId, blockSizeBytes } of objects.layers) {
      insertLayer.run(id, parentId ?? null, blockSizeBytes);
    }
    for (const row of objects.volumes) {
      const { uuid, name, nsid, blockSizeBytes, blockCount, state, createdAtMs, revision, layerId } = row;
      const source = row.sourceSnapshotUuid ?? null;
      insertVolume.run(
        ...[uuid, name, nsid, blockSizeBytes, blockCount, state, source, createdAtMs, revision, layerId],
      );
    }
    for (const row of objects.snapshots) {
      const { uuid, name, volumeUuid, volumeName, blockSizeBytes, blockCount, state } = row;
      insertSnapshot.run(
        ...[uuid, name, volumeUuid, volumeName, blockSizeBytes, blockCount, state],
        ...[row.createdAtMs, row.revision, row.layerId, row.sequence],
      );
    }
  };

  return database.transaction((change: MetadataChange) => {
    for (const id of change.goneLayerIds) {
      deleteChunks.run(id);
      deleteZeroed.run(id);
    }
    for (const { layerId, chunk } of change.goneChunks) deleteChunk.run(layerId, chunk);
    for (const row of change.chunks) {
      insertChunk.run(
        row.layerId,
        row.chunk,
        row.slot ?? null,
        row.mappedLow,
        row.mappedHigh,
        row.zeroLow,
        row.zeroHigh,
      );
    }
    for (const id of change.zeroedLayerIds) deleteZeroed.run(id);
    for (const { layerId, first, past } of change.zeroed) insertZeroed.run(layerId, first, past);
    if (change.objects !== undefined) replaceObjects(change.objects);
  });
}

function withoutNulls<Row>(row: unknown): Row {
  const values = row as Record<string, unknown>;
  for (const [column, value] of Object.entries(values)) if (value === null) values[column] = undefined;
  return values as Row;
}

function asStoreError(path: string, cause: unknown): StoreError {
  const { code, message } = cause as { readonly code?: string; readonly message: string };
  if (code?.startsWith("SQLITE_BUSY")) {
    return new StoreError(
      "ERR_NOT_NOW",
      `${path}: is in use by another live process or store; stop that one, or use another directory`,
      { cause },
    );
  }
  if (code?.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") return damaged(path, message, cause);
  if (code === "SQLITE_ERROR") return damaged(path, message, cause);
  return new StoreError("ERR_IO", `${path}: ${message}`, { cause });
}

function damaged(path: string, finding: string, cause: unknown): StoreError {
  return new StoreError(
    "ERR_CORRUPT",
    `${path}: the metadata is damaged (${finding}); the volumes in this directory cannot be trusted, use another`,
    { cause },
  );
}
