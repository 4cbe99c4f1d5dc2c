/**
 * One run of one class with one seed: with the fault, without it, or with it while nobody looks.
 *
 * @packageDocumentation
 */
import type { Violation } from "../model/violation.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import type { Exhibit } from "../runner/exhibit.ts";
import { Run } from "../runner/run.ts";
import { performRun, type RunResult } from "../runner/runner.ts";
import type { Target } from "../runner/target.ts";
import { readBack } from "./application.ts";
import { backedUp } from "./backup.ts";
import { checkers } from "./checkers.ts";
import type { BuiltClass } from "./mutant.ts";
import { replaced } from "../sut/replaced.ts";
import { openStage, type StageOptions } from "./settings.ts";
import { cloned } from "./tenant.ts";
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
  /** Runs it on what the configuration names, not on volumes in memory. */
  readonly isReal?: boolean;
  /** Laid over the configuration of the class. */
  readonly config?: ConfigInput;
  readonly onOpen?: (target: Target) => void;
  readonly onViolation?: (violation: Violation, exhibit: Exhibit | undefined, run: Run) => void;
  /** Waited for when the run is over, before its target is closed. */
  readonly onEnd?: (run: Run) => Promise<void>;
}

export interface Trial {
  readonly result: RunResult;
  readonly config: Config;
  /** For people: what it ran on. */
  readonly target: string;
  /** How often the fault took effect. */
  readonly struckCount: number;
  /** Operations completed when the fault first took effect, as far as harrow knows; absent if it never did. */
  readonly struckAfter: number | undefined;
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
function configOf({ entry: { mutant, checker }, variant, config }: TrialOptions): Config {
  const off = variant === "unwatched" ? checkers[checker].off : undefined;
  return galleryConfig(mutant.setting, mutant.config, off, config);
}

export async function performTrial(options: TrialOptions): Promise<Trial> {
  const { entry, variant, seed, log, serveCommand, signal } = options;
  const config = configOf(options);
  const name = `gallery-${entry.id}-${seed}-${variant}`;
  let struckCount = 0;
  let struckAfter: number | undefined;
  let run: Run | undefined;
  await using stage = await openStage({
    entry: variant === "control" ? undefined : entry,
    setting: options.isReal === true ? "embedded" : entry.mutant.setting,
    config,
    seed,
    name,
    log,
    serveCommand,
    signal,
    onStruck: () => {
      struckCount++;
      struckAfter ??= run?.ledger.totals.operationCount ?? 0;
    },
  });
  const { clock, stalled } = stage;
  const target = variant === "unwatched" ? withAudience(entry, stage.target) : stage.target;
  options.onOpen?.(target);
  let firstAlarm: Alarm | undefined;
  const started = performance.now();
  const current = new Run({
    config,
    seed,
    name,
    target,
    log,
    signal,
    clock,
    onViolation: (violation, exhibit) => {
      const { operationCount: operations, bytesWritten } = current.ledger.totals;
      firstAlarm ??= { operations, bytesWritten, seconds: (performance.now() - started) / 1000 };
      options.onViolation?.(violation, exhibit, current);
    },
  });
  run = current;
  const performed = performRun(current, { onProgress: () => {} });
  const result = await (stalled === undefined ? performed : Promise.race([performed, stalled]));
  await options.onEnd?.(current);
  return { result, target: target.description, config, struckCount, struckAfter, firstAlarm };
}

/** The target with somebody on it who believes what the checker responsible would not: else nothing could be wrong. */
function withAudience({ checker, mutant }: BuiltClass, target: Target): Target {
  if (checker === "diff" || checker === "sync")
    return replaced(target, { service: backedUp(target.service) });
  if (checker === "clone") return replaced(target, { service: cloned(target.service) });
  if (mutant.isOfReads !== true) return target;
  const volumes = target.volumes.map((volume) => ({ ...volume, device: readBack(volume.device) }));
  return replaced(target, { volumes });
}
