/**
 * Resident memory of a run of ten million lts on volumes in harrow's own memory.
 *
 * Each lts is one operation, nearly always a write of one block, with everything else that a long run does at a low
 * rate: reads under load, checks of extents, snapshots, diffs, clones, rollbacks, a synced copy. The volume itself
 * is in the figure: it is written all over in the first tenth, and every snapshot keeps what was replaced since.
 *
 * `HARROW_BENCH_LTS` makes it shorter, for a try.
 *
 * @packageDocumentation
 */
import { part, sampleRun } from "./fuzz-process.ts";
import { type Bench, type BenchContext, type Comparison, median } from "./harness.ts";

const ltsCount = Number(process.env.HARROW_BENCH_LTS ?? 10_000_000);
/** What sampling and the garbage collector's mood may add. */
const growthMax = 1.1;
const pointCount = 10;

export const runMemoryBench: Bench = {
  name: "run-memory",
  summary: `resident memory of a run of ${ltsCount.toLocaleString("en")} lts on volumes in memory`,
  run: measure,
};

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  progress(`${ltsCount.toLocaleString("en")} lts`);
  const { harrow } = await sampleRun(configuration, signal);
  const second = median(part(harrow, 1, 4));
  const held = { rival: "second quarter", rivalValue: second, unit: "MiB" };
  const curve = Array.from({ length: pointCount }, (_, index): Comparison => {
    const value = median(part(harrow, index, pointCount));
    return { what: `tenth ${index + 1} of the run`, value, ...held, ratio: value / second };
  });
  const last = median(part(harrow, 3, 4));
  const goal = { atMost: growthMax };
  return [...curve, { what: "last quarter", value: last, ...held, ratio: last / second, goal }];
}

function configuration() {
  return {
    seed: 7,
    geometry: { volumeSize: "256MiB", extentSize: "256KiB" },
    operations: {
      batches: { min: 1, max: 1 },
      perBatch: { min: 1, max: 1 },
      blocks: { min: 1, max: 1 },
      // A tail or an extent that is deallocated is what hundreds of writes were for: now and then is enough.
      weights: { write: 1000, writeFua: 5, writeZeroes: 5, deallocate: 5, flush: 5, compareAndWrite: 3 },
    },
    reads: { preRead: "1/64" },
    snapshots: { every: 100_000, keep: 2, rollback: "1/10", syncEvery: 5 },
    checks: {
      recent: { every: 2000 },
      sample: { every: 5000 },
      visible: { every: 5000 },
      diffs: { precision: "exact" },
    },
    runner: { depth: 32, lts: ltsCount },
    target: { kind: "memory" as const },
  };
}
