/**
 * Volumes and snapshots by the names that people give them.
 *
 * Names are unique in a project among what is not deleted. A text that is the UUID of an object means that
 * object, even if another has it for a name.
 *
 * @packageDocumentation
 */

import { type CallOptions, ServiceError, type Snapshot, type Volume, type VolumeService } from "../port.ts";
import { printable } from "../wording.ts";

/** @throws {ServiceError} `ERR_NOT_FOUND` if no volume has that UUID or name. */
export function findVolume(
  service: VolumeService,
  uuidOrName: string,
  options?: CallOptions,
): Promise<Volume> {
  return find("volume", uuidOrName, {
    get: () => service.getVolume(uuidOrName.toLowerCase(), options),
    list: () => service.listVolumes(options),
  });
}

/** @throws {ServiceError} `ERR_NOT_FOUND` if no snapshot has that UUID or name. */
export function findSnapshot(
  service: VolumeService,
  uuidOrName: string,
  options?: CallOptions,
): Promise<Snapshot> {
  return find("snapshot", uuidOrName, {
    get: () => service.getSnapshot(uuidOrName.toLowerCase(), options),
    list: () => service.listSnapshots(options),
  });
}

async function find<Found extends Volume | Snapshot>(
  what: "volume" | "snapshot",
  uuidOrName: string,
  { get, list }: { readonly get: () => Promise<Found>; readonly list: () => Promise<readonly Found[]> },
): Promise<Found> {
  if (/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i.test(uuidOrName)) {
    try {
      return await get();
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== "ERR_NOT_FOUND") throw error;
    }
  }
  const live = (await list()).filter(({ state }) => state !== "deleted");
  const found = live.find(({ name }) => name === uuidOrName);
  if (found !== undefined) return found;
  const names = live.slice(0, namesShownMax).map(({ name }) => printable(name, 60));
  const more = live.length > namesShownMax ? ` and ${live.length - namesShownMax} more` : "";
  throw new ServiceError(
    "ERR_NOT_FOUND",
    `no ${what} has the UUID or name ${printable(uuidOrName, 80)}: ` +
      (names.length === 0 ? `the project has none` : `the project has ${names.join(", ")}${more}`),
  );
}

const namesShownMax = 10;
