/**
 * Hooks for a driver whose volumes and snapshots a volume service makes: the embedded target, or any other with a
 * control plane and a data path that harrow knows.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { BlockDevice, BlockRange, Outcome, VolumeService } from "../../sut/port.ts";
import { ServiceError } from "../../sut/port.ts";
import type { DriverHooks } from "./driver.ts";

/** How long a device may take to show a new size. */
const growthTimeoutMs = 30_000;

export interface ServiceHooks extends DriverHooks, AsyncDisposable {}

/**
 * Makes the hooks; disposing them deletes all that was made through them, and leaves the service open.
 *
 * @param options.blockSizeBytes - Of the volumes; 4096 if absent.
 * @param options.prefix - Before the names of volumes and snapshots; `harrow-csi` if absent.
 */
export function serviceHooks(
  service: VolumeService,
  options: { readonly blockSizeBytes?: number; readonly prefix?: string } = {},
): ServiceHooks {
  const { blockSizeBytes = 4096, prefix = "harrow-csi" } = options;
  const run = randomUUID().slice(0, 8);
  const devices = new Map<string, BlockDevice>();
  const snapshots = new Set<string>();
  let count = 0;
  const name = (what: string) => `${prefix}-${run}-${what}-${++count}`;
  const deviceOf = (volume: string): BlockDevice => {
    const device = devices.get(volume);
    if (device === undefined) throw new Error(`volume ${volume} was not made here`);
    return device;
  };
  const onDevice = async (what: string, volume: string, apply: (device: BlockDevice) => Promise<Outcome>) => {
    const device = deviceOf(volume);
    const outcome = await apply(device);
    const flushed = outcome.kind === "ok" ? await device.flush() : outcome;
    if (flushed.kind !== "ok")
      throw new ServiceError(
        "ERR_TARGET",
        `${what} on ${device.identity.name}: ${flushed.code}: ${flushed.message}`,
      );
  };
  return {
    blockSizeBytes,
    createVolume: async (sizeBytes) => {
      const { uuid } = await service.createVolume({
        name: name("v"),
        sizeBytes,
        sectorSizeBytes: blockSizeBytes,
      });
      devices.set(uuid, await service.openVolume(uuid));
      return uuid;
    },
    write: (volume, range, from) => onDevice("write", volume, (device) => device.write({ ...range, from })),
    writeZeroes: (volume, range) => onDevice("write zeroes", volume, (device) => device.writeZeroes(range)),
    deallocate: (volume, range) => onDevice("deallocate", volume, (device) => giveBack(device, range)),
    createSnapshot: async (volumeUuid) => {
      const { uuid } = await service.createSnapshot({ name: name("s"), volumeUuid });
      snapshots.add(uuid);
      return uuid;
    },
    deleteSnapshot: async (uuid) => {
      await service.deleteSnapshot(uuid);
      snapshots.delete(uuid);
    },
    growVolume: async (uuid, sizeBytes) => {
      await service.resizeVolume({ uuid, sizeBytes });
      const device = deviceOf(uuid);
      const deadlineMs = performance.now() + growthTimeoutMs;
      while (device.blockCount * blockSizeBytes < sizeBytes) {
        if (performance.now() > deadlineMs)
          throw new ServiceError(
            "ERR_TIMEOUT",
            `${device.identity.name} has ${device.blockCount} blocks, and not ${sizeBytes / blockSizeBytes}, ${growthTimeoutMs} ms after it was made larger`,
          );
        await sleep(10);
      }
    },
    [Symbol.asyncDispose]: async () => {
      for (const device of devices.values()) await device[Symbol.asyncDispose]();
      // Newest first: a service may refuse to delete what others stand on.
      for (const uuid of [...snapshots].reverse()) await service.deleteSnapshot(uuid);
      for (const uuid of devices.keys()) await service.deleteVolume(uuid);
      devices.clear();
      snapshots.clear();
    },
  };
}

/** Zeros, also from a device that promises none for what it was given back. */
function giveBack(device: BlockDevice, range: BlockRange): Promise<Outcome> {
  const { deallocate, deallocatedReads } = device.capabilities;
  return deallocate && deallocatedReads === "zeros"
    ? device.deallocate({ ranges: [range] })
    : device.writeZeroes({ ...range, deallocate: true });
}
