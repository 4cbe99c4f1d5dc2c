/**
 * Opens a file or Linux block device as a block device: no wire, no control plane, no snapshots.
 *
 * Everything that can be wrong with a path is said here, before anything is written. What the device holds is
 * not looked at: whether it may be overwritten is the caller's business.
 *
 * @packageDocumentation
 */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { pageAligned } from "./aligned-memory.ts";
import { FileDevice } from "./device.ts";
import { DirectIo } from "./direct-io.ts";
import { type DiskIdentity, diskIdentity, fileId } from "./disk-identity.ts";
import { type DiskLimits, diskBytes, diskLimits } from "./disk-limits.ts";
import { deviceNumber, openerOf, sysFolder, usesOfBlockDevice, usesOfFile } from "./in-use.ts";
import { assertPrograms, RangeCommands } from "./range-commands.ts";
import { inUse, openError, refused } from "./refusal.ts";
import { SyncIo } from "./sync-io.ts";
import { ThreadIo } from "./thread-io.ts";
import { type ZeroesBy, Zeroing } from "./zeroing.ts";

export interface BlockDeviceOptions {
  /** A regular file or a block device; symbolic links are followed. */
  readonly path: string;
  /** 512 or 4096, and not less than a device's own logical block. */
  readonly blockSizeBytes: number;
  /**
   * How many bytes are used, from the start. A file that does not exist, or is empty, is made this long and sparse;
   * anything else has to be at least as long. If absent, all of it is used, and a block device's size followed.
   */
  readonly sizeBytes?: number;
  /** `sync`: on this thread, the least CPU time, one call at a time. `threads`: many in flight, for disks. */
  readonly io: "sync" | "threads";
  /** Bypasses the page cache (O_DIRECT): for buffers in WebAssembly memory; others are copied where a device wants them aligned. */
  readonly direct?: boolean;
  /** See {@link ZeroesBy}; `device` for a block device and `writes` for a file if absent. */
  readonly zeroesBy?: ZeroesBy;
  /**
   * `read`: nothing is made, claimed or changed, and whoever else uses the path is not asked; the operating system
   * refuses every write, and all whole blocks that there are can be read. `write` if absent.
   */
  readonly access?: "read" | "write";
  /** It was opened before: no file is made, and what has another `lastingId` than then, if that is known, refused. */
  readonly again?: { readonly lastingId: string | undefined };
}

/** @throws {ServiceError} If the path cannot be used: what is wrong, and what to do. */
export async function openBlockDevice(options: BlockDeviceOptions): Promise<FileDevice> {
  const { path, blockSizeBytes, sizeBytes, direct = false, access = "write", again } = options;
  const isReadOnly = access === "read";
  if (blockSizeBytes !== 512 && blockSizeBytes !== 4096)
    throw refused(
      "ERR_INVALID_REQUEST",
      path,
      `cannot have blocks of ${blockSizeBytes} bytes: blockSizeBytes is 512 or 4096`,
    );
  if (sizeBytes !== undefined) assertWhole(path, sizeBytes, blockSizeBytes);
  const stats = statSync(path, { throwIfNoEntry: false });
  assertUsable(path, stats, { ...options, isReadOnly });
  const disk = stats?.isBlockDevice() === true ? lookedUp(realpathSync(path), stats) : undefined;
  if (disk !== undefined) assertUsableDisk(disk, { blockSizeBytes, isReadOnly });
  if (again !== undefined)
    assertSame(
      disk === undefined ? path : nameOf(disk),
      disk?.identity.lastingId ?? lastingIdOf(path),
      again.lastingId,
    );
  const zeroesBy = options.zeroesBy ?? (disk === undefined ? "writes" : "device");
  if (!isReadOnly && zeroesBy === "device") assertPrograms(programsFor(disk), path);
  const flags = (direct ? constants.O_DIRECT : 0) | (isReadOnly ? constants.O_RDONLY : constants.O_RDWR);
  const plain = openPlain(path, flags, { stats, isReadOnly });
  try {
    const name = realpathSync(path);
    const { rdev, size } = fstatSync(plain);
    if (disk !== undefined && rdev !== stats?.rdev)
      throw refused("ERR_CONFLICT", path, "led to another device at this moment: try again");
    if (disk === undefined && !isReadOnly && sizeBytes !== undefined && size === 0 && again === undefined)
      extend(name, plain, sizeBytes);
    const foundBytes = () => (disk === undefined ? fstatSync(plain).size : diskBytes(disk.folder));
    const used = isReadOnly
      ? readableBytes(name, foundBytes(), blockSizeBytes)
      : usedBytes(name, foundBytes(), sizeBytes, blockSizeBytes);
    if (direct) probeDirect(name, plain, blockSizeBytes);
    // A block device is claimed by the first descriptor; another of the same file needs no claim.
    const durable = openSync(`/proc/self/fd/${plain}`, flags | constants.O_DSYNC);
    const descriptors = { plain, durable };
    const straight = options.io === "sync" ? new SyncIo(descriptors) : new ThreadIo(descriptors);
    const io = direct ? new DirectIo(straight) : straight;
    const commands = new RangeCommands(plain);
    const isBlockDevice = disk !== undefined;
    const isDiscarded = isBlockDevice && zeroesBy === "device";
    return new FileDevice({
      ...{ path: name, descriptors, io, commands, blockSizeBytes },
      identity: {
        name: disk === undefined ? name : nameOf(disk),
        uuid: disk?.identity.uuid,
        nsid: disk?.identity.nsid,
      },
      lastingId: disk?.identity.lastingId ?? lastingIdOf(name),
      zeroing: new Zeroing({
        ...{ zeroesBy, io, commands, isBlockDevice, descriptor: plain, isDirect: direct },
        writesZeroes: disk?.limits.writesZeroes ?? true,
      }),
      blockCount:
        isBlockDevice && sizeBytes === undefined
          ? () => Math.floor(foundBytes() / blockSizeBytes)
          : () => used / blockSizeBytes,
      // A file's own metadata is cached, whatever is below it.
      bufferAlignment: direct ? (disk?.limits.sectorBytes ?? 512) : 1,
      isCached: !direct,
      volatileWriteCache: !direct || (disk?.limits.hasVolatileCache ?? true),
      deallocate: !isDiscarded || disk.limits.discards,
      deallocatedReads: isDiscarded ? "unreported" : "zeros",
    });
  } catch (error) {
    closeSync(plain);
    throw error;
  }
}

interface Disk {
  readonly name: string;
  readonly number: ReturnType<typeof deviceNumber>;
  /** Of `/sys`. */
  readonly folder: string;
  readonly limits: DiskLimits;
  readonly identity: DiskIdentity;
}

/** For people, who shall see which disk it is: "/dev/sdb (Samsung SSD 980, serial S64, 931.5 GiB)". */
function nameOf({ name, identity }: Disk): string {
  return `${name} (${identity.words})`;
}

function lookedUp(name: string, { rdev }: Stats): Disk {
  const number = deviceNumber(rdev);
  try {
    const folder = sysFolder(number);
    return { name, number, folder, limits: diskLimits(folder), identity: diskIdentity(folder) };
  } catch (cause) {
    throw refused("ERR_NOT_FOUND", name, `has no device behind it, or /sys is not mounted`, cause);
  }
}

/** Refuses a device that is in use, read-only, zoned, or of longer blocks. */
function assertUsableDisk(
  { name, number, folder, limits }: Disk,
  {
    blockSizeBytes,
    isReadOnly,
  }: Pick<BlockDeviceOptions, "blockSizeBytes"> & { readonly isReadOnly: boolean },
): void {
  const { sectorBytes, zoned } = limits;
  if (diskBytes(folder) === 0)
    throw refused("ERR_NOT_FOUND", name, "has no medium, or nothing attached to it");
  const [use] = isReadOnly ? [] : usesOfBlockDevice(name, number);
  if (use !== undefined) throw inUse(name, use);
  if (!isReadOnly && limits.isReadOnly)
    throw refused("ERR_FORBIDDEN", name, "is read-only: harrow writes to what it checks");
  if (!isReadOnly && zoned !== "none")
    throw refused(
      "ERR_UNSUPPORTED",
      name,
      `is a zoned device (${zoned}), whose blocks are not written in any order: name another device`,
    );
  if (sectorBytes > blockSizeBytes)
    throw refused(
      "ERR_INVALID_REQUEST",
      name,
      `has logical blocks of ${sectorBytes} bytes: use blockSizeBytes ${sectorBytes}, not ${blockSizeBytes}`,
    );
}

function programsFor(disk: Disk | undefined): readonly ("fallocate" | "blkdiscard")[] {
  if (disk === undefined) return ["fallocate"];
  const { discards, writesZeroes } = disk.limits;
  return [...(discards ? (["blkdiscard"] as const) : []), ...(writesZeroes ? (["fallocate"] as const) : [])];
}

function lastingIdOf(path: string): string {
  return fileId(statSync(path, { bigint: true }));
}

function assertSame(path: string, found: string, wanted: string | undefined): void {
  if (wanted === undefined || found === wanted) return;
  throw refused(
    "ERR_CONFLICT",
    path,
    `is not what it was when the run began (now ${found}, then ${wanted}): name the path at which that is, or begin another run`,
  );
}

function assertUsable(
  path: string,
  stats: Stats | undefined,
  {
    sizeBytes,
    isReadOnly,
    again,
  }: Pick<BlockDeviceOptions, "sizeBytes" | "again"> & { readonly isReadOnly: boolean },
): void {
  if (stats === undefined) {
    if (isReadOnly) throw refused("ERR_NOT_FOUND", path, "does not exist");
    if (again !== undefined)
      throw refused("ERR_NOT_FOUND", path, "does not exist, and did when the run began: bring it back");
    if (sizeBytes === undefined)
      throw refused("ERR_NOT_FOUND", path, "does not exist: give sizeBytes to have a sparse file made");
    return;
  }
  if (stats.isDirectory())
    throw refused("ERR_INVALID_REQUEST", path, "is a directory: name a file in it, or a block device");
  if (stats.isBlockDevice()) return;
  if (!stats.isFile())
    throw refused("ERR_INVALID_REQUEST", path, "is neither a regular file nor a block device");
  const [use] = isReadOnly ? [] : usesOfFile(realpathSync(path));
  if (use !== undefined) throw inUse(path, use);
}

/** To be written, a block device is opened exclusively, a new file only if nobody else made it meanwhile. */
function openPlain(
  path: string,
  flags: number,
  { stats, isReadOnly }: { readonly stats: Stats | undefined; readonly isReadOnly: boolean },
): number {
  const { O_CREAT, O_EXCL } = constants;
  const mode = 0o600;
  try {
    if (isReadOnly) return openSync(path, flags);
    if (stats === undefined) return openSync(path, flags | O_CREAT | O_EXCL, mode);
    return openSync(path, stats.isBlockDevice() ? flags | O_EXCL : flags);
  } catch (cause) {
    throw openError(path, cause, {
      purpose: isReadOnly ? "reading" : "writing",
      opener: () => openerOf(realpathSync(path)),
    });
  }
}

function extend(name: string, descriptor: number, sizeBytes: number): void {
  try {
    ftruncateSync(descriptor, sizeBytes);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw refused("ERR_INVALID_REQUEST", name, `cannot be made ${sizeBytes} bytes long: ${why}`, cause);
  }
}

/** Reads a block as runs will: the alignment that O_DIRECT wants is only known to the kernel. */
function probeDirect(name: string, descriptor: number, blockSizeBytes: number): void {
  try {
    readSync(descriptor, pageAligned(blockSizeBytes), 0, blockSizeBytes, 0);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const advice = `cannot be read with O_DIRECT in blocks of ${blockSizeBytes} bytes (${why}): use longer blocks, or leave out direct`;
    throw refused("ERR_UNSUPPORTED", name, advice, cause);
  }
}

function usedBytes(name: string, found: number, wanted: number | undefined, blockSizeBytes: number): number {
  if (wanted !== undefined) {
    if (found < wanted)
      throw refused("ERR_INVALID_REQUEST", name, `has ${found} bytes, sizeBytes asks for ${wanted}`);
    return wanted;
  }
  if (found === 0) throw refused("ERR_INVALID_REQUEST", name, "is empty: give sizeBytes to have it extended");
  assertWhole(name, found, blockSizeBytes);
  return found;
}

function readableBytes(name: string, found: number, blockSizeBytes: number): number {
  if (found < blockSizeBytes)
    throw refused("ERR_INVALID_REQUEST", name, `has ${found} bytes, which is less than a block`);
  return found - (found % blockSizeBytes);
}

function assertWhole(path: string, sizeBytes: number, blockSizeBytes: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0 && sizeBytes % blockSizeBytes === 0) return;
  throw refused(
    "ERR_INVALID_REQUEST",
    path,
    `${sizeBytes} bytes are no whole number of blocks of ${blockSizeBytes} bytes: give a sizeBytes that is`,
  );
}
