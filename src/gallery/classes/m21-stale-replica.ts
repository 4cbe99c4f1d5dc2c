import type { BlockDevice, VolumeService } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { between } from "../chances.ts";
import type { PortMutant, Scene } from "../mutant.ts";
import { opening } from "../port-lies.ts";

/** Versions of one block that a replica misses before it takes over, where it is to happen in a short history. */
const missedMax = 2;

/** A replica misses all writes from some time on, and takes over later. */
export const staleReplica: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    geometry: { volumeSize: "512KiB" },
    operations: {
      weights: { writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 },
    },
  },
  service: (service, scene) =>
    opening(service, { volume: (uuid, device) => failsOver(service, uuid, device, scene) }),
};

function failsOver(service: VolumeService, uuid: string, device: BlockDevice, scene: Scene): BlockDevice {
  const { isEager = false } = scene;
  const lastWrite = isEager ? Number.POSITIVE_INFINITY : between(scene, { min: 150, max: 250 });
  const failover = lastWrite + between(scene, { min: 150, max: 250 });
  /** Where it is to happen in a short history: the replica has a block's first version, and misses the next ones. */
  const written = new Set<number>();
  const missed = new Map<number, number>();
  let replica: Promise<Replica> | undefined;
  let serving = device;
  let writes = 0;
  const takeOver = async (): Promise<void> => {
    serving = (await replica!).device;
    scene.struck();
  };
  return replaced(device, {
    write: async (request, options) => {
      writes++;
      if (writes === lastWrite || (isEager && replica === undefined && written.has(request.block))) {
        replica = copyOf(service, uuid);
        // What went wrong is told when it is to take over.
        replica.catch(() => {});
      }
      if (writes === failover) await takeOver();
      const outcome = await serving.write(request, options);
      written.add(request.block);
      if (!isEager || replica === undefined || serving !== device) return outcome;
      const count = (missed.get(request.block) ?? 0) + 1;
      missed.set(request.block, count);
      if (count === missedMax) await takeOver();
      return outcome;
    },
    read: (request, options) => serving.read(request, options),
    flush: (options) => serving.flush(options),
    [Symbol.asyncDispose]: async () => {
      await device[Symbol.asyncDispose]();
      await (await replica)?.remove();
    },
  });
}

interface Replica {
  readonly device: BlockDevice;
  readonly remove: () => Promise<void>;
}

/** The volume as it is, by way of a snapshot that nobody asked for. */
async function copyOf(service: VolumeService, volumeUuid: string): Promise<Replica> {
  const { uuid: snapshotUuid } = await service.createSnapshot({ name: `base-of-${volumeUuid}`, volumeUuid });
  const { uuid } = await service.cloneSnapshot({ name: `replica-of-${volumeUuid}`, snapshotUuid });
  const device = await service.openVolume(uuid);
  return {
    device,
    remove: async () => {
      await device[Symbol.asyncDispose]();
      await service.deleteVolume(uuid);
      await service.deleteSnapshot(snapshotUuid);
    },
  };
}
