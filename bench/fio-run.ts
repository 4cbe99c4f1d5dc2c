/**
 * A whole concurrent run on a file: workload, order, tracker, device, reconciler, checkers and ledger.
 *
 * As fio, it writes single blocks, as many as the file has. What it writes where is biased to edges, as every run's
 * is, so that more blocks than fio's are written again: all extents are compared once half-way and once at the end,
 * which leaves about as many versions unproven as fio has, 38 instead of 37 %. Bytes proven are what the ledger says.
 *
 * What comes before the first write is left out, as of fio: opening the target, looking at it and clearing it; and a
 * shorter run on another file, in which the engine compiles what is run often. What harrow does before the first
 * write to each extent (it reads it, for the model starts from zeros) does count. The run is not kept on disk.
 *
 * @packageDocumentation
 */
import { rmSync } from "node:fs";
import { blockBytes, cpuSecondsSince, type SideRequest, type SideResult, zeroFile } from "./fio-file.ts";

const extentBytes = 2 ** 19;
const writesPerLts = 8;
const warmUpBytes = 2 ** 28;

export async function measureRun(request: SideRequest): Promise<SideResult> {
  const warmUp = { ...request, path: `${request.path}-warm-up`, fileBytes: warmUpBytes };
  try {
    await measureOnce(warmUp);
  } finally {
    rmSync(warmUp.path, { force: true });
  }
  return measureOnce(request);
}

async function measureOnce({ path, fileBytes, io, direct, depth }: SideRequest): Promise<SideResult> {
  const { parseConfig, openTarget, Run, performRun } = await loadBuilt();
  const seed = 42n;
  const ltsCount = fileBytes / blockBytes / writesPerLts;
  const exactly = (count: number) => ({ min: count, max: count });
  const config = parseConfig(
    JSON.stringify({
      geometry: { volumeSize: fileBytes, blockSize: blockBytes, extentSize: extentBytes },
      // All extents in turns, so that writes go all over the file from the start.
      window: { size: fileBytes / extentBytes, slideAfterRepeats: ltsCount },
      operations: {
        batches: exactly(1),
        perBatch: exactly(writesPerLts),
        blocks: exactly(1),
        weights: only("write", [
          "writeFua",
          "writeZeroes",
          "deallocate",
          "deallocateTail",
          "deallocateExtent",
          "flush",
          "compareAndWrite",
          "compareAndWriteMiss",
        ]),
      },
      // fio reads nothing before the end.
      reads: { perLts: exactly(0), preRead: "0/1" },
      content: { weights: only("incompressible", ["compressible", "text"]) },
      checks: {
        recent: { every: 0 },
        sample: { every: 0 },
        all: { every: Math.floor(ltsCount / 2) + 1, atEnd: true },
      },
      runner: { kind: "concurrent", depth: Math.max(2, depth / writesPerLts), lts: ltsCount },
      target: { kind: "block", path, io, direct },
      overwrite: true,
    }),
    "bench",
  );
  const log = { info: () => {}, warn: (message: string) => process.stderr.write(`${message}\n`) };
  const { signal } = new AbortController();
  const name = "harrow-bench";
  await using target = await openTarget({
    config,
    seed,
    name,
    log,
    serveCommand: [],
    environment: {},
    signal,
  });
  zeroFile(path, fileBytes);
  const run = new Run({ config, seed, name, target, log, signal, onViolation: () => {} });
  const start = process.cpuUsage();
  const { verdict, ledger } = await performRun(run, { onProgress: () => {} });
  const cpuSeconds = cpuSecondsSince(start);
  const { bytesWritten, versions, lastVersions } = ledger;
  if (verdict !== "consistent" || lastVersions.provenPercent < 100)
    throw new Error(`the run is ${verdict}, ${lastVersions.provenPercent} % of the last versions are proven`);
  return { bytesWritten, bytesProven: versions.proven * blockBytes, cpuSeconds };
}

/** Weight 1 for one name, 0 for the others. */
function only(name: string, others: readonly string[]): Readonly<Record<string, number>> {
  return { [name]: 1, ...Object.fromEntries(others.map((other) => [other, 0])) };
}

/** @throws {Error} If harrow was not built. */
async function loadBuilt() {
  const load = (file: string) => import(new URL(`../dist/runner/${file}`, import.meta.url).href);
  const config: typeof import("../src/runner/config/load.ts") = await load("config/load.js");
  const target: typeof import("../src/runner/target.ts") = await load("target.js");
  const run: typeof import("../src/runner/run.ts") = await load("run.js");
  const runner: typeof import("../src/runner/runner.ts") = await load("runner.js");
  return {
    parseConfig: config.parseConfig,
    openTarget: target.openTarget,
    Run: run.Run,
    performRun: runner.performRun,
  };
}
