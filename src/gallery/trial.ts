/**
 * One run of one class with one seed: with the fault, without it, or with it while nobody looks.
 *
 * @packageDocumentation
 */
import type { Violation } from "../model/violation.ts";
import type { Config } from "../runner/config/schema.ts";
import { Run } from "../runner/run.ts";
import { performRun, type RunResult } from "../runner/runner.ts";
import { checkers } from "./checkers.ts";
import type { BuiltClass } from "./mutant.ts";
import { openStage, type StageOptions } from "./settings.ts";
import { galleryConfig } from "./workloads.ts";

/**
 * - `fault`: the mutant lies, and all that looks is on.
 * - `control`: the same without the mutant: nothing may be found.
 * - `unwatched`: the mutant lies, and the checker responsible is switched off: nothing may be found either.
 */
export type Variant = "fault" | "control" | "unwatched";

export interface TrialOptions extends Pick<StageOptions, "seed" | "log" | "serveCommand" | "signal"> {
  readonly entry: BuiltClass;
  readonly variant: Variant;
  readonly onViolation?: (violation: Violation, bytes: Uint8Array | undefined, run: Run) => void;
}

export interface Trial {
  readonly result: RunResult;
  readonly config: Config;
  /** How often the fault took effect. */
  readonly struckCount: number;
  /** What was done until the first violation; absent without one. */
  readonly firstAlarm: Alarm | undefined;
}

/** Counted from the start of the run. */
export interface Alarm {
  readonly operations: number;
  readonly bytesWritten: number;
  readonly seconds: number;
}

/** The configuration of a class: of all but what its checker looks at, if it is unwatched. */
export function configOf({ mutant, checker }: BuiltClass, variant: Variant): Config {
  const off = variant === "unwatched" ? checkers[checker].off : undefined;
  return galleryConfig(mutant.setting, mutant.config, off);
}

export async function performTrial(options: TrialOptions): Promise<Trial> {
  const { entry, variant, seed, log, serveCommand, signal } = options;
  const config = configOf(entry, variant);
  const name = `gallery-${entry.id}-${seed}-${variant}`;
  let struckCount = 0;
  await using stage = await openStage({
    entry,
    isSpoiled: variant !== "control",
    config,
    seed,
    name,
    log,
    serveCommand,
    signal,
    onStruck: () => struckCount++,
  });
  const { target, clock, stalled } = stage;
  let firstAlarm: Alarm | undefined;
  const started = performance.now();
  const run: Run = new Run({
    config,
    seed,
    name,
    target,
    log,
    signal,
    clock,
    onViolation: (violation, bytes) => {
      const { operationCount: operations, bytesWritten } = run.ledger.totals;
      firstAlarm ??= { operations, bytesWritten, seconds: (performance.now() - started) / 1000 };
      options.onViolation?.(violation, bytes, run);
    },
  });
  const performed = performRun(run, { onProgress: () => {} });
  const result = await (stalled === undefined ? performed : Promise.race([performed, stalled]));
  return { result, config, struckCount, firstAlarm };
}
