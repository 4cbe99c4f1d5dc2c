/**
 * Devices and services of which some methods are replaced.
 *
 * @packageDocumentation
 */
import type { BlockDevice, VolumeService } from "../../src/sut/port.ts";

/** A service whose volumes have some of their methods replaced. */
export function replacing(
  methods: (device: BlockDevice, uuid: string) => Partial<BlockDevice>,
): (service: VolumeService) => VolumeService {
  return (service) => ({
    ...service,
    openVolume: async (uuid) => {
      const device = await service.openVolume(uuid);
      return proxied(device, methods(device, uuid));
    },
    [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
  });
}

/** A device with some of its methods replaced. */
export function proxied<Device extends object>(device: Device, replaced: Partial<Device>): Device {
  return new Proxy(device, {
    get(target, key) {
      if (Reflect.has(replaced, key)) return Reflect.get(replaced, key);
      const own = Reflect.get(target, key);
      return typeof own === "function" ? own.bind(target) : own;
    },
  });
}
