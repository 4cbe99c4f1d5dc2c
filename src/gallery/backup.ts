/**
 * Somebody who takes backups by diffs, and believes what they tell.
 *
 * With the checker switched off that is responsible for diffs, nobody in a run asks for any, and none could be wrong.
 *
 * @packageDocumentation
 */
import type { DiffPage, VolumeService } from "../sut/port.ts";
import { replaced } from "../sut/replaced.ts";

/**
 * A service of which each snapshot's diffs are asked: without base, with the snapshot before it, with the one before
 * that, and with one that is gone.
 */
export function backedUp(service: VolumeService): VolumeService {
  /** The last two of each volume, the newest last. */
  const newest = new Map<string, readonly string[]>();
  let deleted: string | undefined;
  return replaced(service, {
    deleteSnapshot: async (uuid, options) => {
      await service.deleteSnapshot(uuid, options);
      deleted = uuid;
    },
    createSnapshot: async (request, options) => {
      const snapshot = await service.createSnapshot(request, options);
      const { uuid: snapshotUuid } = snapshot;
      // Twice, as after a time-out.
      for (let tries = 0; tries < 2; tries++) await allOf(service.diff({ snapshotUuid }, options));
      const bases = newest.get(request.volumeUuid) ?? [];
      // The older one may be gone.
      for (const baseSnapshotUuid of bases)
        await allOf(service.diff({ snapshotUuid, baseSnapshotUuid }, options)).catch(() => {});
      newest.set(request.volumeUuid, [...bases.slice(-1), snapshotUuid]);
      if (deleted !== undefined)
        // Whoever keeps no account of what was deleted is refused.
        await allOf(service.diff({ snapshotUuid, baseSnapshotUuid: deleted }, options)).catch(() => {});
      return snapshot;
    },
  });
}

async function allOf(pages: AsyncIterable<DiffPage>): Promise<void> {
  const iterator = pages[Symbol.asyncIterator]();
  while ((await iterator.next()).done !== true);
}
