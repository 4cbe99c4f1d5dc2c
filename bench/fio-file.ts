/**
 * The file that both sides of the fio bench write to, and what one side says to the other.
 *
 * @packageDocumentation
 */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";

export const blockBytes = 4096;

/** What harrow's side is asked for. */
export interface SideRequest {
  /** A whole run with its model and ledger, or what it costs at the very least. */
  readonly what: "run" | "kernels";
  readonly path: string;
  readonly fileBytes: number;
  readonly io: "sync" | "threads";
  readonly direct: boolean;
  /** Writes in flight. */
  readonly depth: number;
}

export interface SideResult {
  readonly bytesWritten: number;
  /** Bytes that were read back and are what was written there, before anything replaced them. */
  readonly bytesProven: number;
  /** User and system time. */
  readonly cpuSeconds: number;
}

/**
 * Writes zeros rather than making a hole: both sides overwrite what is allocated.
 *
 * In small pieces, into a file without cached pages: long writes leave folios of megabytes in the page cache, in
 * which ext4 searches every small write's place from the start. That took three fifths of either side's CPU time.
 */
export function zeroFile(path: string, fileBytes: number): void {
  const zeros = Buffer.alloc(blockBytes);
  const descriptor = openSync(path, "w");
  try {
    for (let at = 0; at < fileBytes; at += zeros.length) writeSync(descriptor, zeros, 0, zeros.length, at);
    fdatasyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** CPU time of this process since a moment, in seconds. */
export function cpuSecondsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1e6;
}
