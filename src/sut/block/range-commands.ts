/**
 * Commands on a range of an open file or block device that Node has no call for: discard, hole, zero range.
 *
 * util-linux's `blkdiscard` and `fallocate` do them, on a descriptor that they inherit and open again by
 * `/dev/fd/3`. Few shells, each for one command at a time, start them: a start out of this process copies its page
 * tables, and was measured at 22 ms of a standstill with 400 MB of memory, out of a shell at 1.6 ms of waiting.
 *
 * Which command is wanted, and what is done where there is none, is decided by `zeroing.ts`.
 *
 * @packageDocumentation
 */
import { spawnSync } from "node:child_process";
import { ServiceError } from "../port.ts";
import { CommandShell, programEnvironment } from "./command-shell.ts";
import type { ByteRange, IoResult } from "./descriptor-io.ts";
import { abortFailure } from "./errno.ts";

/**
 * - `discard`: BLKDISCARD, of block devices only; what is read after it is the device's affair.
 * - `hole`: zeros, unmapped if possible. On a block device a write-zeroes command that may deallocate.
 * - `zeros`: zeros that stay allocated. On a block device a write-zeroes command, or zeros that the kernel writes.
 */
export type RangeCommand = "discard" | "hole" | "zeros";

/** Commands at once; more wait for their turn. */
const shellCountMax = 4;
const needs = {
  fallocate: ["--punch-hole", "--zero-range", "--keep-size"],
  blkdiscard: ["--force", "--offset", "--length"],
} as const;

/** @throws {ServiceError} `ERR_UNSUPPORTED` if a program is missing, or is another one of that name. */
export function assertPrograms(programs: readonly (keyof typeof needs)[], path: string): void {
  for (const program of programs) {
    const { stdout, error } = spawnSync(program, ["--help"], {
      ...{ encoding: "utf8", timeout: 10_000, env: programEnvironment() },
      stdio: ["ignore", "pipe", "ignore"],
    });
    const missing = needs[program].find((flag) => !(stdout ?? "").includes(flag));
    if (missing === undefined) continue;
    const why = error === undefined ? `the one found has no ${missing}` : error.message;
    throw new ServiceError(
      "ERR_UNSUPPORTED",
      `${path} is given zeroes by \`${program}\` of util-linux 2.36 or newer, which can not be used here (${why}): install it, or set zeroesBy to writes`,
    );
  }
}

/** Commands on one open file or device. */
export class RangeCommands {
  readonly #descriptor: number;
  readonly #shells = new Set<CommandShell>();
  readonly #idle: CommandShell[] = [];
  readonly #waiting: ((shell: CommandShell | undefined) => void)[] = [];
  #isDisposed = false;

  /** @param descriptor - Left open; open for writing. */
  constructor(descriptor: number) {
    this.#descriptor = descriptor;
  }

  /**
   * Never rejects. An abort kills the process that makes the call, and does not wait for what the kernel has begun
   * for it.
   */
  async run(
    command: RangeCommand,
    { position, byteCount }: ByteRange,
    signal: AbortSignal | undefined,
  ): Promise<IoResult> {
    const shell = await this.#take(signal);
    if (shell === undefined)
      return signal?.aborted === true
        ? abortFailure(0)
        : { code: "ERR_CLOSED", isRefusal: true, text: "the device was closed", doneBytes: 0 };
    try {
      return await shell.perform(`${command} ${position} ${byteCount}`, signal);
    } finally {
      this.#giveBack(shell);
    }
  }

  /** Ends the shells; one that does not end by itself is killed. */
  async dispose(): Promise<void> {
    this.#isDisposed = true;
    for (const waiting of this.#waiting.splice(0)) waiting(undefined);
    await Promise.all([...this.#shells].map((shell) => shell.end()));
  }

  #take(signal: AbortSignal | undefined): Promise<CommandShell | undefined> {
    if (this.#isDisposed) return Promise.resolve(undefined);
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      if (!idle.hasEnded) return Promise.resolve(idle);
      this.#shells.delete(idle);
    }
    if (this.#shells.size < shellCountMax) return Promise.resolve(this.#started());
    return new Promise((resolve) => {
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        resolve(undefined);
      };
      const waiting = (shell: CommandShell | undefined) => {
        signal?.removeEventListener("abort", onAbort);
        resolve(shell);
      };
      signal?.addEventListener("abort", onAbort);
      this.#waiting.push(waiting);
    });
  }

  #giveBack(shell: CommandShell): void {
    if (shell.hasEnded) this.#shells.delete(shell);
    const next = this.#isDisposed ? undefined : this.#waiting.shift();
    if (next !== undefined) next(shell.hasEnded ? this.#started() : shell);
    else if (!shell.hasEnded) this.#idle.push(shell);
  }

  #started(): CommandShell {
    const shell = new CommandShell(this.#descriptor);
    this.#shells.add(shell);
    return shell;
  }
}
