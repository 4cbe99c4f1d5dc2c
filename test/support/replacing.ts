/**
 * Devices and services of which some methods are replaced.
 *
 * @packageDocumentation
 */
import { replaced } from "../../src/gallery/port-lies.ts";
import type { BlockDevice, VolumeService } from "../../src/sut/port.ts";

/** A service whose volumes have some of their methods replaced. */
export function replacing(
  methods: (device: BlockDevice, uuid: string) => Partial<BlockDevice>,
): (service: VolumeService) => VolumeService {
  return (service) => ({
    ...service,
    openVolume: async (uuid) => {
      const device = await service.openVolume(uuid);
      return replaced(device, methods(device, uuid));
    },
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  });
}
