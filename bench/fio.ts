/**
 * Bytes written and proven per CPU second, against fio with `verify=`, on one file.
 *
 * Each turn starts from the file full of zeros, in the page cache and on the disk. fio writes as many 4 KiB blocks
 * as the file has, at random, each with a CRC-32C of its own, and reads them back; harrow does the same in a whole
 * run (`fio-run.ts`), and with its kernels alone (`fio-kernels.ts`), and reads back whole extents, as its checkers
 * do. fio is told to keep the page cache (`invalidate=0`), which favours it. Bytes that were overwritten before
 * anyone looked count on no side.
 *
 * fio's CPU time is its job's user and system time, as it reports them.
 *
 * @packageDocumentation
 */
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { blockBytes, type SideRequest, type SideResult, zeroFile } from "./fio-file.ts";
import { type Bench, type BenchContext, type Comparison, compare } from "./harness.ts";

const fileBytes = 2 ** 30;
const rounds = 3;
const depth = 32;
/** More of them cost more switches between threads than the disk's queue is worth. */
const threadCount = 8;
const run = promisify(execFile);

const contenders = ["run", "kernels", "fio"] as const;

interface Case {
  readonly label: string;
  readonly engine: "psync" | "libaio";
  readonly side: Pick<SideRequest, "io" | "direct" | "depth">;
}

const cases: readonly Case[] = [
  { label: "page cache, sync", engine: "psync", side: { io: "sync", direct: false, depth: 1 } },
  {
    label: `O_DIRECT, ${depth} on ${threadCount} threads`,
    engine: "libaio",
    side: { io: "threads", direct: true, depth },
  },
];

export const fioBench: Bench = {
  name: "fio",
  summary: "bytes written and proven per CPU second on a file of 1 GiB, against fio with verify=crc32c",
  run: measure,
};

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  if (!(await hasFio())) {
    progress("skipped: fio is not installed (Debian: apt-get install fio)");
    return [];
  }
  const folder = mkdtempSync(join(tmpdir(), "harrow-bench-fio-"));
  const path = join(folder, "file");
  try {
    const rows: Comparison[] = [];
    for (const one of cases) {
      const rates: Record<(typeof contenders)[number], number[]> = { run: [], kernels: [], fio: [] };
      for (let round = 0; round < rounds; round++)
        for (const name of round % 2 === 0 ? contenders : contenders.toReversed()) {
          const side = name === "fio" ? fioSide(path, one, signal) : harrowSide(path, name, one, signal);
          const { bytesWritten, bytesProven, cpuSeconds } = await side;
          rates[name].push(bytesProven / 2 ** 20 / cpuSeconds);
          const share = Math.round((bytesProven / bytesWritten) * 100);
          progress(
            `${one.label}, round ${round + 1} of ${rounds}, ${name}: ${share} % proven, ${cpuSeconds.toFixed(2)} CPU-s`,
          );
        }
      const row = {
        rival: `fio ${one.engine}`,
        rivalName: "fio",
        unit: "MiB/CPU-s",
      } as const;
      rows.push(
        compare(rates, { ...row, what: `whole run, ${one.label}`, name: "run", goal: { atLeast: 1 } }),
        compare(rates, { ...row, what: `kernels alone, ${one.label}`, name: "kernels" }),
      );
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** harrow, in a process of its own. */
async function harrowSide(
  path: string,
  what: SideRequest["what"],
  { side }: Case,
  signal: AbortSignal,
): Promise<SideResult> {
  const child = fork(new URL("fio-side.ts", import.meta.url), {
    signal,
    env: { ...process.env, UV_THREADPOOL_SIZE: `${threadCount}` },
  });
  const answer = answerOf(child);
  child.send({ what, path, fileBytes, ...side } satisfies SideRequest);
  return answer;
}

async function answerOf(child: ChildProcess): Promise<SideResult> {
  const ended = once(child, "exit").then(([code, killedBy]) => {
    throw new Error(`harrow's side ended with ${code ?? killedBy} and no answer`);
  });
  const [message] = await Promise.race([once(child, "message"), ended]);
  await once(child, "exit");
  return message as SideResult;
}

/** The parts of fio's JSON that are used; shares are percentages of the job's run time. */
interface FioOutput {
  readonly jobs: readonly {
    readonly error: number;
    readonly job_runtime: number;
    readonly usr_cpu: number;
    readonly sys_cpu: number;
    readonly read: { readonly io_bytes: number };
    readonly write: { readonly io_bytes: number };
  }[];
}

async function fioSide(path: string, { engine, side }: Case, signal: AbortSignal): Promise<SideResult> {
  zeroFile(path, fileBytes);
  // Ctrl-C is heard between two turns.
  await sleep(0);
  signal.throwIfAborted();
  const options = {
    name: "proof",
    filename: path,
    size: `${fileBytes}`,
    rw: "randwrite",
    bs: `${blockBytes}`,
    ioengine: engine,
    iodepth: `${side.depth}`,
    direct: side.direct ? "1" : "0",
    random_generator: "tausworthe64",
    verify: "crc32c",
    do_verify: "1",
    verify_fatal: "1",
    invalidate: "0",
    "output-format": "json",
    norandommap: "1",
  };
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const { stdout } = await run("fio", flags, { signal });
  const [job] = (JSON.parse(stdout) as FioOutput).jobs;
  if (job === undefined || job.error !== 0) throw new Error(`fio failed with ${job?.error}`);
  if (job.write.io_bytes !== fileBytes) throw new Error(`fio wrote ${job.write.io_bytes} bytes`);
  return {
    bytesWritten: job.write.io_bytes,
    bytesProven: job.read.io_bytes,
    cpuSeconds: ((job.usr_cpu + job.sys_cpu) / 100) * (job.job_runtime / 1000),
  };
}

async function hasFio(): Promise<boolean> {
  return run("fio", ["--version"]).then(
    () => true,
    () => false,
  );
}
