/**
 * How blocks are made zeros or given back: by the device's or file system's own commands, or by writing zeros.
 *
 * A command costs a process, 2 ms and more. It is worth that where it is the device's own command that is to be
 * tested. Where zeros are all that is wanted, only long ranges are unmapped, and the rest is written.
 *
 * @packageDocumentation
 */
import { fdatasync } from "node:fs";
import type { ByteRange, DescriptorIo, IoResult } from "./descriptor-io.ts";
import { failureOf, type IoFailure } from "./errno.ts";
import type { RangeCommand, RangeCommands } from "./range-commands.ts";

/**
 * - `device`: each by a command: write zeroes as such, deallocate as a discard on a block device and as a hole in
 *   a file. Zeros are written only where the device or file system has no such command.
 * - `writes`: zeros are written, and ranges of 4 MiB and more unmapped where that can be; deallocating is the same.
 */
export type ZeroesBy = "device" | "writes";

/** From here on a hole is as cheap as writing zeros to the page cache. */
const holeBytesMin = 4 * 2 ** 20;
/** How often a command is tried whose range had dirty pages. */
const busyTriesMax = 8;

type Signal = AbortSignal | undefined;

export interface ZeroingOptions {
  readonly zeroesBy: ZeroesBy;
  readonly io: DescriptorIo;
  readonly commands: RangeCommands;
  /** For syncing. */
  readonly descriptor: number;
  readonly isBlockDevice: boolean;
  readonly isDirect: boolean;
  /** The device has a Write Zeroes command; without one the kernel would write the zeros, and we do. */
  readonly writesZeroes: boolean;
}

export class Zeroing {
  readonly #options: ZeroingOptions;
  /** Commands that the device or file system turned out not to have. */
  readonly #missing = new Set<RangeCommand>();
  #runningCount = 0;
  readonly #onIdle: (() => void)[] = [];

  constructor(options: ZeroingOptions) {
    this.#options = options;
    if (options.isBlockDevice && !options.writesZeroes) this.#missing.add("zeros").add("hole");
  }

  /** A command is running, and mixes with what this thread does meanwhile. */
  get isBusy(): boolean {
    return this.#runningCount > 0;
  }

  /** Resolves when the commands that are running have ended; others may have begun by then. */
  idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.isBusy) this.#onIdle.push(resolve);
      else resolve();
    });
  }

  /** Makes bytes read as zeros. */
  zero(
    range: ByteRange,
    { mayUnmap }: { readonly mayUnmap: boolean },
    signal: Signal,
  ): IoResult | Promise<IoResult> {
    const { zeroesBy, io } = this.#options;
    if (range.byteCount === 0) return undefined;
    const command = mayUnmap || zeroesBy === "writes" ? "hole" : "zeros";
    const isShort = zeroesBy === "writes" && range.byteCount < holeBytesMin;
    return isShort || this.#missing.has(command)
      ? io.writeZeros(range, signal)
      : this.#zeroBy(command, range, signal);
  }

  /** Gives bytes back; they read as zeros after it, but for a discard. */
  deallocate(range: ByteRange, signal: Signal): IoResult | Promise<IoResult> {
    const { zeroesBy, isBlockDevice } = this.#options;
    if (!isBlockDevice || zeroesBy === "writes") return this.zero(range, { mayUnmap: true }, signal);
    return range.byteCount === 0 ? undefined : this.#run("discard", range, signal);
  }

  async #zeroBy(command: RangeCommand, range: ByteRange, signal: Signal): Promise<IoResult> {
    const { zeroesBy, io } = this.#options;
    const failure = await this.#run(command, range, signal);
    if (failure === undefined || signal?.aborted === true) return failure;
    if (failure.code === "ERR_UNSUPPORTED") this.#missing.add(command);
    else if (failure.isBusy !== true && zeroesBy === "device") return failure;
    return io.writeZeros(range, signal);
  }

  /**
   * Before it begins, the kernel drops the range from the page cache of a block device, so that no page outlives
   * what the device did. It is refused for dirty pages, because it is not the holder of the claim who asks.
   */
  async #run(command: RangeCommand, range: ByteRange, signal: Signal): Promise<IoResult> {
    const { commands, descriptor, isBlockDevice, isDirect } = this.#options;
    this.#runningCount += 1;
    try {
      let failure: IoResult;
      for (let tries = 0; tries < busyTriesMax; tries++) {
        if (isBlockDevice && (!isDirect || tries > 0)) {
          const lost = await synced(descriptor);
          if (lost !== undefined) return { ...lost, isRefusal: true, losesWrites: true };
        }
        failure = await commands.run(command, range, signal);
        if (failure?.isBusy !== true || signal?.aborted === true) break;
      }
      return failure;
    } finally {
      this.#runningCount -= 1;
      if (this.#runningCount === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    }
  }
}

/** Always on the thread pool: what a hop costs is nothing beside a flush. */
export function synced(descriptor: number): Promise<IoFailure | undefined> {
  return new Promise((resolve, reject) => {
    fdatasync(descriptor, (error) => {
      try {
        resolve(error === null ? undefined : failureOf(error, 0));
      } catch (bug) {
        reject(bug);
      }
    });
  });
}
