/**
 * Brings a class about once and leaves the failure folder of what was found, to be reproduced, shrunk and explained.
 *
 * @packageDocumentation
 */
import { FailureFolder } from "../reproduce/failure-folder.ts";
import type { BuiltClass } from "./mutant.ts";
import { performTrial, type Trial, type TrialOptions } from "./trial.ts";

export interface DumpClassOptions extends Omit<TrialOptions, "variant" | "onViolation" | "onEnd" | "isReal"> {
  readonly entry: BuiltClass;
  /** Directory in which the folder is made. */
  readonly failures: string;
  readonly version: string;
}

/**
 * The run ends with the first violation, as runs of others do, and leaves an image.
 *
 * @returns Where the folder is, absent if nothing was found; and why it can not be used, if it can not.
 */
export async function dumpClass({ failures, version, config, ...options }: DumpClassOptions): Promise<{
  readonly trial: Trial;
  readonly path: string | undefined;
  readonly problem: string | undefined;
}> {
  const { entry, seed } = options;
  const { setting } = entry.mutant;
  const folder = new FailureFolder({
    version,
    bug: { class: entry.id, seed: String(seed), isEager: false, setting },
  });
  let problem: string | undefined;
  const trial = await performTrial({
    ...options,
    variant: "fault",
    config: { ...config, failures, dump: "image", runner: { ...config?.runner, stopAfterViolations: 1 } },
    onViolation: (violation, exhibit, run) => folder.add(violation, exhibit, run),
    onEnd: (run) =>
      folder.finish(run).catch((error: Error) => {
        problem = error.message;
      }),
  });
  return { trial, path: folder.path, problem };
}
