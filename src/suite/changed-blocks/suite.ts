/**
 * The suite: its tests in the order in which they are published, and how they are run, one after another.
 *
 * @packageDocumentation
 */
import type { BlockDevice, DiffCapabilities, VolumeService } from "../../sut/port.ts";
import { type SuiteReporter, type SuiteResult, type SuiteSummary, summaryOf } from "../report.ts";
import type { SuiteVolume } from "./bench-options.ts";
import { Content } from "./content.ts";
import { edgeCaseTests } from "./edge-cases.ts";
import { Layout } from "./layout.ts";
import { removeSnapshots } from "./leftovers.ts";
import { resilienceTests } from "./resilience.ts";
import { sanityTests } from "./sanity.ts";
import { SourceMemory } from "./source-memory.ts";
import type { SuiteTest } from "./test-case.ts";
import { Workbench } from "./workbench.ts";

export const changedBlocksTests: readonly SuiteTest[] = [
  ...sanityTests,
  ...edgeCaseTests,
  ...resilienceTests,
];

/** What a run on two given volumes needs, whatever is run. */
export interface ChangedBlocksGround {
  readonly service: VolumeService;
  readonly source: SuiteVolume;
  readonly target: SuiteVolume;
  /** Decides the content; a new one for volumes that an earlier run may have written. */
  readonly contentSeed: bigint;
  /** Before the names of all snapshots. */
  readonly prefix: string;
  /** Leaves the snapshots of each test, for a look at them. */
  readonly isKeepingSnapshots?: boolean;
  readonly signal: AbortSignal;
  /** Whether the target is gone for good: nothing more is run then. */
  readonly isGone?: () => boolean;
  /** Told of what could not be removed. */
  readonly warn: (message: string) => void;
}

export interface ChangedBlocksOptions extends ChangedBlocksGround {
  readonly tests: readonly SuiteTest[];
  /** How often all of it is run; 1 if left out. */
  readonly repeat?: number;
  /** Added to every place; 0 if left out. */
  readonly offsetBytes?: number;
  /** 1 if left out; see `Layout`. */
  readonly scale?: number;
  readonly reporter: SuiteReporter;
}

/**
 * Runs the tests, and removes the snapshots of each after it.
 *
 * @throws {RangeError} If the volumes are too small for the tests at that scale.
 */
export async function runChangedBlocks(options: ChangedBlocksOptions): Promise<SuiteSummary> {
  const { service, source, target, tests, repeat = 1, offsetBytes = 0, scale = 1, signal } = options;
  const { reporter, isGone = () => false } = options;
  const { blockSizeBytes } = source.device.capabilities;
  const unitBlocks = unitOf(service.diffCapabilities);
  const layout = new Layout({ blockSizeBytes, unitBlocks, offsetBytes, scale });
  for (const [which, { device }] of Object.entries({ source, target })) expectRoom(layout, device, which);
  const content = new Content({ seed: options.contentSeed, blockSizeBytes });
  const memory = new SourceMemory({ source: source.wasEmpty, target: target.wasEmpty });
  const started = performance.now();
  const results: SuiteResult[] = [];
  let number = 0;
  for (let round = 0; round < repeat; round++)
    for (const { name, phase: group, shows: title, run } of tests) {
      if (signal.aborted || isGone()) break;
      const reported = { number: ++number, name, title, group };
      reporter.started(reported);
      const bench = new Workbench({
        ...{ service, source, target, layout, memory, content, signal },
        prefix: `${options.prefix}-${number}-${name}`,
      });
      const result = await resultOf(bench, options, () => run(bench));
      if (signal.aborted && result.kind === "fail") break;
      results.push(result);
      reporter.finished(reported, result);
    }
  const durationMs = performance.now() - started;
  const summary = summaryOf(results, { durationMs, isInterrupted: signal.aborted });
  reporter.done(summary);
  return summary;
}

/** Does something with a bench, and leaves no snapshot of it, however that ends. */
export async function resultOf(
  bench: Workbench,
  { isKeepingSnapshots = false, warn }: Pick<ChangedBlocksGround, "isKeepingSnapshots" | "warn">,
  run: () => Promise<void>,
): Promise<SuiteResult> {
  const started = performance.now();
  let problem: string | undefined;
  try {
    await run();
  } catch (error) {
    problem = error instanceof Error ? error.message : String(error);
  }
  const durationMs = performance.now() - started;
  const { notes, snapshotsLeft, service } = bench;
  if (isKeepingSnapshots) for (const { name } of snapshotsLeft) bench.note(`kept snapshot ${name}`);
  else await removeSnapshots(service, snapshotsLeft, warn);
  return problem === undefined
    ? { kind: "pass", notes, durationMs }
    : { kind: "fail", message: problem, notes, durationMs };
}

/** What places must be a multiple of for a diff to be able to tell neighbours apart. */
export function unitOf({ chunkBlocks, granularityBlocks }: DiffCapabilities): number {
  return chunkBlocks * Math.ceil(granularityBlocks / chunkBlocks);
}

function expectRoom(layout: Layout, { blockCount, identity }: BlockDevice, which: string): void {
  if (layout.blockCount <= blockCount) return;
  throw new RangeError(
    `the ${which} volume ${identity.name} has ${blockCount} blocks, and the tests need ${layout.blockCount}: use a larger one, or a smaller --scale or --offset`,
  );
}
