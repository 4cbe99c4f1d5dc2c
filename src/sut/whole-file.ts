/**
 * Files that are written as a whole: there is the old one or the new one, whatever happens, and a loss of power is no
 * exception.
 *
 * @packageDocumentation
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** @throws {unknown} What Node throws if it can not be written; the old one stays. */
export function writeWhole(path: string, content: string | Uint8Array): void {
  const unfinished = `${path}.unfinished`;
  try {
    writeFileSync(unfinished, content, { flush: true });
    renameSync(unfinished, path);
    syncDirectory(dirname(resolve(path)));
  } catch (error) {
    removeIfThere(unfinished);
    throw error;
  }
}

/** What was made or renamed in it is still there after the host has lost power. */
export function syncDirectory(directory: string): void {
  const fd = openSync(directory, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Best effort: whoever can not write may not be able to remove either. */
function removeIfThere(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // What is written the next time takes its place.
  }
}
