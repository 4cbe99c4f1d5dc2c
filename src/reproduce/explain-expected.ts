/**
 * What the model would know of a run of which all went well, one lts after another: its snapshots and rollbacks.
 *
 * Of a drawn history only the rollbacks are gone through. A snapshot of it is worked out when somebody asks for it,
 * however many there were; those of a written history are all kept.
 *
 * @packageDocumentation
 */
import type { RollbackRecord } from "../model/lineage.ts";
import type { SnapshotRecord } from "../model/snapshot-record.ts";
import type { TrackerState } from "../model/tracker.ts";
import type { Config } from "../runner/config/schema.ts";
import type { History } from "../selectors/history.ts";
import type { Workload } from "../selectors/workload.ts";
import { controlSteps, snapshotCountOf } from "./explain-control.ts";
import { restingRecord } from "./explain-resting.ts";
import { firstIndex } from "./first-index.ts";
import type { Turns } from "./turns.ts";

type Expected = Pick<TrackerState, "event" | "snapshots" | "rollbacks">;

export function* drawnState(
  history: Workload,
  config: Config,
  ltsEnd: number,
): Turns<{
  readonly state: Expected;
  readonly expected: (volume: number, snapshot: number) => SnapshotRecord | undefined;
}> {
  const { geometry, control } = history;
  const volumeCount = geometry.volumeBlocks.length;
  const count = snapshotCountOf(history, config, ltsEnd);
  const rollbacks: RollbackRecord[] = [];
  /** After which lts the volumes were put back, ascending. */
  const rollbackLts: number[] = [];
  /** Of snapshots that somebody has asked for, so that each has one record. */
  const known = new Map<number, SnapshotRecord>();

  const expected = (volume: number, snapshot: number): SnapshotRecord | undefined => {
    if (snapshot >= count) return undefined;
    const index = snapshot * volumeCount + volume;
    let record = known.get(index);
    if (record === undefined) {
      const lts = control.snapshots.ltsOf(snapshot);
      // A rollback ends the steps of its lts.
      const branch = firstIndex(rollbackLts.length, (rollback) => rollbackLts[rollback]! >= lts);
      const call = { submitted: 2 * index + 1, completed: 2 * index + 2 };
      record = restingRecord({ snapshot, volume, lts, branch }, call);
      known.set(index, record);
    }
    return record;
  };

  if (config.snapshots.rollback.numerator > 0)
    for (let snapshot = 0; snapshot < count; snapshot++) {
      yield;
      const target = control.snapshots.rollbackAfter(snapshot);
      if (target === undefined) continue;
      const afterLts = control.snapshots.ltsOf(snapshot);
      for (let volume = 0; volume < volumeCount; volume++)
        rollbacks.push({ volume, afterLts, record: expected(volume, target)! });
      rollbackLts.push(afterLts);
    }
  return { state: { event: 2 * count * volumeCount, snapshots: [], rollbacks }, expected };
}

export function* writtenState(history: History, config: Config, ltsEnd: number): Turns<Expected> {
  const volumes = [...history.geometry.volumeBlocks.keys()];
  /** By snapshot, one for each volume. */
  const snapshots = new Map<number, readonly SnapshotRecord[]>();
  const rollbacks: RollbackRecord[] = [];
  let branch = 0;
  let event = 0;
  for (const { lts, step } of controlSteps(history, config, ltsEnd)) {
    yield;
    if (step.kind === "snapshot") {
      const about = { snapshot: step.snapshot, lts, branch };
      const taken = volumes.map((volume) =>
        restingRecord({ ...about, volume }, { submitted: ++event, completed: ++event }),
      );
      snapshots.set(step.snapshot, taken);
    } else if (step.kind === "rollback") {
      const records = snapshots.get(step.snapshot);
      if (records === undefined) continue;
      for (const record of records) rollbacks.push({ volume: record.volume, afterLts: lts, record });
      branch++;
    }
  }
  return { event, snapshots: [...snapshots.values()].flat(), rollbacks };
}
