/**
 * What a run is and how far it is, in its database: with what was decided, and the documents of its parts.
 *
 * @packageDocumentation
 */
import type Database from "better-sqlite3";
import type { TrackerState } from "../model/tracker.ts";
import type { RunDatabase } from "./run-store-database.ts";
import { damaged } from "./run-store-error.ts";

/** What a run is, from its start to its end. */
export interface RunAbout {
  /** Of harrow. */
  readonly version: string;
  /** The resolved configuration. */
  readonly configYaml: string;
  readonly seed: string;
  readonly name: string;
  /** What the run has to find again on the target; JSON. */
  readonly target: unknown;
  /** ISO 8601. */
  readonly startedAt: string;
}

/** How a run ended. */
export interface RunEnd {
  readonly verdict: string;
  /** ISO 8601. */
  readonly finishedAt: string;
}

export interface Progress {
  ltsReserved: number;
  ltsComplete: number;
  /** Above every event that may have been given out. */
  event: number;
}

/** A decision to be written; taken back if `happened` is absent. */
export interface DecisionChange {
  readonly position: number;
  readonly block: number;
  readonly happened: boolean | undefined;
}

interface AboutRow {
  readonly version: string;
  readonly configYaml: string;
  readonly seed: string;
  readonly name: string;
  readonly target: string;
  readonly startedAt: string;
  readonly finishedAt: string | null;
  readonly verdict: string | null;
}

export class StoredProgress {
  readonly #path: string;
  readonly #statements: ReturnType<typeof prepared>;

  constructor({ path, database }: RunDatabase) {
    this.#path = path;
    this.#statements = prepared(database);
  }

  /** The first rows of a new database. */
  static begin(database: Database.Database, about: RunAbout): void {
    const { version, configYaml, seed, name, target, startedAt } = about;
    database
      .prepare(
        "INSERT INTO about (version, configYaml, seed, name, target, startedAt) VALUES (?, ?, ?, ?, ?, ?)",
      )
      .run(version, configYaml, seed, name, JSON.stringify(target), startedAt);
    database.exec("INSERT INTO progress (ltsReserved, ltsComplete, event, commits) VALUES (-1, -1, 0, 0)");
  }

  about(): { readonly about: RunAbout; readonly end: RunEnd | undefined } {
    const row = this.#statements.readAbout.get();
    if (row === undefined) throw damaged(this.#path, "it does not say which run it is of");
    const { finishedAt, verdict, target, ...rest } = row;
    return {
      about: { ...rest, target: this.#parsed("target", target) },
      end: finishedAt === null ? undefined : { finishedAt, verdict: verdict ?? "unknown" },
    };
  }

  progress(): Progress {
    const row = this.#statements.readProgress.get();
    if (row === undefined) throw damaged(this.#path, "it does not say how far the run was");
    return row;
  }

  decisions(): TrackerState["decisions"] {
    return this.#statements.readDecisions.all().map((row) => ({ ...row, happened: row.happened === 1 }));
  }

  documents(): ReadonlyMap<string, unknown> {
    return new Map(
      this.#statements.readDocuments.all().map(([name, json]) => [name, this.#parsed(name, json)]),
    );
  }

  document(name: string): unknown {
    const json = this.#statements.readDocument.get(name);
    return json === undefined ? undefined : this.#parsed(name, json);
  }

  writeProgress({ ltsReserved, ltsComplete, event }: Progress): void {
    this.#statements.writeProgress.run(ltsReserved, ltsComplete, event);
  }

  writeDecision({ position, block, happened }: DecisionChange): void {
    if (happened === undefined) this.#statements.deleteDecision.run(position, block);
    else this.#statements.writeDecision.run(position, block, happened ? 1 : 0);
  }

  /** @param json - Absent to delete it. */
  writeDocument(name: string, json: string | undefined): void {
    if (json === undefined) this.#statements.deleteDocument.run(name);
    else this.#statements.writeDocument.run(name, json);
  }

  writeEnd({ finishedAt, verdict }: RunEnd): void {
    this.#statements.writeEnd.run(finishedAt, verdict);
  }

  #parsed(name: string, json: string): unknown {
    try {
      return JSON.parse(json);
    } catch (cause) {
      throw damaged(this.#path, `document ${name} is no JSON`, cause);
    }
  }
}

function prepared(database: Database.Database) {
  return {
    readAbout: database.prepare<[], AboutRow>("SELECT * FROM about"),
    readProgress: database.prepare<[], Progress>("SELECT ltsReserved, ltsComplete, event FROM progress"),
    readDecisions: database.prepare<[], { position: number; block: number; happened: number }>(
      "SELECT position, block, happened FROM decisions",
    ),
    readDocuments: database
      .prepare<[], [name: string, json: string]>("SELECT name, json FROM documents")
      .raw(),
    readDocument: database.prepare<[string], string>("SELECT json FROM documents WHERE name = ?").pluck(),
    // Every commit changes something: SQLite synchronises nothing for one that does not.
    writeProgress: database.prepare(
      "UPDATE progress SET ltsReserved = ?, ltsComplete = ?, event = ?, commits = commits + 1",
    ),
    writeDecision: database.prepare(
      "INSERT OR REPLACE INTO decisions (position, block, happened) VALUES (?, ?, ?)",
    ),
    deleteDecision: database.prepare("DELETE FROM decisions WHERE position = ? AND block = ?"),
    writeDocument: database.prepare("INSERT OR REPLACE INTO documents (name, json) VALUES (?, ?)"),
    deleteDocument: database.prepare("DELETE FROM documents WHERE name = ?"),
    writeEnd: database.prepare("UPDATE about SET finishedAt = ?, verdict = ?"),
  };
}
