/**
 * Snapshots that the suite made: removed after each test, and found again if a run was killed before it could.
 *
 * @packageDocumentation
 */
import type { Snapshot, VolumeService } from "../../sut/port.ts";

/** Begins the name of every snapshot of every run. */
export const snapshotPrefix = "harrow-cb-";

/** Removes snapshots, the first first; what can not be removed is told. */
export async function removeSnapshots(
  service: VolumeService,
  snapshots: readonly { readonly uuid: string; readonly name: string }[],
  warn: (message: string) => void,
): Promise<void> {
  for (const { uuid, name } of snapshots)
    try {
      await service.deleteSnapshot(uuid);
    } catch (error) {
      warn(`snapshot ${name} stays: ${error instanceof Error ? error.message : String(error)}`);
    }
}

/** Snapshots of a volume that an earlier run has left, the newest first. */
export async function findLeftovers(
  service: VolumeService,
  volumeUuid: string,
  signal: AbortSignal,
): Promise<readonly Snapshot[]> {
  const all = await service.listSnapshots({ signal });
  return all
    .filter(({ name, state, sourceVolumeUuid }) => {
      const isThere = state !== "deleting" && state !== "deleted";
      return isThere && sourceVolumeUuid === volumeUuid && name.startsWith(snapshotPrefix);
    })
    .reverse();
}
