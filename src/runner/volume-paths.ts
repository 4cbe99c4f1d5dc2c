/**
 * A volume service some of whose volumes are reached by a block device or file of this host.
 *
 * For volumes that the kernel's own initiator, or another host's, has attached. All else is passed on.
 *
 * @packageDocumentation
 */
import { openBlockDevice } from "../sut/block/open.ts";
import { ServiceError, type VolumeService } from "../sut/port.ts";

/** @param paths - By UUID of the volume; they are opened when the volume is, and closed with it. */
export function withVolumePaths(service: VolumeService, paths: ReadonlyMap<string, string>): VolumeService {
  return {
    diffCapabilities: service.diffCapabilities,
    async openVolume(uuid, options) {
      const path = paths.get(uuid);
      if (path === undefined) return service.openVolume(uuid, options);
      const { sizeBytes, sectorSizeBytes } = await service.getVolume(uuid, options);
      const device = await openBlockDevice({ path, blockSizeBytes: sectorSizeBytes, io: "threads" });
      const foundBytes = device.blockCount * sectorSizeBytes;
      if (foundBytes === sizeBytes) return device;
      await device[Symbol.asyncDispose]();
      throw new ServiceError(
        "ERR_INVALID_REQUEST",
        `${path} has ${foundBytes} bytes, and volume ${uuid} has ${sizeBytes}: it is another volume's`,
      );
    },
    openSnapshot: (uuid, options) => service.openSnapshot(uuid, options),
    createVolume: (request, options) => service.createVolume(request, options),
    getVolume: (uuid, options) => service.getVolume(uuid, options),
    listVolumes: (options) => service.listVolumes(options),
    resizeVolume: (request, options) => service.resizeVolume(request, options),
    deleteVolume: (uuid, options) => service.deleteVolume(uuid, options),
    createSnapshot: (request, options) => service.createSnapshot(request, options),
    getSnapshot: (uuid, options) => service.getSnapshot(uuid, options),
    listSnapshots: (options) => service.listSnapshots(options),
    deleteSnapshot: (uuid, options) => service.deleteSnapshot(uuid, options),
    cloneSnapshot: (request, options) => service.cloneSnapshot(request, options),
    rollbackVolume: (request, options) => service.rollbackVolume(request, options),
    diff: (request, options) => service.diff(request, options),
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  };
}
