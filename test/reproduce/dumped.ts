/**
 * Real failure folders, of runs on volumes in memory that lie.
 *
 * @packageDocumentation
 */
import { builtClass } from "../../src/gallery/ground.ts";
import { performTrial, type Trial } from "../../src/gallery/trial.ts";
import type { Violation } from "../../src/model/violation.ts";
import { FailureFolder } from "../../src/reproduce/failure-folder.ts";
import type { FileSystem } from "../../src/reproduce/file-system.ts";
import type { ConfigInput } from "../../src/runner/config/schema.ts";
import type { Exhibit } from "../../src/runner/exhibit.ts";
import type { Run } from "../../src/runner/run.ts";
import type { Target } from "../../src/runner/target.ts";

export interface DumpedRunOptions {
  /** Directory in which the folder is made. */
  readonly failures: string;
  /** Of the gallery; a lost write if left out. */
  readonly entry?: string;
  readonly config?: ConfigInput;
  readonly fileSystem?: FileSystem;
  readonly history?: string;
  readonly onOpen?: (target: Target) => void;
  /** When the run is over, and before the folder is finished. */
  readonly onOver?: (run: Run) => void;
}

export interface DumpedRun {
  readonly path: string | undefined;
  readonly seen: readonly { readonly violation: Violation; readonly exhibit: Exhibit | undefined }[];
  readonly trial: Trial;
  readonly run: Run;
  /** What the run's log was told. */
  readonly warnings: readonly string[];
  /** What finishing the folder threw. */
  readonly error: unknown;
}

export const version = "0.0.1";
export const seed = 3n;

/** Runs a class of the gallery until it is found out, and has the folder of it written. */
export async function dumpedRun(options: DumpedRunOptions): Promise<DumpedRun> {
  const { failures, fileSystem, history, config, onOpen, onOver, entry = "M16" } = options;
  const folder = new FailureFolder({
    version,
    bug: { class: entry, seed: String(seed), isEager: false, setting: "memory" },
    ...(fileSystem === undefined ? {} : { fileSystem }),
    ...(history === undefined ? {} : { history }),
  });
  const seen: { violation: Violation; exhibit: Exhibit | undefined }[] = [];
  const warnings: string[] = [];
  let ended: Run | undefined;
  let error: unknown;
  const trial = await performTrial({
    entry: builtClass(entry),
    variant: "fault",
    seed,
    log: { info: () => {}, warn: (message) => warnings.push(message) },
    serveCommand: [],
    signal: new AbortController().signal,
    config: { ...config, failures, runner: { stopAfterViolations: 1, ...config?.runner } },
    ...(onOpen === undefined ? {} : { onOpen }),
    onViolation: (violation, exhibit, run) => {
      seen.push({ violation, exhibit });
      folder.add(violation, exhibit, run);
    },
    onEnd: async (run) => {
      ended = run;
      onOver?.(run);
      await folder.finish(run).catch((thrown: unknown) => {
        error = thrown;
      });
    },
  });
  return { path: folder.path, seen, trial, run: ended!, warnings, error };
}
