/**
 * Writes down at once all that a run remembers, in the format of a run that is kept on disk as it goes on.
 *
 * What is read of it is read by `readRunMemory` of `run-store.ts`, and taken up as `resume.ts` does.
 *
 * @packageDocumentation
 */
import { configToYaml } from "./config/write.ts";
import { progressOf } from "./resume.ts";
import type { Run } from "./run.ts";
import { RunStore } from "./run-store.ts";
import { keptVolumes } from "./target.ts";

export interface MemoryAbout {
  /** Of harrow. */
  readonly version: string;
  /** ISO 8601. */
  readonly startedAt: string;
  /** Milliseconds that the run has gone on for. */
  readonly elapsedMs: number;
}

/** What of a run is written down. */
export type RememberedRun = Pick<
  Run,
  "config" | "seed" | "name" | "target" | "tracker" | "ledger" | "ltsClock" | "digest" | "snapshotsKept"
> &
  Pick<Run, "unequal" | "crashLts">;

/**
 * Beside the model's state it keeps the documents `progress`, `snapshots` and `unequal` of a run that goes on, and
 * `crashLts`.
 *
 * @param directory - New or empty; complete, and on stable media, when this returns.
 * @throws {RunStoreError} `ERR_NOT_EMPTY` or `ERR_IO`.
 */
export function writeRunMemory(
  directory: string,
  run: RememberedRun,
  { version, startedAt, elapsedMs }: MemoryAbout,
): void {
  const { tracker, config, seed, name } = run;
  const store = RunStore.create(directory, {
    version,
    configYaml: configToYaml({ ...config, seed }),
    seed: `0x${seed.toString(16)}`,
    name,
    target: { volumes: keptVolumes(run.target) },
    startedAt,
  });
  try {
    store.follow({ lastEvent: tracker.lastEvent, listen: (listener) => tracker.tell(listener) });
    store.putDocument("progress", progressOf(run, elapsedMs));
    store.putDocument("snapshots", run.snapshotsKept);
    store.putDocument("unequal", run.unequal);
    store.putDocument("crashLts", run.crashLts);
    store.reserve(tracker.ltsStartedMax);
  } finally {
    store.close();
  }
}
