/**
 * Devices and services of which some methods are replaced.
 *
 * @packageDocumentation
 */
import type { BlockDevice, VolumeService } from "../../src/sut/port.ts";
import { opening } from "../../src/gallery/port-lies.ts";
import { replaced } from "../../src/sut/replaced.ts";

/** A service whose volumes have some of their methods replaced. */
export function replacing(
  methods: (device: BlockDevice, uuid: string) => Partial<BlockDevice>,
): (service: VolumeService) => VolumeService {
  return (service) => opening(service, { volume: (uuid, device) => replaced(device, methods(device, uuid)) });
}
