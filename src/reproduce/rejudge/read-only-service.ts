/**
 * A service that is only asked: what would change anything on the target is refused before it gets there.
 *
 * @packageDocumentation
 */
import { type BlockDevice, ServiceError, type Volume, type VolumeService } from "../../sut/port.ts";
import type { DumpedTarget, DumpedVolume } from "../dump.ts";
import { absentDevice, readOnly } from "./read-only-device.ts";

/**
 * In the place of a dumped volume that is gone stands one that can not be read, so that the others can still be.
 *
 * Snapshots are opened as the service does it, if need be by way of a clone that goes when it is closed.
 */
export function readOnlyService(inner: VolumeService, { volumes }: DumpedTarget): VolumeService {
  const dumped = (uuid: string): DumpedVolume | undefined => volumes.find((one) => one.uuid === uuid);
  return {
    diffCapabilities: inner.diffCapabilities,
    createVolume: refuse,
    resizeVolume: refuse,
    deleteVolume: refuse,
    createSnapshot: refuse,
    deleteSnapshot: refuse,
    cloneSnapshot: refuse,
    rollbackVolume: refuse,
    listVolumes: (options) => inner.listVolumes(options),
    getSnapshot: (uuid, options) => inner.getSnapshot(uuid, options),
    listSnapshots: (options) => inner.listSnapshots(options),
    diff: (request, options) => inner.diff(request, options),
    getVolume: (uuid, options) => {
      const known = dumped(uuid);
      return orElse(
        () => inner.getVolume(uuid, options),
        known === undefined ? undefined : () => goneVolume(known),
      );
    },
    openVolume: (uuid, options) => {
      const known = dumped(uuid);
      return orElse(
        async () => readOnly(await inner.openVolume(uuid, options)),
        known === undefined ? undefined : () => absentDevice(known, `volume ${uuid} is gone`),
      );
    },
    openSnapshot: async (uuid, options): Promise<BlockDevice> =>
      readOnly(await inner.openSnapshot(uuid, options)),
    [Symbol.asyncDispose]: async () => inner[Symbol.asyncDispose](),
  };
}

function refuse(): Promise<never> {
  return Promise.reject(
    new ServiceError("ERR_FORBIDDEN", "the target is only looked at: nothing of it is changed"),
  );
}

async function orElse<Found>(find: () => Promise<Found>, gone: (() => Found) | undefined): Promise<Found> {
  try {
    return await find();
  } catch (error) {
    if (gone !== undefined && error instanceof ServiceError && error.code === "ERR_NOT_FOUND") return gone();
    throw error;
  }
}

function goneVolume({ uuid, identity, capabilities, blockCount }: DumpedVolume): Volume {
  const { blockSizeBytes } = capabilities;
  return {
    uuid,
    name: identity.name,
    sizeBytes: blockCount * blockSizeBytes,
    sectorSizeBytes: blockSizeBytes,
    state: "deleted",
    nsid: undefined,
    sourceSnapshotUuid: undefined,
  };
}
