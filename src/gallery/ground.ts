/**
 * Where a failure is brought about again: on the target that it was found on, or on another kind, with the mistake
 * that the target made on purpose switched on again.
 *
 * @packageDocumentation
 */
import type { Ground } from "../reproduce/again.ts";
import type { BugNote } from "../reproduce/dump.ts";
import { parseConfig } from "../runner/config/load.ts";
import type { Config } from "../runner/config/schema.ts";
import type { RunLog } from "../runner/run-log.ts";
import { classesById } from "./catalogue.ts";
import { type BuiltClass, isBuilt, type Setting } from "./mutant.ts";
import { openStage } from "./settings.ts";

export interface GroundOptions {
  readonly bug?: BugNote | undefined;
  /** Has the mistake made whenever it can be, also if it was not then. */
  readonly isEager?: boolean;
  /** Of the run that is to be performed again. */
  readonly config: Config;
  /** `configured` is the target of the configuration, whatever it is. */
  readonly target: "memory" | "embedded" | "configured";
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly log: RunLog;
}

/** Keeps the draws of one try apart from those of the next. */
const attemptStride = 0x9e37_79b9_7f4a_7c15n;

/** @throws {Error} If the class is none that this version can switch on. */
export function groundOf({ bug, isEager, config, target, serveCommand, log }: GroundOptions): Ground {
  const entry = bug === undefined ? undefined : builtClass(bug.class);
  const setting = settingOf({ bug, config, target });
  const eager = isEager ?? bug?.isEager ?? false;
  const spoiled = entry === undefined ? "" : `, with the mistake of class ${entry.id} (${entry.title})`;
  return {
    description: `${settingText(setting, target, config)}${spoiled}`,
    isEager: eager,
    isRepeatable: setting === "memory",
    open: (configOfRun, { seed, name, attempt, signal }) => {
      const own = bug === undefined ? seed : BigInt(bug.seed);
      return openStage({
        ...{ entry, isEager: eager, setting, name, log, serveCommand, signal },
        config: onTarget(configOfRun, setting, target),
        seed: setting === "jittery" ? BigInt.asUintN(64, own + BigInt(attempt) * attemptStride) : own,
        onStruck: () => {},
      });
    },
  };
}

/** @throws {Error} If there is no such class, or it can not be shown. */
export function builtClass(id: string): BuiltClass {
  const entry = classesById.get(id.toUpperCase());
  if (entry !== undefined && isBuilt(entry)) return entry;
  throw new Error(
    `bug '${id}': expected a class of the gallery that is built; harrow gallery --list shows them`,
  );
}

function settingOf({ bug, config, target }: Pick<GroundOptions, "bug" | "config" | "target">): Setting {
  if (bug !== undefined && target !== "embedded") return bug.setting;
  return target === "memory" || (target === "configured" && config.target.kind === "memory")
    ? "memory"
    : "embedded";
}

/** A run that is moved to another target takes nothing of its old one along. */
function onTarget(config: Config, setting: Setting, target: GroundOptions["target"]): Config {
  if (setting !== "embedded" || target === "configured" || config.target.kind === "embedded") return config;
  return { ...config, target: parseConfig("target: { kind: embedded }", "the embedded target").target };
}

function settingText(setting: Setting, target: GroundOptions["target"], config: Config): string {
  switch (setting) {
    case "memory":
      return "volumes in memory";
    case "jittery":
      return "volumes in memory, at random instants";
    case "embedded":
      return target === "configured" && config.target.kind !== "embedded"
        ? `the configured target, of kind ${config.target.kind}`
        : "the embedded target";
  }
}
