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
  readFileSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { type BlockDevice, ServiceError, type ServiceErrorCode } from "../port.ts";
import { pageAligned } from "./aligned-memory.ts";
import { FileDevice } from "./device.ts";
import { deviceNumber, sysFolder, usesOfBlockDevice, usesOfFile } from "./in-use.ts";
import { SyncIo } from "./sync-io.ts";
import { ThreadIo } from "./thread-io.ts";

export interface BlockDeviceOptions {
  /** A regular file or a block device; symbolic links are followed. */
  readonly path: string;
  /** 512 or 4096, and not less than a device's own logical block. */
  readonly blockSizeBytes: number;
  /**
   * How many bytes are used, from the start; all if absent. A file that does not exist, or is empty, is made this
   * long and sparse; anything else has to be at least as long.
   */
  readonly sizeBytes?: number;
  /** `sync`: on this thread, the least CPU time, one call at a time. `threads`: many in flight, for disks. */
  readonly io: "sync" | "threads";
  /** Bypasses the page cache (O_DIRECT): buffers have to be aligned as pages of WebAssembly memory are. */
  readonly direct?: boolean;
  /**
   * `read`: nothing is made, claimed or changed, and whoever else uses the path is not asked; the operating system
   * refuses every write, and all whole blocks that there are can be read. `write` if absent.
   */
  readonly access?: "read" | "write";
}

/** @throws {ServiceError} If the path cannot be used: what is wrong, and what to do. */
export async function openBlockDevice(options: BlockDeviceOptions): Promise<BlockDevice> {
  const { path, blockSizeBytes, sizeBytes, direct = false, access = "write" } = options;
  const isReadOnly = access === "read";
  if (blockSizeBytes !== 512 && blockSizeBytes !== 4096)
    throw refused(
      "ERR_INVALID_REQUEST",
      path,
      `cannot have blocks of ${blockSizeBytes} bytes: blockSizeBytes is 512 or 4096`,
    );
  if (sizeBytes !== undefined) assertWhole(path, sizeBytes, blockSizeBytes);
  const stats = statSync(path, { throwIfNoEntry: false });
  const isBlock = stats?.isBlockDevice() ?? false;
  assertUsable(path, stats, { sizeBytes, isReadOnly });
  const limits = isBlock
    ? blockLimits(realpathSync(path), stats!, { blockSizeBytes, isReadOnly })
    : fileLimits;
  const flags = (direct ? constants.O_DIRECT : 0) | (isReadOnly ? constants.O_RDONLY : constants.O_RDWR);
  const plain = openPlain(path, flags, { stats, isReadOnly });
  try {
    const name = realpathSync(path);
    if (!isBlock && !isReadOnly && sizeBytes !== undefined && fstatSync(plain).size === 0)
      extend(name, plain, sizeBytes);
    const found = isBlock ? limits.sizeBytes : fstatSync(plain).size;
    const used = isReadOnly
      ? readableBytes(name, found, blockSizeBytes)
      : usedBytes(name, found, sizeBytes, blockSizeBytes);
    if (direct) probeDirect(name, plain, blockSizeBytes);
    // A block device is claimed by the first descriptor; another of the same file needs no claim.
    const durable = openSync(`/proc/self/fd/${plain}`, flags | constants.O_DSYNC);
    const descriptors = { plain, durable };
    return new FileDevice({
      name,
      descriptors,
      io: options.io === "sync" ? new SyncIo(descriptors) : new ThreadIo(descriptors),
      blockSizeBytes,
      blockCount: used / blockSizeBytes,
      bufferAlignment: direct ? limits.bufferAlignment : 1,
      volatileWriteCache: !direct || limits.hasVolatileCache,
    });
  } catch (error) {
    closeSync(plain);
    throw error;
  }
}

interface Limits {
  readonly sizeBytes: number;
  readonly bufferAlignment: number;
  readonly hasVolatileCache: boolean;
}

/** A file's own metadata is cached, whatever is below it; its size is read once it is open. */
const fileLimits: Limits = { sizeBytes: 0, bufferAlignment: 512, hasVolatileCache: true };

/** What the kernel says of a block device; refuses one that is in use, read-only or of longer blocks. */
function blockLimits(
  name: string,
  stats: Stats,
  { blockSizeBytes, isReadOnly }: { readonly blockSizeBytes: number; readonly isReadOnly: boolean },
): Limits {
  const number = deviceNumber(stats.rdev);
  const [use] = isReadOnly ? [] : usesOfBlockDevice(name, number);
  if (use !== undefined) throw inUse(name, use);
  const folder = sysFolder(number);
  if (!isReadOnly && read(join(folder, "ro")) === "1")
    throw refused("ERR_FORBIDDEN", name, "is read-only: harrow writes to what it checks");
  // A partition has no queue of its own.
  const queue = existsQueue(folder) ?? join(folder, "../queue");
  const sectorBytes = Number(read(join(queue, "logical_block_size")));
  if (sectorBytes > blockSizeBytes)
    throw refused(
      "ERR_INVALID_REQUEST",
      name,
      `has logical blocks of ${sectorBytes} bytes: use blockSizeBytes ${sectorBytes}, not ${blockSizeBytes}`,
    );
  return {
    // In units of 512 bytes, whatever the logical block.
    sizeBytes: Number(read(join(folder, "size"))) * 512,
    bufferAlignment: sectorBytes,
    hasVolatileCache: read(join(queue, "write_cache")) !== "write through",
  };
}

function existsQueue(folder: string): string | undefined {
  const queue = join(folder, "queue");
  return statSync(queue, { throwIfNoEntry: false }) === undefined ? undefined : queue;
}

function read(file: string): string {
  return readFileSync(file, "utf8").trim();
}

function assertUsable(
  path: string,
  stats: Stats | undefined,
  { sizeBytes, isReadOnly }: { readonly sizeBytes: number | undefined; readonly isReadOnly: boolean },
): void {
  if (stats === undefined) {
    if (isReadOnly) throw refused("ERR_NOT_FOUND", path, "does not exist");
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
    throw openError(path, cause, isReadOnly ? "reading" : "writing");
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

function openError(path: string, cause: unknown, purpose: "reading" | "writing"): unknown {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const told = (serviceCode: ServiceErrorCode, what: string) => refused(serviceCode, path, what, cause);
  switch (code) {
    case "EACCES":
    case "EPERM":
      return told(
        "ERR_FORBIDDEN",
        `may not be opened for ${purpose}: run as a user who may, or change its mode`,
      );
    case "EROFS":
      return told("ERR_FORBIDDEN", "lies on a read-only file system or device");
    case "EBUSY":
    case "ETXTBSY":
      return told("ERR_BUSY", "is in use by another program, which has claimed it: stop that first");
    case "EEXIST":
      return told(
        "ERR_CONFLICT",
        "was made by somebody else at this moment, or is a link that leads nowhere",
      );
    case "ENOENT":
    case "ENOTDIR":
      return told("ERR_NOT_FOUND", "cannot be made: there is no such folder");
    case "ENXIO":
    case "ENOMEDIUM":
      return told("ERR_NOT_FOUND", "has no device or medium behind it");
    case "EINVAL":
      return told("ERR_UNSUPPORTED", "is on a file system without O_DIRECT: leave out direct");
    default:
      return cause instanceof Error ? told("ERR_TARGET", `cannot be opened: ${cause.message}`) : cause;
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

function inUse(path: string, use: string): ServiceError {
  return refused("ERR_BUSY", path, `${use}: free it first, or name another device`);
}

function refused(code: ServiceErrorCode, path: string, what: string, cause?: unknown): ServiceError {
  return new ServiceError(code, `${path} ${what}`, cause === undefined ? undefined : { cause });
}
