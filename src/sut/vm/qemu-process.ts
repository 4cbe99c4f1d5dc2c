/**
 * One process of QEMU: started here, or found running in a directory.
 *
 * @packageDocumentation
 */

import { type ChildProcess, spawn } from "node:child_process";
import { open, readFile, readlink, realpath } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ServiceError } from "../port.ts";
import { fileTail } from "./file-tail.ts";
import { socketName } from "./qemu-arguments.ts";

export const program = "qemu-system-x86_64";
export const logName = "qemu.log";
const logTailBytes = 4096;
/** How often a process that is not a child of this one is looked for. */
const lookMs = 20;

export interface SpawnOptions {
  /** The run directory, where it runs. */
  readonly directory: string;
  readonly parameters: readonly string[];
  /** Whether it stays when this process ends; else it is killed then, however this process ends. */
  readonly isDetached: boolean;
  /** An open file for its file descriptor 3. */
  readonly stateDescriptor: number | undefined;
}

export class QemuProcess {
  readonly pid: number;
  readonly #directory: string;
  readonly #exit: Promise<void> | undefined;
  #hasExited = false;

  private constructor(pid: number, directory: string, child?: ChildProcess) {
    this.pid = pid;
    this.#directory = directory;
    this.#exit =
      child &&
      new Promise((resolve) =>
        child.once("exit", () => {
          this.#hasExited = true;
          resolve();
        }),
      );
  }

  /** @throws {ServiceError} `ERR_UNSUPPORTED` if it cannot be started at all. */
  static async spawn({
    directory,
    parameters,
    isDetached,
    stateDescriptor,
  }: SpawnOptions): Promise<QemuProcess> {
    const log = await open(join(directory, logName), "w", 0o600);
    try {
      const [command, ...rest] = isDetached
        ? [program, ...parameters]
        : ["setpriv", "--pdeathsig", "KILL", program, ...parameters];
      const child = spawn(command!, rest, {
        cwd: directory,
        stdio: ["ignore", log.fd, log.fd, stateDescriptor ?? "ignore"],
        // Ctrl-C is for this process alone, which then stops the guest in order.
        detached: true,
      });
      child.unref();
      await new Promise<void>((resolve, reject) => {
        child.once("spawn", resolve);
        child.once("error", (cause) =>
          reject(
            new ServiceError(
              "ERR_UNSUPPORTED",
              `${command} could not be started: ${cause.message}${command === program ? "" : " (it is part of util-linux)"}`,
              { cause },
            ),
          ),
        );
      });
      return new QemuProcess(child.pid!, directory, child);
    } finally {
      await log.close();
    }
  }

  /** The process with this id, if it is a QEMU that was started in `directory`. */
  static async find(pid: number, directory: string): Promise<QemuProcess | undefined> {
    if (!(await isQemuOf(pid, directory))) return undefined;
    return new QemuProcess(pid, directory);
  }

  /** Resolves when it has ended; never rejects, and keeps no process alive that has nothing else to do. */
  async ended(): Promise<void> {
    if (this.#exit !== undefined) await this.#exit;
    else while (await this.isRunning()) await sleep(lookMs, undefined, { ref: false });
  }

  /** The end of what it said on its standard error. */
  said(): string {
    return fileTail(join(this.#directory, logName), logTailBytes).trim();
  }

  async isRunning(): Promise<boolean> {
    // A child's id is its own until its end was noticed; and a child that just starts has no command line at times.
    return this.#exit === undefined ? await isQemuOf(this.pid, this.#directory) : !this.#hasExited;
  }

  /** SIGKILL, as a loss of power is to the guest; resolves when it has ended. */
  async kill(): Promise<void> {
    await this.#endedAfter("SIGKILL");
  }

  /** SIGTERM, and SIGKILL if it has not ended within the time; resolves when it has. */
  async terminate(timeoutMs: number): Promise<void> {
    const timer = setTimeout(() => void this.#signal("SIGKILL"), timeoutMs);
    try {
      await this.#endedAfter("SIGTERM");
    } finally {
      clearTimeout(timer);
    }
  }

  async #endedAfter(name: NodeJS.Signals): Promise<void> {
    await this.#signal(name);
    // Keeps this process alive until then.
    const waiting = setInterval(() => undefined, 1_000);
    try {
      await this.ended();
    } finally {
      clearInterval(waiting);
    }
  }

  async #signal(name: NodeJS.Signals): Promise<void> {
    // Its id may belong to another process by now.
    if (!(await this.isRunning())) return;
    try {
      process.kill(this.pid, name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  }
}

/** A process that has ended, though nobody has taken notice of it yet, has no command line. */
async function isQemuOf(pid: number, directory: string): Promise<boolean> {
  try {
    const [commandLine, workingDirectory, wanted] = await Promise.all([
      readFile(`/proc/${pid}/cmdline`, "utf8"),
      readlink(`/proc/${pid}/cwd`),
      realpath(directory),
    ]);
    return workingDirectory === wanted && commandLine.includes(`unix:${socketName},`);
  } catch {
    return false;
  }
}
