/**
 * Performs a history that was written by hand on a target, with every check behind it.
 *
 * @packageDocumentation
 */
import { stringify } from "yaml";
import { contentFormat } from "../generators/content.ts";
import { type Kernel, RunKernel } from "../generators/kernel.ts";
import { mix } from "../generators/mix.ts";
import type { Violation } from "../model/violation.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { WrittenHistory } from "../selectors/written-history.ts";
import { type Clock, systemClock } from "../sut/clock.ts";
import { parseConfig } from "./config/load.ts";
import type { Config, ConfigInput } from "./config/schema.ts";
import type { Exhibit } from "./exhibit.ts";
import { Run } from "./run.ts";
import type { RunLog } from "./run-log.ts";
import { performRun, type RunResult } from "./runner.ts";
import type { Target } from "./target.ts";

export interface PerformOptions {
  readonly plan: HistoryPlan;
  /** As {@link planConfig} made it. */
  readonly config: Config;
  readonly target: Target;
  readonly name: string;
  readonly log: RunLog;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  readonly onViolation?: (violation: Violation, exhibit: Exhibit | undefined, run: Run) => void;
  /** Waited for when the run is over, before its target may be closed. */
  readonly onEnd?: (run: Run) => Promise<void>;
}

export async function performHistory(options: PerformOptions): Promise<RunResult> {
  const { plan, config, target, name, log, signal, clock = systemClock, onViolation, onEnd } = options;
  const run: Run = new Run({
    ...{ config, target, name, log, signal, clock },
    seed: plan.seed,
    history: (kernel) => writtenHistory(plan, config, kernel),
    onViolation: (violation, exhibit) => onViolation?.(violation, exhibit, run),
  });
  const result = await performRun(run, { onProgress: () => {} });
  await onEnd?.(run);
  return result;
}

/** The history of a plan, with content as a configuration has it. */
export function writtenHistory(
  { seed, ...plan }: HistoryPlan,
  { content }: Config,
  kernel: Kernel,
): WrittenHistory {
  return new WrittenHistory({
    ...plan,
    run: new RunKernel(kernel, contentFormat({ ...content, seed: mix(seed) })),
  });
}

const noContent = { incompressible: 0, compressible: 0, text: 0 };
const seldom = { every: 1_000_000 };

/** The configuration that a history needs: its geometry, one lts after another, and every check. */
export function planConfig(
  { geometry, visits, startExtents, content, depth }: HistoryPlan,
  more: ConfigInput = {},
): Config {
  const { volumeBlocks, blockSizeBytes, extentBlocks } = geometry;
  const { overlap, ...runner } = more.runner ?? {};
  const extents = Math.ceil(volumeBlocks[0]! / extentBlocks);
  const kinds = new Set(visits.flatMap(({ steps = [] }) => steps.map(({ kind }) => kind)));
  const isComplete = startExtents.every((count) => count === extents);
  const config: ConfigInput = {
    ...more,
    geometry: {
      volumes: volumeBlocks.length,
      volumeSize: volumeBlocks[0]! * blockSizeBytes,
      blockSize: blockSizeBytes as 512 | 4096,
      extentSize: extentBlocks * blockSizeBytes,
      ...(isComplete ? {} : { growth: { start: `${startExtents[0]}/${extents}`, every: 1_000_000 } }),
    },
    operations: { blocks: { min: 1, max: extentBlocks }, ...more.operations },
    // The steps of the history say when; none are drawn. That there are any is for the model to know.
    snapshots: { every: 0, keep: 1000 },
    faults: {
      ...(kinds.has("crash") ? { crash: seldom } : {}),
      ...(kinds.has("resetConnections") ? { resetConnections: seldom } : {}),
      ...(kinds.has("cutConnections") ? { cutConnections: seldom } : {}),
      ...(kinds.has("slow") ? { slow: seldom } : {}),
    },
    checks: {
      recent: { every: 1, extents: 2 },
      snapshots: { extents: "all" },
      ...more.checks,
    },
    content: content === undefined ? {} : { weights: { ...noContent, [content]: 1 } },
    runner: {
      ...(depth === undefined ? { kind: "sequential" } : { kind: "concurrent", depth }),
      stopAfterViolations: 20,
      // What is refused was not shown; where there is trouble, some of it may be.
      ...(kinds.has("crash") || kinds.has("resetConnections") ? {} : { stopAfterTargetErrors: 1 }),
      ...runner,
      // Of one lts after another nothing overlaps.
      ...(overlap === undefined || depth === undefined ? {} : { overlap }),
      lts: visits.length,
    },
    record: "never",
  };
  return parseConfig(stringify(config), "history");
}
