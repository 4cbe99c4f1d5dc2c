/**
 * Resident memory of harrow's own process during runs on a 1 TiB thin volume, and of its target's.
 *
 * The target keeps its volume in a directory for temporary files, and is a process of its own. Extents are small
 * and the window moves on quickly, so that a run reaches tens of thousands of extents, with snapshots and diffs
 * on the way. The checks of all extents at the end are left out: they make the bench long, and read extent by
 * extent as the others do.
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
import { type Bench, type BenchContext, type Comparison, median } from "./harness.ts";

const ltsCounts = [15_000, 60_000];
const residentMebibytesMax = 300;
/** What sampling and the garbage collector's mood may add to a quarter. */
const growthMax = 1.1;
const sampleEveryMs = 500;
const stopTimeoutMs = 15_000;

export const memoryBench: Bench = {
  name: "memory",
  summary: "resident memory of harrow and of its target, on a 1 TiB thin volume",
  run: measure,
};

/** MiB, one entry a sample. */
interface Samples {
  readonly harrow: number[];
  readonly target: number[];
}

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  const rows: Comparison[] = [];
  const lastQuarters: number[] = [];
  for (const ltsCount of ltsCounts) {
    progress(`${ltsCount} lts`);
    const { harrow, target } = await sampleRun(ltsCount, signal);
    const what = `${ltsCount.toLocaleString("en")} lts`;
    const unit = "MiB";
    const row = (value: number, rivalValue: number) => ({
      value,
      rivalValue,
      ratio: value / rivalValue,
      unit,
    });
    rows.push(
      {
        ...row(Math.max(...harrow), residentMebibytesMax),
        what: `harrow, most, ${what}`,
        rival: "limit",
        goal: { atMost: 1 },
      },
      {
        ...row(median(quarter(harrow, 3)), median(quarter(harrow, 1))),
        what: `harrow, last quarter of ${what}`,
        rival: "second quarter",
        goal: { atMost: growthMax },
      },
      {
        ...row(median(quarter(target, 3)), median(quarter(target, 1))),
        what: `target, last quarter of ${what}`,
        rival: "second quarter",
      },
    );
    lastQuarters.push(median(quarter(harrow, 3)));
  }
  const [short, long] = ltsCounts.map((ltsCount) => `${ltsCount.toLocaleString("en")} lts`);
  const [shortEnd = 0, longEnd = 0] = lastQuarters;
  rows.push({
    what: `harrow, last quarter of ${long}`,
    value: longEnd,
    rival: `last quarter of ${short}`,
    rivalValue: shortEnd,
    unit: "MiB",
    ratio: longEnd / shortEnd,
    goal: { atMost: growthMax },
  });
  return rows;
}

/** Runs harrow to its end; a verdict other than consistent is an error. */
async function sampleRun(ltsCount: number, signal: AbortSignal): Promise<Samples> {
  const directory = await mkdtemp(join(tmpdir(), "harrow-bench-"));
  let child: ChildProcess | undefined;
  try {
    const file = join(directory, "run.yml");
    await writeFile(file, configuration(directory, ltsCount));
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
    const samples: Samples = { harrow: [], target: [] };
    const pid = child.pid!;
    while (isRunning(child)) {
      const own = await residentMebibytes(pid);
      const targets = await Promise.all((await childrenOf(pid)).map(residentMebibytes));
      // Before the target is up, and while the run ends, there is nothing to compare.
      if (own !== undefined && targets[0] !== undefined) {
        samples.harrow.push(own);
        samples.target.push(targets[0]);
      }
      await sleep(sampleEveryMs, undefined, { signal });
    }
    if (child.exitCode !== 0)
      throw new Error(`a run of ${ltsCount} lts ended with ${child.exitCode ?? child.signalCode}: ${said}`);
    if (samples.harrow.length < 8)
      throw new Error(`a run of ${ltsCount} lts gave only ${samples.harrow.length} samples`);
    return samples;
  } finally {
    if (child !== undefined) await end(child);
    await rm(directory, { recursive: true, force: true });
  }
}

function configuration(directory: string, ltsCount: number): string {
  return JSON.stringify({
    seed: 7,
    geometry: { volumeSize: "1TiB", extentSize: "1MiB" },
    window: { size: 64, slideAfterRepeats: 2 },
    operations: { blocks: { min: 1, max: 4 } },
    snapshots: { every: 1000 },
    checks: { all: { atEnd: false }, snapshots: { atEnd: false } },
    runner: { lts: ltsCount },
    target: { kind: "embedded", directory: join(directory, "target") },
    failures: join(directory, "failures"),
  });
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

/** The samples of one quarter of a run, 0 to 3. */
function quarter(samples: readonly number[], index: number): number[] {
  const at = (part: number) => Math.floor((samples.length * part) / 4);
  return samples.slice(at(index), at(index + 1));
}
