/**
 * A whole `harrow fuzz` as a process of its own, with its resident memory sampled from outside.
 *
 * What is run is what was built. A verdict other than consistent is an error: figures of a run that went wrong say
 * nothing.
 *
 * @packageDocumentation
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const sampleEveryMs = 500;
/** Fewer of them say nothing of growth. */
const samplesMin = 8;
const stopTimeoutMs = 15_000;

/** Resident memory in MiB, one entry a sample, evenly in time. */
export interface Samples {
  readonly harrow: readonly number[];
  /** Of the embedded target's process; empty for other targets. */
  readonly target: readonly number[];
}

/**
 * Runs a configuration to its end.
 *
 * @param configuration - Makes it, given a directory for the run's files, which is removed afterwards.
 */
export async function sampleRun(
  configuration: (directory: string) => FuzzConfiguration,
  signal: AbortSignal,
): Promise<Samples> {
  const directory = await mkdtemp(join(tmpdir(), "harrow-bench-"));
  let child: ChildProcess | undefined;
  try {
    const file = join(directory, "run.yml");
    const config = configuration(directory);
    await writeFile(file, JSON.stringify({ ...config, failures: join(directory, "failures") }));
    child = spawn(
      process.execPath,
      [fileURLToPath(new URL("../dist/cli/main.js", import.meta.url)), "fuzz", file, "--json"],
      // A process group of its own: Ctrl-C reaches the bench, which then ends the run in order.
      { stdio: ["ignore", "ignore", "pipe"], detached: true },
    );
    let said = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      said = (said + text).slice(-4096);
    });
    const samples = { harrow: [] as number[], target: [] as number[] };
    const pid = child.pid!;
    const hasTargetProcess = config.target.kind === "embedded";
    while (isRunning(child)) {
      const own = await residentMebibytes(pid);
      const targets = hasTargetProcess
        ? await Promise.all((await childrenOf(pid)).map(residentMebibytes))
        : [0];
      // Before the target is up, and while the run ends, there is nothing to compare.
      if (own !== undefined && targets[0] !== undefined) {
        samples.harrow.push(own);
        if (hasTargetProcess) samples.target.push(targets[0]);
      }
      await sleep(sampleEveryMs, undefined, { signal });
    }
    if (child.exitCode !== 0)
      throw new Error(
        `a run of ${config.runner.lts} lts ended with ${child.exitCode ?? child.signalCode}: ${said}`,
      );
    if (samples.harrow.length < samplesMin)
      throw new Error(`a run of ${config.runner.lts} lts gave only ${samples.harrow.length} samples`);
    return samples;
  } finally {
    if (child !== undefined) await end(child);
    await rm(directory, { recursive: true, force: true });
  }
}

/** What has to be in it, beside anything else that a configuration may have. */
export interface FuzzConfiguration {
  readonly runner: { readonly lts: number };
  readonly target: { readonly kind: "embedded" | "memory" };
}

/** The samples of one of some equal parts of a run, from part 0. */
export function part(samples: readonly number[], index: number, partCount: number): number[] {
  const at = (number: number) => Math.floor((samples.length * number) / partCount);
  return samples.slice(at(index), at(index + 1));
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** SIGTERM, which harrow answers by ending its target and itself; SIGKILL if that takes too long. */
async function end(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) return;
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await exit;
  clearTimeout(timer);
}

/** `undefined` if the process is gone, or about to be. */
async function residentMebibytes(pid: number): Promise<number | undefined> {
  const status = await readProc(`/proc/${pid}/status`);
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) / 1024;
}

async function childrenOf(pid: number): Promise<number[]> {
  const list = await readProc(`/proc/${pid}/task/${pid}/children`);
  return list.split(" ").filter(Boolean).map(Number);
}

/** Empty if there is no such process any more. */
async function readProc(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return "";
  }
}
