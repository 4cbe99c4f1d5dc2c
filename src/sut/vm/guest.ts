/**
 * A Linux guest in QEMU: started, asked, crashed, paused and stopped.
 *
 * All that lasts is on its disks, which are files in its run directory; the rest of it comes from images that are
 * only read. Its ports stay the same for as long as this object lives.
 *
 * @packageDocumentation
 */

import { mkdir, rm, rmdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Shell } from "../linux/shell.ts";
import type { Log } from "../log.ts";
import { ServiceError } from "../port.ts";
import { accelerator } from "./accelerator.ts";
import { AgentShell } from "./agent-shell.ts";
import { provideDisks } from "./disks.ts";
import { fileTail } from "./file-tail.ts";
import {
  findGuest,
  type GuestRecord,
  type GuestSettings,
  removeGuestRecord,
  writeGuestRecord,
} from "./guest-file.ts";
import { initrdName, type Launched, launch } from "./launch.ts";
import { quit, runState, setPaused } from "./monitor.ts";
import { freePorts } from "./ports.ts";
import type { GuestImages } from "./image-cache.ts";
import {
  consoleName,
  type DiskCache,
  diskName,
  type GuestDisk,
  type GuestRole,
  socketName,
} from "./qemu-arguments.ts";
import { logName, type QemuProcess } from "./qemu-process.ts";

export interface GuestOptions {
  /** The run directory, for one guest at a time; made if absent. Disks that are there are used as they are. */
  readonly directory: string;
  readonly images: GuestImages;
  /** What the guest is for; a target cannot reach this machine, a host reaches its loopback as 10.0.2.2. */
  readonly role: GuestRole;
  /** Size of the disk `data`; 4096 for a target if absent, and then none for a host. */
  readonly diskMiB?: number;
  /** Size of the disk `meta`, which comes with `data`; 64 if absent. */
  readonly metadataMiB?: number;
  /** Further disks. */
  readonly disks?: readonly GuestDisk[];
  /** Logical and physical blocks of all disks; 512 if absent. */
  readonly blockSizeBytes?: 512 | 4096;
  /** `direct` if absent. */
  readonly cache?: DiskCache;
  /** 512 if absent, 1024 with extras. */
  readonly memoryMiB?: number;
  /** 2 if absent. */
  readonly cpuCount?: number;
  /** Has the tools in the guest that are too large for every guest, such as fio. */
  readonly withExtras?: boolean;
  /** Boots every time, and saves no state of the booted machine; false if absent. */
  readonly cold?: boolean;
  /** The guest stays when this process ends, and when this object is disposed of; false if absent. */
  readonly detached?: boolean;
  /** How long a boot may take; 120 s if absent. */
  readonly startTimeoutMs?: number;
  /** Cancels the start. */
  readonly signal?: AbortSignal;
  /** Told how QEMU ended, if it was not ended from here. */
  readonly onUnexpectedExit?: (message: string) => void;
  readonly log: Log;
}

const portAttemptsMax = 5;
/** How long the ports of a guest that is started again may be somebody else's. */
const portWaitMs = 10_000;
const syncTimeoutMs = 10_000;
const stopTimeoutMs = 5_000;
const consoleTailBytes = 65_536;

export class Guest implements AsyncDisposable {
  /** The shell in the guest; the same one after a crash. */
  readonly shell: Shell;
  /** Leads to the guest's port 4420, whether anything listens there or not. */
  readonly nvmeEndpoint: { readonly host: string; readonly port: number };
  readonly directory: string;
  readonly settings: GuestSettings;
  readonly #agentPort: number;
  readonly #log: Log;
  readonly #onUnexpectedExit: ((message: string) => void) | undefined;
  #process: QemuProcess | undefined;
  #token: string;
  #startedFrom: Launched["from"] | undefined;
  /** What is done to the guest is done one after the other. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(
    directory: string,
    { settings, agentPort, nvmePort, token }: Omit<GuestRecord, "pid" | "startedMs">,
    { log, onUnexpectedExit }: Pick<GuestOptions, "log" | "onUnexpectedExit">,
  ) {
    this.directory = directory;
    this.settings = settings;
    this.#agentPort = agentPort;
    this.#token = token;
    this.#log = log;
    this.#onUnexpectedExit = onUnexpectedExit;
    this.nvmeEndpoint = { host: "127.0.0.1", port: nvmePort };
    this.shell = new AgentShell({
      port: agentPort,
      token: () => this.#token,
      description: `the guest in ${directory}`,
    });
  }

  /**
   * Starts a guest; resolves when its agent answers.
   *
   * @throws {ServiceError} `ERR_BUSY` if one runs in the directory, `ERR_INVALID_REQUEST` if the options do not fit
   * the disks, `ERR_UNSUPPORTED` if QEMU cannot be started, `ERR_TARGET` if it ended, `ERR_TIMEOUT`, `ERR_ABORTED`.
   */
  static async start(options: GuestOptions): Promise<Guest> {
    const directory = resolve(options.directory);
    const settings = settingsOf(options);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const found = await findGuest(directory);
    if (found.kind === "running")
      throw new ServiceError(
        "ERR_BUSY",
        `a guest runs in ${directory} already, as process ${found.record.pid}`,
      );
    if (found.kind === "stale") options.log.info(`the last guest in ${directory} was not stopped`);
    await provideDisks(directory, settings.disks);
    await rm(join(directory, consoleName), { force: true });
    for (let attempt = 1; ; attempt++) {
      const [agentPort, nvmePort] = (await freePorts(2)) as [number, number];
      const guest = new Guest(directory, { settings, agentPort, nvmePort, token: "" }, options);
      try {
        await guest.#launch(options.signal);
        return guest;
      } catch (error) {
        await guest.#forget();
        await guest.shell[Symbol.asyncDispose]();
        if (!isConflict(error) || attempt === portAttemptsMax) throw error;
      }
    }
  }

  /**
   * The guest that runs in a directory, whoever started it.
   *
   * @throws {ServiceError} `ERR_NOT_FOUND` if none does; what one that ended has left is cleaned then, but for its disks.
   */
  static async attach({
    directory: path,
    ...rest
  }: Pick<GuestOptions, "directory" | "log" | "onUnexpectedExit">): Promise<Guest> {
    const directory = resolve(path);
    const found = await findGuest(directory);
    if (found.kind === "none") throw new ServiceError("ERR_NOT_FOUND", `no guest runs in ${directory}`);
    const guest = new Guest(directory, found.record, rest);
    if (found.kind === "stale") {
      await guest.#forget();
      await guest.shell[Symbol.asyncDispose]();
      throw new ServiceError(
        "ERR_NOT_FOUND",
        `no guest runs in ${directory}: process ${found.record.pid} has ended without being stopped; its disks are kept`,
      );
    }
    guest.#watch(found.process);
    return guest;
  }

  /** Process id of QEMU while it runs. */
  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** How it came up the last time, if it was started from here. */
  get startedFrom(): Launched["from"] | undefined {
    return this.#startedFrom;
  }

  /** The end of what the guest's console has shown, over all its starts. */
  get console(): string {
    return fileTail(join(this.directory, consoleName), consoleTailBytes);
  }

  /** The lines of the kernel's log since its boot, each with its time. */
  async kernelLog(): Promise<string[]> {
    const { status, stdout, stderr } = await this.shell.run("dmesg");
    if (status !== 0) throw new ServiceError("ERR_TARGET", `dmesg in the guest: status ${status}: ${stderr}`);
    return stdout.split("\n").filter((line) => line !== "");
  }

  /**
   * Ends QEMU as a loss of power ends a machine, and starts it again on the same disks and ports; resolves when the
   * agent answers. What the guest had not written to its disks is gone.
   */
  async crash(): Promise<void> {
    await this.#inTurn(async () => {
      const process = this.#process;
      this.#process = undefined;
      await process?.kill();
      await this.#launchAgain();
    });
  }

  /** Stops in order and starts again on the same disks and ports; resolves when the agent answers. */
  async restart(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#end();
      await this.#launchAgain();
    });
  }

  /** Has all processors of the guest stand still, or go on. Its clock stands still, too. */
  async setPaused(isPaused: boolean): Promise<void> {
    await this.#inTurn(() => setPaused(this.directory, isPaused));
  }

  /** `running`, `paused`, or another state in QEMU's words. */
  async runState(): Promise<string> {
    return await this.#inTurn(() => runState(this.directory));
  }

  /** Writes out what the guest has in memory, and ends it; a guest that is down already is fine. Its disks stay. */
  async stop(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#end();
      await this.#forget();
    });
  }

  /** Stops, and removes the disks and all else that was made in the run directory. */
  async remove(): Promise<void> {
    await this.stop();
    for (const name of [...this.settings.disks.map(diskName), consoleName, logName])
      await rm(join(this.directory, name), { force: true });
    // Something of somebody else's is left alone.
    await rmdir(this.directory).catch(() => undefined);
  }

  /** Stops it, unless it is detached or was started by somebody else. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#startedFrom !== undefined && !this.settings.detached) await this.stop();
    await this.shell[Symbol.asyncDispose]();
  }

  async #end(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    if (!(await process.isRunning())) return;
    try {
      await setPaused(this.directory, false);
      await this.shell.run("sync", { timeoutMs: syncTimeoutMs });
    } catch (error) {
      this.#log.warn(
        `the guest was stopped without writing out what it had in memory: ${(error as Error).message}`,
      );
    }
    try {
      await quit(this.directory);
    } catch (error) {
      this.#log.debug(`QEMU's monitor did not take the end: ${(error as Error).message}`);
    }
    await process.terminate(stopTimeoutMs);
  }

  /** The ports may be somebody else's for a moment. */
  async #launchAgain(): Promise<void> {
    const deadlineMs = performance.now() + portWaitMs;
    for (;;) {
      try {
        await this.#launch(undefined);
        return;
      } catch (error) {
        if (isConflict(error) && performance.now() < deadlineMs) {
          await sleep(100);
          continue;
        }
        await this.#forget();
        throw error;
      }
    }
  }

  async #launch(signal: AbortSignal | undefined): Promise<void> {
    const { directory, settings } = this;
    const ports = { agentPort: this.#agentPort, nvmePort: this.nvmeEndpoint.port };
    const startMs = performance.now();
    const { process, token, from } = await launch({ directory, settings, ...ports, log: this.#log, signal });
    this.#token = token;
    this.#startedFrom = from;
    this.#watch(process);
    const { pid } = process;
    await writeGuestRecord(directory, { pid, ...ports, token, startedMs: Date.now(), settings });
    const tookMs = Math.round(performance.now() - startMs);
    this.#log.info(`the guest is up after ${tookMs} ms, from a ${from}, as process ${pid}`);
  }

  #watch(process: QemuProcess): void {
    this.#process = process;
    if (this.#onUnexpectedExit === undefined) return;
    void process.ended().then(() => {
      if (this.#process !== process) return;
      this.#process = undefined;
      this.#onUnexpectedExit?.(`QEMU ended; it said: ${process.said()}`);
    });
  }

  /** Removes what leads to a guest that is gone. */
  async #forget(): Promise<void> {
    await removeGuestRecord(this.directory);
    for (const name of [socketName, initrdName]) await rm(join(this.directory, name), { force: true });
  }

  async #inTurn<Value>(call: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(call);
    this.#turn = result.catch(() => undefined);
    return await result;
  }
}

function settingsOf(options: GuestOptions): GuestSettings {
  const { role, withExtras = false, images } = options;
  const { diskMiB = role === "target" ? 4096 : undefined, metadataMiB = 64, disks = [] } = options;
  return {
    images: {
      kernel: resolve(images.kernel),
      initrd: resolve(images.initrd),
      extras: resolve(images.extras),
      versions: images.versions,
    },
    role,
    disks: [
      ...(diskMiB === undefined
        ? []
        : [
            { serial: "meta", mib: metadataMiB },
            { serial: "data", mib: diskMiB },
          ]),
      ...disks,
    ],
    blockSizeBytes: options.blockSizeBytes ?? 512,
    cache: options.cache ?? "direct",
    memoryMiB: options.memoryMiB ?? (withExtras ? 1024 : 512),
    cpuCount: options.cpuCount ?? 2,
    withExtras,
    cold: options.cold ?? false,
    detached: options.detached ?? false,
    accelerator: accelerator(),
    startTimeoutMs: options.startTimeoutMs ?? 120_000,
  };
}

function isConflict(error: unknown): boolean {
  return error instanceof ServiceError && error.code === "ERR_CONFLICT";
}
