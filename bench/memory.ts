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
import { join } from "node:path";
import { part, sampleRun } from "./fuzz-process.ts";
import { type Bench, type BenchContext, type Comparison, median } from "./harness.ts";

const ltsCounts = [15_000, 60_000];
const residentMebibytesMax = 300;
/** What sampling and the garbage collector's mood may add to a quarter. */
const growthMax = 1.1;

export const memoryBench: Bench = {
  name: "memory",
  summary: "resident memory of harrow and of its target, on a 1 TiB thin volume",
  run: measure,
};

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  const rows: Comparison[] = [];
  const lastQuarters: number[] = [];
  for (const ltsCount of ltsCounts) {
    progress(`${ltsCount} lts`);
    const { harrow, target } = await sampleRun((directory) => configuration(directory, ltsCount), signal);
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

function configuration(directory: string, ltsCount: number) {
  return {
    seed: 7,
    geometry: { volumeSize: "1TiB", extentSize: "1MiB" },
    window: { size: 64, slideAfterRepeats: 2 },
    operations: { blocks: { min: 1, max: 4 } },
    snapshots: { every: 1000 },
    checks: { all: { atEnd: false }, snapshots: { atEnd: false } },
    runner: { lts: ltsCount },
    target: { kind: "embedded" as const, directory: join(directory, "target") },
  };
}

function quarter(samples: readonly number[], index: number): number[] {
  return part(samples, index, 4);
}
