/**
 * What it costs to work out and to compare one extent as of an early lts, a late one, and a very late one.
 *
 * Nothing is run: visits are pure functions, and a tracker that takes up a run at an lts has completed everything up
 * to it. The extents are drawn from all that were reached; each is checked against the bytes that it is to hold, so
 * that every byte of it is compared, which follows the size of an extent alone.
 *
 * @packageDocumentation
 */
import type { Extent } from "../src/selectors/geometry.ts";
import type { History } from "../src/selectors/history.ts";
import { type Bench, type BenchContext, type Comparison, median } from "./harness.ts";

const ltsOf = [1e4, 1e6, 1e8] as const;
const extentsPerRound = 200;
const rounds = 7;
const ratioMax = 1.5;

export const validateBench: Bench = {
  name: "validate",
  summary: "validating one extent as of lts 10^4, 10^6 and 10^8",
  run: measure,
};

type Stage = "state" | "check";

async function measure({ signal, progress }: BenchContext): Promise<Comparison[]> {
  progress(`${rounds} rounds of ${extentsPerRound} extents`);
  const contenders = await Promise.all(ltsOf.map(contenderAt));
  const medians = contenders.map((): Record<Stage, number[]> => ({ state: [], check: [] }));
  // The first round is not counted.
  for (let round = 0; round <= rounds; round++)
    for (const [index, contender] of contenders.entries()) {
      signal.throwIfAborted();
      const { state, check } = contender(round);
      if (round === 0) continue;
      medians[index]!.state.push(median(state));
      medians[index]!.check.push(median(check));
    }
  const rows: Comparison[] = [];
  for (const stage of ["state", "check"] as const) {
    const early = medians[0]![stage];
    for (const [index, lts] of ltsOf.entries()) {
      if (index === 0) continue;
      const own = medians[index]![stage];
      rows.push({
        what: `${stage === "state" ? "state" : "state and bytes"} of an extent as of lts ${lts.toLocaleString("en")}`,
        value: median(own),
        rival: `as of lts ${ltsOf[0].toLocaleString("en")}`,
        rivalValue: median(early),
        unit: "µs",
        ratio: median(own.map((value, round) => value / early[round]!)),
        goal: { atMost: ratioMax },
      });
    }
  }
  return rows;
}

/** Microseconds of each extent of a round: its state alone, and its whole check. */
async function contenderAt(lts: number): Promise<(round: number) => Record<Stage, number[]>> {
  const { Kernel, Workload, workloadShape, parseConfig, Tracker, Reconciler, ContentChecker, volumeView } =
    await loadBuilt();
  const config = parseConfig(JSON.stringify({ geometry: { volumeSize: "64GiB" } }), "bench");
  const shape = workloadShape(config);
  const { extentBlocks, blockSizeBytes } = shape.geometry;
  const kernel = new Kernel({ memoryBytes: 2 ** 23 + extentBlocks * blockSizeBytes });
  const workload = new Workload(kernel, 42n, shape);
  const tracker = Tracker.resumed({
    event: 2 * lts,
    ltsReserved: lts,
    ltsComplete: lts,
    exceptions: [],
    decisions: [],
    snapshots: [],
    rollbacks: [],
  });
  const reconciler = new Reconciler(workload, tracker);
  const checker = new ContentChecker(workload, tracker, reconciler);
  const { address, bytes } = kernel.allocate(extentBlocks * blockSizeBytes);
  const states = new Float64Array(extentBlocks);
  return (round) => {
    const state: number[] = [];
    const check: number[] = [];
    for (let number = 0; number < extentsPerRound; number++) {
      const extent = workload.sampleExtent(lts, round * extentsPerRound + number);
      const view = volumeView(tracker, extent.volume, lts);
      state.push(timed(() => reconciler.stateOf(extent, view, states)));
      fill(workload, extent, { states, address, bytes });
      check.push(
        timed(() => {
          if (checker.check({ extent, view, address }).wrong.length > 0)
            throw new Error(`extent ${extent.pd} is not what it was just made to be`);
        }),
      );
    }
    return { state, check };
  };
}

/** Microseconds. */
function timed(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) * 1000;
}

/** Makes the bytes that an extent is to hold. */
function fill(
  workload: History,
  extent: Extent,
  { states, address, bytes }: { states: Float64Array; address: number; bytes: Uint8Array },
): void {
  const { blockSizeBytes, sectorsPerBlock: sectorCount } = workload.geometry;
  const { volume, firstBlock, blockCount } = extent;
  bytes.fill(0);
  for (let index = 0; index < blockCount; index++) {
    const position = states[index]!;
    const at = { volume, block: firstBlock + index, blockCount: 1, sectorCount };
    if (position > 0) workload.run.inflate(at, address + index * blockSizeBytes, position);
  }
}

/** @throws {Error} If harrow was not built. */
async function loadBuilt() {
  const load = (file: string) => import(new URL(`../dist/${file}`, import.meta.url).href);
  const kernel: typeof import("../src/generators/kernel.ts") = await load("generators/kernel.js");
  const workload: typeof import("../src/selectors/workload.ts") = await load("selectors/workload.js");
  const tracker: typeof import("../src/model/tracker.ts") = await load("model/tracker.js");
  const reconciler: typeof import("../src/model/reconciler.ts") = await load("model/reconciler.js");
  const checker: typeof import("../src/model/content-checker.ts") = await load("model/content-checker.js");
  const view: typeof import("../src/model/view.ts") = await load("model/view.js");
  const shape: typeof import("../src/runner/workload-shape.ts") = await load("runner/workload-shape.js");
  const config: typeof import("../src/runner/config/load.ts") = await load("runner/config/load.js");
  return {
    Kernel: kernel.Kernel,
    Workload: workload.Workload,
    Tracker: tracker.Tracker,
    Reconciler: reconciler.Reconciler,
    ContentChecker: checker.ContentChecker,
    volumeView: view.volumeView,
    workloadShape: shape.workloadShape,
    parseConfig: config.parseConfig,
  };
}
