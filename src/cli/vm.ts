/**
 * `harrow vm`: a Linux guest of one's own, kept under one directory, to look at or to be served by.
 *
 * @packageDocumentation
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { shellWords } from "../reproduce/shell-words.ts";
import { ServiceError } from "../sut/port.ts";
import { guestUnavailable } from "../sut/vm/availability.ts";
import { Guest } from "../sut/vm/guest.ts";
import { prepareGuest } from "../sut/vm/prepare.ts";
import { consoleName, type DiskCache, type GuestRole } from "../sut/vm/qemu-arguments.ts";
import { exitCodes } from "./exit-codes.ts";
import { createLog, type LogLevel } from "./log.ts";
import { UsageError } from "./usage-error.ts";

export interface VmFlags {
  /** Of the images; a guest runs in `guest` below it. */
  readonly directory: string;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface VmPrepareFlags extends VmFlags {
  readonly refresh?: true;
}

export interface VmStartFlags extends VmFlags {
  readonly role: GuestRole;
  /** In bytes. */
  readonly disk?: number;
  /** In bytes. */
  readonly memory?: number;
  readonly cpus?: number;
  readonly blockSize?: "512" | "4096";
  readonly cache?: DiskCache;
  readonly extras?: true;
  readonly cold?: true;
}

export interface VmShFlags extends VmFlags {
  /** In seconds. */
  readonly timeout: number;
}

export interface VmConsoleFlags extends VmFlags {
  readonly follow?: true;
}

export const defaultDirectory = "harrow-vm";
/** What the shell says for itself ends with this, as with ssh: a script rarely does. */
const shTroubleCode = 255;
const scriptBytesMax = 16 * 2 ** 20;
const mebibyte = 2 ** 20;
const followPauseMs = 200;
const answerTimeoutMs = 5_000;

/** @returns The exit code. */
export async function vmPrepare(flags: VmPrepareFlags, signal: AbortSignal): Promise<number> {
  return await told("prepare", async () => {
    const { kernel, versions } = await prepareGuest({
      ...{ directory: flags.directory, log: logOf(flags), refresh: flags.refresh ?? false, signal },
    });
    const of = ["lvm2", "thin-provisioning-tools", "nvme-cli", "fio"].map(
      (name) => `${name} ${versions[name]}`,
    );
    say(`images of a guest: ${join(kernel, "..")}`);
    say(`  kernel    ${kernelVersion(versions)}`);
    say(`  programs  ${of.join(", ")}`);
    return exitCodes.consistent;
  });
}

export async function vmStart(flags: VmStartFlags, signal: AbortSignal): Promise<number> {
  return await told("start", async () => {
    const unavailable = guestUnavailable();
    if (unavailable !== undefined) throw new ServiceError("ERR_UNSUPPORTED", unavailable);
    const log = logOf(flags);
    const images = await prepareGuest({ directory: flags.directory, log, signal });
    const startMs = performance.now();
    const { disk, memory, cpus, cache, role, blockSize } = flags;
    await using guest = await Guest.start({
      ...{ directory: runDirectory(flags), images, role, detached: true, signal, log },
      ...(disk !== undefined && { diskMiB: inMiB("disk", disk) }),
      ...(memory !== undefined && { memoryMiB: inMiB("memory", memory) }),
      ...(cpus !== undefined && { cpuCount: cpus }),
      ...(blockSize !== undefined && { blockSizeBytes: blockSize === "4096" ? 4096 : 512 }),
      ...(cache !== undefined && { cache }),
      ...(flags.extras && { withExtras: true }),
      ...(flags.cold && { cold: true }),
    });
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    say(`the guest is up after ${seconds} s, from a ${guest.startedFrom}, as process ${guest.pid}`);
    tellOf(guest);
    say(`  look      ${commandLine("sh", flags, ["uname -a"])}`);
    say(`  end       ${commandLine("stop", flags)}`);
    return exitCodes.consistent;
  });
}

export async function vmStop(flags: VmFlags): Promise<number> {
  return await told("stop", async () => {
    const guest = await running(flags);
    if (typeof guest === "string") {
      say(guest);
      return exitCodes.consistent;
    }
    const { pid } = guest;
    await guest.stop();
    await guest[Symbol.asyncDispose]();
    say(`process ${pid} has ended; the disks stay in ${guest.directory}`);
    return exitCodes.consistent;
  });
}

export async function vmStatus(flags: VmFlags, signal: AbortSignal): Promise<number> {
  return await told("status", async () => {
    const found = await running(flags);
    if (typeof found === "string") {
      say(found);
      return exitCodes.target;
    }
    await using guest = found;
    const state = await guest.runState();
    say(`the guest is ${state}, as process ${guest.pid}`);
    tellOf(guest);
    if (state !== "running") return exitCodes.consistent;
    const { stdout } = await guest.shell.run("uptime", { timeoutMs: answerTimeoutMs, signal });
    say(`  agent     answers: ${stdout.trim()}`);
    return exitCodes.consistent;
  });
}

/** @param script - Standard input if absent. */
export async function vmSh(
  script: string | undefined,
  flags: VmShFlags,
  signal: AbortSignal,
): Promise<number> {
  const code = await told("sh", async () => {
    await using guest = await Guest.attach({ directory: runDirectory(flags), log: logOf(flags) });
    const { status, stdout, stderr } = await guest.shell.run(script ?? (await scriptFrom(process.stdin)), {
      timeoutMs: flags.timeout * 1000,
      signal,
    });
    process.stdout.write(stdout);
    process.stderr.write(stderr);
    return { status };
  });
  if (typeof code === "object") return code.status;
  return code === exitCodes.interrupted ? code : shTroubleCode;
}

export async function vmConsole(flags: VmConsoleFlags, signal: AbortSignal): Promise<number> {
  return await told("console", async () => {
    const path = join(runDirectory(flags), consoleName);
    await using file = await open(path, "r").catch((cause) => {
      throw new ServiceError("ERR_NOT_FOUND", `${path} is not there: no guest was started`, { cause });
    });
    const decoder = new TextDecoder();
    const part = Buffer.alloc(65_536);
    for (;;) {
      const { bytesRead } = await file.read(part);
      if (bytesRead > 0)
        process.stdout.write(shown(decoder.decode(part.subarray(0, bytesRead), { stream: true })));
      else if (!flags.follow || signal.aborted) return exitCodes.consistent;
      else await sleep(followPauseMs, undefined, { signal }).catch(() => undefined);
    }
  });
}

function runDirectory({ directory }: VmFlags): string {
  return join(directory, "guest");
}

function commandLine(command: string, { directory }: VmFlags, rest: readonly string[] = []): string {
  const where = directory === defaultDirectory ? [] : ["--directory", directory];
  return shellWords(["harrow", "vm", command, ...where, ...rest]);
}

/** Or why there is none. */
async function running(flags: VmFlags): Promise<Guest | string> {
  try {
    return await Guest.attach({ directory: runDirectory(flags), log: logOf(flags) });
  } catch (error) {
    if (error instanceof ServiceError && error.code === "ERR_NOT_FOUND") return error.message;
    throw error;
  }
}

function tellOf({ directory, settings, nvmeEndpoint: { host, port } }: Guest): void {
  const { disks, role, memoryMiB, cpuCount, accelerator, images } = settings;
  const speed = accelerator === "kvm" ? "by KVM" : "without KVM, about ten times slower";
  say(`  kernel    ${kernelVersion(images.versions)}`);
  say(`  machine   ${role}, ${memoryMiB} MiB, ${cpuCount} processors ${speed}`);
  say(
    `  disks     ${disks.map(({ serial, mib }) => `${serial} ${mib} MiB`).join(", ") || "none"}, in ${directory}`,
  );
  say(`  NVMe/TCP  ${host}:${port} leads to its port 4420, once something listens there`);
}

function kernelVersion(versions: Readonly<Record<string, string>>): string {
  const [name, version] = Object.entries(versions).find(([name]) => name.startsWith("linux-image-")) ?? [];
  return name === undefined ? "unknown" : `${name.slice("linux-image-".length)} (${version})`;
}

function inMiB(name: string, bytes: number): number {
  if (bytes % mebibyte === 0 && bytes > 0) return bytes / mebibyte;
  throw new UsageError(`--${name}: expected whole MiB, got ${bytes} bytes`);
}

async function scriptFrom(input: NodeJS.ReadStream): Promise<string> {
  if (input.isTTY) process.stderr.write("harrow vm sh: the script comes from standard input\n");
  let byteCount = 0;
  const bounded = async function* () {
    for await (const part of input as AsyncIterable<Uint8Array>) {
      byteCount += part.length;
      if (byteCount > scriptBytesMax)
        throw new UsageError(`the script is longer than the ${scriptBytesMax} bytes that are taken`);
      yield part;
    }
  };
  return await text(bounded());
}

/** Without what would make a terminal do something. */
function shown(console: string): string {
  return console.replace(/[^\P{Cc}\n\t]/gu, "");
}

function logOf({ logLevel, logJson }: VmFlags) {
  return createLog({ level: logLevel, json: logJson ?? false });
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Puts what is expected to go wrong into words and an exit code. */
async function told<Value>(command: string, call: () => Promise<Value>): Promise<Value | number> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof ServiceError || error instanceof UsageError)) throw error;
    process.stderr.write(`harrow vm ${command}: ${error.message}\n`);
    if (error instanceof UsageError || error.code === "ERR_INVALID_REQUEST") return exitCodes.usage;
    return error.code === "ERR_ABORTED" ? exitCodes.interrupted : exitCodes.target;
  }
}
