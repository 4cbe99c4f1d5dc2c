/**
 * Takes up a run whose process has ended, in whatever way: what it may have had under way is in doubt, and what it
 * was about to do at the control plane is undone or done again.
 *
 * @packageDocumentation
 */
import type { VolatileOperation } from "../model/durability.ts";
import type { LedgerState } from "../model/ledger.ts";
import { Tracker } from "../model/tracker.ts";
import { openChanges } from "../selectors/history.ts";
import { ServiceError } from "../sut/port.ts";
import { asked } from "./asked.ts";
import type { DigestLink } from "./history-digest.ts";
import type { ResumedRun, Run } from "./run.ts";
import type { RunMemory } from "./run-store.ts";
import { TargetFailure } from "./target-failure.ts";
import type { ControlVisitor } from "./visitors/control.ts";
import type { SnapshotShelf } from "./visitors/shelf.ts";
import { resize } from "./visitors/volumes.ts";

/** What the run keeps beside the tracker's own. */
interface KeptProgress {
  readonly ledger: LedgerState;
  readonly clock: unknown;
  readonly digest: DigestLink;
  readonly elapsedMs: number;
}

/** What the run was about to ask of the service. */
type Intent =
  | { readonly kind: "snapshot"; readonly names: readonly string[] }
  | { readonly kind: "deleteSnapshot"; readonly snapshot: number }
  | { readonly kind: "rollback"; readonly snapshot: number; readonly afterLts: number }
  | { readonly kind: "resize"; readonly step: number }
  | { readonly kind: "crash"; readonly atStake: readonly VolatileOperation[] };

export function progressOf(
  { ledger, ltsClock, digest }: Pick<Run, "ledger" | "ltsClock" | "digest">,
  elapsedMs: number,
): KeptProgress {
  return { ledger: ledger.state, clock: ltsClock.toJSON(), digest: digest.link, elapsedMs };
}

/** What a new process takes over; nothing but the tracker if the run ended before it had begun. */
export function resumedRun(memory: RunMemory): ResumedRun {
  const tracker = Tracker.resumed(memory);
  const kept = memory.documents.get("progress") as KeptProgress | undefined;
  return {
    tracker,
    ledger: kept?.ledger ?? { counts: {}, operations: {} },
    digest: kept?.digest,
    clock: kept?.clock,
    elapsedMs: kept?.elapsedMs ?? 0,
    unequal: memory.documents.get("unequal") as ResumedRun["unequal"],
  };
}

/** Everything that the last process may have begun, and is not known to have ended, is in doubt. */
export function interruptOpenLts(run: Run, memory: RunMemory): void {
  const { tracker, workload } = run;
  tracker.interrupt(openChanges(workload, memory));
  if (!run.config.checks.secondVolume) return;
  // Of what is in doubt, one of two volumes may have what the other has not.
  for (const { position } of tracker.exceptions()) addUnequal(run, position);
}

function addUnequal({ workload, unequal }: Run, position: number): void {
  const found = workload.operationOf(position);
  if (found !== undefined) unequal.add(found.extent, found.operation);
}

/** Brings the target to where the model is. */
export async function settleTarget(run: Run, control: ControlVisitor, memory: RunMemory): Promise<void> {
  const { target, workload } = run;
  for (const volume of target.volumes.keys())
    if (!(await run.fence(volume))) throw new TargetFailure(`volume ${volume} can not be reached`);
  control.shelf.resume(memory.documents.get("snapshots"));
  if (run.config.target.kind === "block") return;
  await settleIntent(run, control.shelf, memory.documents.get("intent") as Intent | null | undefined);
  await removeLeftovers(run, control.shelf);
  const blockCounts = target.volumes.map((_, volume) => workload.sizes.blockCountAt(volume, run.ltsBegun));
  if (target.volumes.some(({ device }, volume) => device.blockCount < blockCounts[volume]!))
    await resize(run, { kind: "resize", step: workload.sizes.stepCountAt(run.ltsBegun), blockCounts });
}

async function settleIntent(
  run: Run,
  shelf: SnapshotShelf,
  intent: Intent | null | undefined,
): Promise<void> {
  const { service, volumes } = run.target;
  switch (intent?.kind) {
    case "deleteSnapshot":
      for (const { uuid } of shelf.volumesOf(intent.snapshot)) await deleteIfThere(run, uuid);
      shelf.deleted(intent.snapshot);
      break;
    case "rollback":
      for (const [volume, { uuid: volumeUuid }] of volumes.entries()) {
        const { uuid: snapshotUuid, record } = shelf.of(intent.snapshot, volume);
        // Nothing has been written since, so a second time changes nothing.
        await asked(
          `putting volume ${volume} back to snapshot ${intent.snapshot}, again`,
          service.rollbackVolume({ volumeUuid, snapshotUuid }),
        );
        if (run.tracker.rollbacksOf(volume).at(-1)?.afterLts !== intent.afterLts)
          run.tracker.rolledBack({ volume, afterLts: intent.afterLts, record });
      }
      break;
    case "snapshot":
      for (const name of intent.names)
        run.ledger.notChecked(`snapshot ${name}`, "the run was ended while it was being taken");
      break;
    case "crash": {
      const crashEvent = run.tracker.crashed();
      for (const operation of intent.atStake) {
        run.tracker.lose(operation.position, crashEvent, operation);
        // Two volumes need not lose the same.
        addUnequal(run, operation.position);
      }
      run.crashLts = run.tracker.ltsStartedMax;
      break;
    }
    case "resize":
    case undefined:
      break;
  }
  run.recorder?.putDocument("intent", null);
  run.recorder?.commitDurably();
}

async function deleteIfThere(run: Run, uuid: string): Promise<void> {
  try {
    await run.target.service.deleteSnapshot(uuid);
  } catch (error) {
    if (!(error instanceof ServiceError && error.code === "ERR_NOT_FOUND"))
      throw new TargetFailure(`deleting snapshot ${uuid}: ${(error as Error).message}`, { cause: error });
  }
}

/** Clones, copies and snapshots of this run that nobody knows any more. */
async function removeLeftovers(run: Run, shelf: SnapshotShelf): Promise<void> {
  const { service, volumes } = run.target;
  const known = new Set(volumes.flatMap(({ uuid, secondUuid }) => [uuid, secondUuid]));
  const isOurs = (name: string): boolean => name.startsWith(`${run.name}-v`);
  for (const { uuid, name, state } of await asked("listing volumes", service.listVolumes()))
    if (isOurs(name) && !known.has(uuid) && state === "available")
      await asked(`deleting ${name}, which the run had left`, service.deleteVolume(uuid));
  const alive = new Set(shelf.namesAlive);
  for (const { uuid, name } of await asked("listing snapshots", service.listSnapshots()))
    if (isOurs(name) && !alive.has(name)) await deleteIfThere(run, uuid);
}
