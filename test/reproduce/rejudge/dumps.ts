/**
 * Dumps of runs that fail, to be judged again.
 *
 * @packageDocumentation
 */
import { stringify } from "yaml";
import type { Dump } from "../../../src/reproduce/dump.ts";
import { FailureFolder } from "../../../src/reproduce/failure-folder.ts";
import { readDump } from "../../../src/reproduce/read-dump.ts";
import type { Judgement } from "../../../src/reproduce/rejudge/judgement.ts";
import { parseConfig } from "../../../src/runner/config/load.ts";
import type { ConfigInput } from "../../../src/runner/config/schema.ts";
import { Run } from "../../../src/runner/run.ts";
import { performRun } from "../../../src/runner/runner.ts";
import { openTarget, type SpoiledTarget } from "../../../src/runner/target.ts";

export const log = { info: () => {}, warn: () => {} };
export const { signal } = new AbortController();

/** Some writes to a small volume, each looked at right away. */
export const small: ConfigInput = {
  geometry: { volumeSize: "1MiB", extentSize: "64KiB", blockSize: 4096 },
  operations: { blocks: { min: 1, max: 4 }, weights: { compareAndWrite: 0, compareAndWriteMiss: 0 } },
  snapshots: { every: 0 },
  checks: { recent: { every: 1, extents: 1 } },
  runner: { kind: "sequential", lts: 60, stopAfterViolations: 1 },
  target: { kind: "memory" },
  dump: "image",
  record: "never",
};

/** Performs a run on a target that stays, if it can, and reads the folder that it leaves. */
export async function dumpOf(
  config: ConfigInput,
  {
    failures,
    spoiled = {},
    serveCommand = [],
  }: {
    readonly failures: string;
    readonly spoiled?: SpoiledTarget;
    readonly serveCommand?: readonly string[];
  },
): Promise<Dump> {
  const parsed = { ...parseConfig(stringify(config), "test"), failures };
  const around = { config: parsed, seed: 7n, name: "judged-again", log, signal };
  await using target = await openTarget({ ...around, serveCommand, environment: {}, spoiled });
  const folder = new FailureFolder({ version: "1" });
  const run: Run = new Run({
    ...{ ...around, target },
    onViolation: (violation, exhibit) => folder.add(violation, exhibit, run),
  });
  await performRun(run, { onProgress: () => {} });
  await folder.finish(run);
  target.keep();
  if (folder.path === undefined) throw new Error("the run found nothing");
  return readDump(folder.path);
}

export function verdictsOf(judgements: readonly Judgement[]): readonly string[] {
  return judgements.map(
    ({ verdict, found }) => `${verdict}${found === undefined ? "" : ` ${found.rule}/${found.class}`}`,
  );
}
