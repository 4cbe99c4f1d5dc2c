/**
 * The disks of a guest: sparse files in its run directory, kept from one start to the next.
 *
 * @packageDocumentation
 */

import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import { ServiceError } from "../port.ts";
import { diskName, type GuestDisk } from "./qemu-arguments.ts";

const mibMax = 2 ** 20;

/**
 * Makes the files that are not there yet.
 *
 * @throws {ServiceError} `ERR_INVALID_REQUEST` if a disk cannot be had, or is there with another size.
 */
export async function provideDisks(directory: string, disks: readonly GuestDisk[]): Promise<void> {
  for (const disk of disks) {
    const { serial, mib } = disk;
    if (!/^[a-z0-9-]{1,20}$/.test(serial))
      throw invalid(`serial '${serial}' of a disk: expected 1 to 20 of a-z, 0-9 and "-"`);
    if (!Number.isInteger(mib) || mib < 1 || mib > mibMax)
      throw invalid(`size of disk '${serial}': expected 1 to ${mibMax} MiB, got ${mib}`);
    if (disks.some((other) => other !== disk && other.serial === serial))
      throw invalid(`two disks have the serial '${serial}'`);
    await provideDisk(join(directory, diskName(disk)), mib * 2 ** 20);
  }
}

async function provideDisk(path: string, sizeBytes: number): Promise<void> {
  try {
    await using handle = await open(path, "wx", 0o600);
    await handle.truncate(sizeBytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    const { size } = await stat(path);
    if (size !== sizeBytes)
      throw invalid(
        `${path} has ${size} bytes, not the ${sizeBytes} that were asked for: remove it, or ask for its size`,
      );
  }
}

function invalid(message: string): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message);
}
