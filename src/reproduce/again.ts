/**
 * Performs a run again, as it was or changed, on a target opened for it alone.
 *
 * @packageDocumentation
 */
import { parse } from "yaml";
import type { Violation } from "../model/violation.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import { configToYaml } from "../runner/config/write.ts";
import { performHistory, planConfig } from "../runner/perform-history.ts";
import { Run, type RunOptions } from "../runner/run.ts";
import type { RunLog } from "../runner/run-log.ts";
import { performRun, type RunResult } from "../runner/runner.ts";
import type { Stage } from "../runner/stage.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";

/** Where a run can be performed again: each time on volumes that read as zeros, of which nothing stays. */
export interface Ground {
  /** For people. */
  readonly description: string;
  /** What it does wrong on purpose happens whenever it can, and not only in long runs. */
  readonly isEager: boolean;
  /** The same run ends the same each time, so that one try tells. */
  readonly isRepeatable: boolean;
  open(config: Config, run: Opening): Promise<Stage>;
}

interface Opening {
  readonly seed: bigint;
  /** What the run's objects on the target are called. */
  readonly name: string;
  /** Of the try, from 0: what is left to chance is drawn anew for each, where it is drawn at all. */
  readonly attempt: number;
  readonly signal: AbortSignal;
}

/** What is to be performed: a history that is drawn from the seed, or a written one. */
export interface Case {
  readonly config: Config;
  readonly seed: bigint;
  readonly plan?: HistoryPlan | undefined;
}

export interface AgainOptions {
  readonly ground: Ground;
  readonly signal: AbortSignal;
  readonly log: RunLog;
  /** See {@link Opening.attempt}; 0 if left out. */
  readonly attempt?: number;
  readonly onViolation?: RunOptions["onViolation"];
  /** Waited for when the run is over, before its target is closed. */
  readonly onEnd?: (run: Run) => Promise<void>;
}

const name = "harrow-again";

/** @throws What opening the target throws; what the target fails at later is a part of the result. */
export async function performAgain(
  { config, seed, plan }: Case,
  { ground, signal, log, attempt = 0, onViolation = () => {}, onEnd }: AgainOptions,
): Promise<RunResult> {
  await using stage = await ground.open(config, { seed, name, attempt, signal });
  const { target, clock, stalled } = stage;
  const surroundings = { config, target, clock, name, log, signal, onViolation };
  const perform = async (): Promise<RunResult> => {
    if (plan !== undefined)
      return performHistory({ ...surroundings, plan, ...(onEnd === undefined ? {} : { onEnd }) });
    const run = new Run({ ...surroundings, seed });
    const result = await performRun(run, { onProgress: () => {} });
    await onEnd?.(run);
    return result;
  };
  const performed = perform();
  // Waited for here: the target is closed when this function is left.
  return await (stalled === undefined ? performed : Promise.race([performed, stalled]));
}

/** What it is for a failure to be the same: the rule that broke, and the name of what broke it. */
export type Likeness = Pick<Violation, "rule" | "class">;

/** The violation of a run that is like another one, wherever it is; absent if there is none. */
export function likeIn({ violations }: RunResult, { rule, class: name }: Likeness): Violation | undefined {
  return violations.find((one) => one.rule === rule && one.class === name);
}

/**
 * The configuration of a run for a history in its place: the same target, checks and limits, with what the history
 * decides itself as the history says. A plan without depth is performed one lts after another.
 */
export function againConfig(config: Config, plan: HistoryPlan): Config {
  const { runner, geometry, seed, ...rest } = inputOf(config);
  const { overlap, stopAfterTargetErrors } = config.runner;
  return planConfig(plan, {
    ...rest,
    runner: { stopAfterTargetErrors, ...(plan.depth === undefined ? {} : { overlap }) },
  });
}

/** A configuration as one would write it. */
function inputOf(config: Config): ConfigInput {
  return parse(configToYaml(config)) as ConfigInput;
}
