/**
 * Lets one process at a time work in a directory.
 *
 * The lock is one of the operating system's, on a small SQLite file: it is let go of when the process ends, in
 * whatever way, so that none is ever left behind.
 *
 * @packageDocumentation
 */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { ServiceError } from "../port.ts";

const pollMs = 200;

/**
 * Waits until no other process holds the directory, and holds it until disposed of.
 *
 * @param onWait - Told once, if it has to wait.
 * @throws {ServiceError} `ERR_ABORTED`.
 */
export async function lockDirectory(
  directory: string,
  options: { readonly signal?: AbortSignal | undefined; readonly onWait: () => void },
): Promise<Disposable> {
  const { signal, onWait } = options;
  const database = new Database(join(directory, "lock.sqlite"), { timeout: 0 });
  let isWaiting = false;
  try {
    for (;;) {
      if (signal?.aborted)
        throw new ServiceError("ERR_ABORTED", `interrupted while waiting for ${directory}`);
      try {
        database.exec("BEGIN EXCLUSIVE");
        return { [Symbol.dispose]: () => void database.close() };
      } catch (error) {
        if (!isBusy(error)) throw error;
      }
      if (!isWaiting) onWait();
      isWaiting = true;
      await sleep(pollMs);
    }
  } catch (error) {
    database.close();
    throw error;
  }
}

const isBusy = (error: unknown): boolean =>
  error instanceof Database.SqliteError && error.code.startsWith("SQLITE_BUSY");
