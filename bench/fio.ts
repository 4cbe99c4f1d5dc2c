/**
 * Bytes written and proven per CPU second, against fio with `verify=`, on one file.
 *
 * Each turn starts from the file full of zeros, in the page cache and on the disk. fio writes as many 4 KiB blocks
 * as the file has, at random, each with a CRC-32C of its own, and reads them back; harrow does the same with its
 * own content, 4 KiB at a time, and reads back 1 MiB at a time, as its checkers do. fio is told to keep the page
 * cache (`invalidate=0`), which favours it. Bytes that were overwritten before anyone looked count on neither side.
 *
 * fio's CPU time is its job's user and system time, as it reports them.
 *
 * @packageDocumentation
 */
import { type ChildProcess, execFile, fork } from "node:child_process";
import { once } from "node:events";
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { SideRequest, SideResult } from "./fio-side.ts";
import { type Bench, type BenchContext, type Comparison, compare } from "./harness.ts";

const fileBytes = 2 ** 30;
const blockBytes = 4096;
const rounds = 3;
const depth = 32;
/** More of them cost more switches between threads than the disk's queue is worth. */
const threadCount = 8;
const run = promisify(execFile);

interface Case {
  readonly label: string;
  readonly engine: "psync" | "libaio";
  readonly side: Omit<SideRequest, "path">;
}

const cases: readonly Case[] = [
  {
    label: "page cache, sync, random",
    engine: "psync",
    side: { io: "sync", direct: false, depth: 1, everyBlockOnce: false },
  },
  {
    label: "page cache, sync, each block once",
    engine: "psync",
    side: { io: "sync", direct: false, depth: 1, everyBlockOnce: true },
  },
  {
    label: `O_DIRECT, ${depth} on ${threadCount} threads, random`,
    engine: "libaio",
    side: { io: "threads", direct: true, depth, everyBlockOnce: false },
  },
  {
    label: `O_DIRECT, ${depth} on ${threadCount} threads, each block once`,
    engine: "libaio",
    side: { io: "threads", direct: true, depth, everyBlockOnce: true },
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
      const rates: Record<"harrow" | "fio", number[]> = { harrow: [], fio: [] };
      for (let round = 0; round < rounds; round++) {
        const order = ["harrow", "fio"] as const;
        for (const name of round % 2 === 0 ? order : order.toReversed()) {
          progress(`${one.label}, round ${round + 1} of ${rounds}, ${name}`);
          await zeroFile(path, signal);
          const side = name === "harrow" ? harrowSide(path, one, signal) : fioSide(path, one, signal);
          const { bytesProven, cpuSeconds } = await side;
          rates[name].push(bytesProven / 2 ** 20 / cpuSeconds);
        }
      }
      rows.push(
        compare(rates, {
          what: one.label,
          name: "harrow",
          rival: `fio ${one.engine}`,
          rivalName: "fio",
          unit: "MiB/CPU-s",
          goal: { atLeast: 1 },
        }),
      );
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Proven {
  readonly bytesProven: number;
  readonly cpuSeconds: number;
}

/** harrow, in a process of its own, with the kernels and the block device that a run uses. */
async function harrowSide(path: string, { side }: Case, signal: AbortSignal): Promise<Proven> {
  const child = fork(new URL("fio-side.ts", import.meta.url), {
    signal,
    env: { ...process.env, UV_THREADPOOL_SIZE: `${threadCount}` },
  });
  const answer = answerOf(child);
  child.send({ path, ...side } satisfies SideRequest);
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

async function fioSide(path: string, { engine, side }: Case, signal: AbortSignal): Promise<Proven> {
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
    ...(side.everyBlockOnce ? {} : { norandommap: "1" }),
  };
  const flags = Object.entries(options).map(([name, value]) => `--${name}=${value}`);
  const { stdout } = await run("fio", flags, { signal });
  const [job] = (JSON.parse(stdout) as FioOutput).jobs;
  if (job === undefined || job.error !== 0) throw new Error(`fio failed with ${job?.error}`);
  if (job.write.io_bytes !== fileBytes) throw new Error(`fio wrote ${job.write.io_bytes} bytes`);
  return {
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

/**
 * Writes zeros rather than making a hole: both sides overwrite what is allocated.
 *
 * In small pieces, into a file without cached pages: long writes leave folios of megabytes in the page cache, in
 * which ext4 searches every small write's place from the start. That took three fifths of either side's CPU time.
 */
async function zeroFile(path: string, signal: AbortSignal): Promise<void> {
  const zeros = Buffer.alloc(blockBytes);
  const descriptor = openSync(path, "w");
  try {
    for (let at = 0; at < fileBytes; at += zeros.length) writeSync(descriptor, zeros, 0, zeros.length, at);
    fdatasyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
  // Ctrl-C is heard between two turns.
  await sleep(0);
  signal.throwIfAborted();
}
