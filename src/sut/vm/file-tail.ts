/**
 * The end of a file that somebody else writes.
 *
 * @packageDocumentation
 */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";

/** At most the last `bytesMax` bytes, as text; nothing if there is no such file. */
export function fileTail(path: string, bytesMax: number): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch {
    return "";
  }
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, bytesMax));
    const byteCount = readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString("utf8", 0, byteCount);
  } finally {
    closeSync(descriptor);
  }
}
