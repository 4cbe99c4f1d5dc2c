/**
 * A volume service some of whose volumes are reached by a block device or file of this host.
 *
 * For volumes that the kernel's own initiator, or another host's, has attached. All else is passed on.
 *
 * @packageDocumentation
 */
import { openBlockDevice } from "../sut/block/open.ts";
import { type BlockDevice, ServiceError, type Volume, type VolumeService } from "../sut/port.ts";
import { replaced } from "../sut/replaced.ts";
import { ConfigError } from "./config/load.ts";

/**
 * The volumes of `target.volumes` by the devices of `target.devices`.
 *
 * @throws {ConfigError} If they are not one to one.
 */
export function attachedVolumes(
  uuids: readonly string[] | undefined,
  devices: readonly string[],
): ReadonlyMap<string, string> {
  if (uuids === undefined)
    throw new ConfigError([
      "target.devices needs target.volumes: the UUIDs of the volumes that the devices are, in the same order",
    ]);
  if (uuids.length !== devices.length)
    throw new ConfigError([
      `target.devices names ${devices.length} devices, target.volumes ${uuids.length} volumes: each volume has one`,
    ]);
  if (new Set(devices).size < devices.length)
    throw new ConfigError(["target.devices names a device twice: each volume has one of its own"]);
  return new Map(uuids.map((uuid, index) => [uuid, devices[index]!]));
}

/**
 * @param paths - By UUID of the volume; they are opened when the volume is, and closed with it.
 * @param direct - Past the page cache: buffers have to be aligned.
 */
export function withVolumePaths(
  service: VolumeService,
  paths: ReadonlyMap<string, string>,
  { direct }: { readonly direct: boolean },
): VolumeService {
  return replaced(service, {
    async openVolume(uuid, options) {
      const path = paths.get(uuid);
      if (path === undefined) return service.openVolume(uuid, options);
      return openPath(path, await service.getVolume(uuid, options), direct);
    },
  });
}

/** @throws {ServiceError} `ERR_INVALID_REQUEST` if what is there is another volume's, as far as that shows. */
async function openPath(path: string, volume: Volume, direct: boolean): Promise<BlockDevice> {
  const blockSizeBytes = volume.sectorSizeBytes;
  const device = await openBlockDevice({ path, blockSizeBytes, io: "threads", direct });
  const mismatch = mismatchOf(device, volume);
  if (mismatch === undefined) return device;
  await device[Symbol.asyncDispose]();
  throw new ServiceError("ERR_INVALID_REQUEST", mismatch);
}

/** Why a device is not the volume. */
export function mismatchOf(
  { identity, blockCount }: Pick<BlockDevice, "identity" | "blockCount">,
  { uuid, sizeBytes, sectorSizeBytes }: Pick<Volume, "uuid" | "sizeBytes" | "sectorSizeBytes">,
): string | undefined {
  const { name, uuid: found } = identity;
  const foundBytes = blockCount * sectorSizeBytes;
  if (found !== undefined && found !== uuid.toLowerCase())
    return `${name} is the namespace ${found}, and not volume ${uuid}: name the devices in the order of the volumes`;
  if (foundBytes !== sizeBytes)
    return `${name} has ${foundBytes} bytes, and volume ${uuid} has ${sizeBytes}: it is another volume's`;
  return undefined;
}
