/**
 * What the kernel says of a block device: its size, its blocks and its commands (`/sys/block/<disk>/queue`).
 *
 * Of the limits only those are here that something depends on; the kernel splits what is too long for a device.
 *
 * @packageDocumentation
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

export interface DiskLimits {
  /** Logical blocks, to which O_DIRECT aligns positions, lengths and buffers. */
  readonly sectorBytes: number;
  readonly isReadOnly: boolean;
  /** Zones that can only be written in order: `host-managed` or `host-aware`, else `none`. */
  readonly zoned: string;
  readonly hasVolatileCache: boolean;
  readonly discards: boolean;
  /** Has a Write Zeroes command. */
  readonly writesZeroes: boolean;
}

/** @param folder - Of the disk or partition in `/sys`. */
export function diskLimits(folder: string): DiskLimits {
  // A partition has no queue of its own.
  const own = join(folder, "queue");
  const queue = statSync(own, { throwIfNoEntry: false }) === undefined ? join(folder, "../queue") : own;
  return {
    sectorBytes: Number(attribute(queue, "logical_block_size")),
    isReadOnly: attribute(folder, "ro") === "1",
    zoned: attribute(queue, "zoned") ?? "none",
    hasVolatileCache: attribute(queue, "write_cache") !== "write through",
    discards: Number(attribute(queue, "discard_max_bytes") ?? 0) > 0,
    writesZeroes: Number(attribute(queue, "write_zeroes_max_bytes") ?? 0) > 0,
  };
}

/** Size now, which may change; 0 if the device is gone. */
export function diskBytes(folder: string): number {
  // In units of 512 bytes, whatever the logical block.
  return Number(attribute(folder, "size") ?? 0) * 512;
}

/** Content of a file of `/sys` on one line without control characters; absent if there is none or it is empty. */
export function attribute(folder: string, name: string): string | undefined {
  try {
    const text = readFileSync(join(folder, name), "utf8");
    return (
      text
        .replaceAll(/\p{Cc}+/gu, " ")
        .trim()
        .slice(0, 4096) || undefined
    );
  } catch {
    return undefined;
  }
}
