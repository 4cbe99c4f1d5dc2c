/**
 * What can be wrong with a run's directory, told to people.
 *
 * @packageDocumentation
 */

export type RunStoreErrorCode =
  /** A new run was to be made where something is already. */
  | "ERR_NOT_EMPTY"
  /** No run was ever made there. */
  | "ERR_NOT_A_RUN"
  | "ERR_DAMAGED"
  /** Made by a version of harrow that keeps runs in another format. */
  | "ERR_FORMAT_VERSION"
  | "ERR_FINISHED"
  /** Another process that is alive has the run open, or this one has it open twice. */
  | "ERR_IN_USE"
  /** The disk, or its file system, refused. */
  | "ERR_IO";

export class RunStoreError extends Error {
  override readonly name = "RunStoreError";
  readonly code: RunStoreErrorCode;

  constructor(code: RunStoreErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

export function damaged(path: string, finding: string, cause?: unknown): RunStoreError {
  return new RunStoreError(
    "ERR_DAMAGED",
    `${path}: is damaged (${finding}); the run cannot go on from it, start a new one in another directory`,
    { cause },
  );
}

/** What SQLite or the file system reports, as it concerns a run; a bug of ours stays what it is. */
export function asRunStoreError(path: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof RunStoreError) return cause;
  const { code, message } = cause as Error & { readonly code?: unknown };
  if (typeof code !== "string") return cause;
  if (code.startsWith("SQLITE_BUSY"))
    return new RunStoreError(
      "ERR_IN_USE",
      `${path}: the run is in use by a process that is alive; stop that one first, or start a run of its own`,
      { cause },
    );
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB" || code === "SQLITE_ERROR")
    return damaged(path, message, cause);
  if (code.startsWith("SQLITE_CONSTRAINT")) return cause;
  if (code === "SQLITE_FULL" || code === "ENOSPC")
    return new RunStoreError("ERR_IO", `${path}: ${message}; make room, then resume the run`, { cause });
  if (/^(SQLITE_(IOERR|CANTOPEN|READONLY|PERM|AUTH)|E[A-Z]+$)/.test(code))
    return new RunStoreError("ERR_IO", `${path}: ${message} (${code})`, { cause });
  return cause;
}
