/**
 * Lies of a target under load: services laid over a jittery one, which keep account of what was written when.
 *
 * @packageDocumentation
 */
import { type BlockLog, type Change, logged, opening, showing } from "../../src/gallery/port-lies.ts";
import { type Clock, delay } from "../../src/sut/clock.ts";
import { ok, type VolumeService } from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";

type Wrap = (service: VolumeService, clock: Clock) => VolumeService;

/** Every second block of a snapshot is of an instant a little earlier within the call. */
export const tearsSnapshots: Wrap = (service, clock) => {
  const earlier = new Map<string, string>();
  return replaced(service, {
    createSnapshot: async (request) => {
      const first = await service.createSnapshot({ ...request, name: `${request.name}-first` });
      await delay(clock, 60, undefined);
      const snapshot = await service.createSnapshot(request);
      earlier.set(snapshot.uuid, first.uuid);
      return snapshot;
    },
    openSnapshot: async (uuid) => {
      const device = await service.openSnapshot(uuid);
      const first = await service.openSnapshot(earlier.get(uuid)!);
      const { blockSizeBytes: size } = device.capabilities;
      return replaced(device, {
        read: async (request) => {
          const outcome = await device.read(request);
          const older = new Uint8Array(request.into.length);
          await first.read({ ...request, into: older });
          for (let index = 0; index < request.blockCount; index++)
            if ((request.block + index) % 2 === 1)
              request.into.set(older.subarray(index * size, (index + 1) * size), index * size);
          return outcome;
        },
        [Symbol.asyncDispose]: async () => {
          await first[Symbol.asyncDispose]();
          await device[Symbol.asyncDispose]();
        },
      });
    },
  });
};

/** One block of every snapshot is as `bytesOf` says, by what was done to the volume when. */
function misplacesSnapshots(
  bytesOf: (
    changes: readonly Change[],
    call: { readonly began: number; readonly ended: number },
  ) => Uint8Array | undefined,
): Wrap {
  return (service, clock) => {
    const logs = new Map<string, BlockLog>();
    const calls = new Map<string, { volume: string; began: number; ended: number }>();
    const lying = opening(logged(service, clock, logs), {
      snapshot: (uuid, device) =>
        showing(device, (block) => {
          const call = calls.get(uuid)!;
          return bytesOf(logs.get(call.volume)!.of(block), call);
        }),
    });
    return replaced(lying, {
      createSnapshot: async (request) => {
        const began = clock.now();
        const snapshot = await lying.createSnapshot(request);
        calls.set(snapshot.uuid, { volume: request.volumeUuid, began, ended: clock.now() });
        return snapshot;
      },
    });
  };
}

/** Snapshots show what was written to a block after they were taken. */
export const snapshotsLeak = misplacesSnapshots(
  (changes, { ended }) =>
    changes.find(({ submitted, bytes }) => submitted > ended && bytes.some((byte) => byte !== 0))?.bytes,
);

/** Snapshots lack the newest write of a block, which had completed before they were taken. */
export const snapshotsMiss = misplacesSnapshots((changes, { began, ended }) => {
  const relevant = changes.filter(({ submitted }) => submitted <= ended);
  return relevant.length >= 2 && relevant.every(({ completed }) => completed < began)
    ? relevant.at(-2)!.bytes
    : undefined;
});

/** What is written to a clone shows in the snapshot that it was made of. */
export const clonesShowInOrigin: Wrap = (service, clock) => {
  const logs = new Map<string, BlockLog>();
  const origins = new Map<string, string>();
  const lying = opening(logged(service, clock, logs), {
    snapshot: (uuid, device) =>
      showing(device, (block) => {
        for (const [clone, origin] of origins)
          if (origin === uuid && logs.has(clone)) return logs.get(clone)!.of(block).at(-1)?.bytes;
        return undefined;
      }),
  });
  return replaced(lying, {
    cloneSnapshot: async (request) => {
      const clone = await lying.cloneSnapshot(request);
      origins.set(clone.uuid, request.snapshotUuid);
      return clone;
    },
  });
};

/** A rollback leaves a block as it was. */
export const rollbacksForget: Wrap = (service, clock) => {
  const logs = new Map<string, BlockLog>();
  const lying = logged(service, clock, logs);
  return replaced(lying, {
    rollbackVolume: async (request) => {
      const { volumeUuid: uuid } = request;
      const device = await service.openVolume(uuid);
      const into = new Uint8Array(device.capabilities.blockSizeBytes);
      const block = logs.get(uuid)!.blocks.at(-1)!;
      await device.read({ block, blockCount: 1, into });
      await service.rollbackVolume(request);
      await device.write({ block, blockCount: 1, from: into });
      await device[Symbol.asyncDispose]();
    },
  });
};

/** Grown blocks hold what was there before anyone had them. */
export const growthShowsOldData: Wrap = (service) =>
  replaced(service, {
    resizeVolume: async (request) => {
      const volume = await service.resizeVolume(request);
      const device = await service.openVolume(request.uuid);
      const from = new Uint8Array(device.capabilities.blockSizeBytes).fill(7);
      await device.write({ block: device.blockCount - 1, blockCount: 1, from });
      await device[Symbol.asyncDispose]();
      return volume;
    },
  });

/** Open devices never see that their volume has grown. */
export const growthIsNotSeen: Wrap = (service) =>
  opening(service, { volume: (_, device) => replaced(device, { blockCount: device.blockCount }) });

/** Compares say the opposite of what they found: `holds` for those that should fail, or the other way round. */
export function comparesLie(holds: boolean): Wrap {
  return (service) => {
    let compares = 0;
    return opening(service, {
      volume: (_, device) =>
        replaced(device, {
          compareAndWrite: async (request) => {
            if (++compares < 5) return device.compareAndWrite(request);
            if (holds) return device.write(request);
            return { kind: "failed", code: "ERR_COMPARE_FAILED", message: "differs" };
          },
        }),
    });
  };
}

/** The device of a volume with this number, in the order of opening from 0, drops every 50th write. */
export function dropsWriteOf(number: number): Wrap {
  return (service) => {
    let opened = 0;
    return opening(service, {
      volume: (_, device) => {
        if (opened++ !== number) return device;
        let writes = 0;
        return replaced(device, {
          write: (request) => (++writes % 50 === 0 ? Promise.resolve(ok) : device.write(request)),
        });
      },
    });
  };
}

/** Changes what the diffs report. */
export function diffsLie(
  alter: (
    blocks: readonly number[],
    about: {
      readonly isFar: boolean;
      readonly hasBase: boolean;
      /** Blocks whose bytes differ between base and snapshot. */
      readonly changed: () => Promise<readonly number[]>;
    },
  ) => Promise<readonly number[]> | readonly number[],
): Wrap {
  return (service) => {
    const order: string[] = [];
    return replaced(service, {
      createSnapshot: async (request) => {
        const snapshot = await service.createSnapshot(request);
        order.push(snapshot.uuid);
        return snapshot;
      },
      deleteSnapshot: async (uuid) => {
        await service.deleteSnapshot(uuid);
        order.splice(order.indexOf(uuid), 1);
      },
      async *diff(request) {
        const blocks: number[] = [];
        for await (const { ranges } of service.diff(request))
          for (const { lbaStart, bitmap } of ranges)
            for (let bit = 0; bit < 64; bit++)
              if (((bitmap[bit >> 3]! >> (bit & 7)) & 1) === 1) blocks.push(lbaStart + bit);
        const { snapshotUuid, baseSnapshotUuid } = request;
        const hasBase = baseSnapshotUuid !== undefined;
        const isFar = hasBase && order.indexOf(snapshotUuid) - order.indexOf(baseSnapshotUuid) > 1;
        const ranges = new Map<number, Uint8Array>();
        const changed = async () => {
          const [now, then] = [
            await bytesOf(service, snapshotUuid),
            await bytesOf(service, baseSnapshotUuid!),
          ];
          return blocks.filter((block) => Buffer.compare(now(block), then(block)) !== 0);
        };
        for (const block of await alter(blocks, { isFar, hasBase, changed })) {
          const lbaStart = block - (block % 64);
          const bitmap = ranges.get(lbaStart) ?? new Uint8Array(8);
          bitmap[(block % 64) >> 3]! |= 1 << (block & 7);
          ranges.set(lbaStart, bitmap);
        }
        const sorted = [...ranges].sort(([a], [b]) => a - b);
        yield {
          offsetLba: 0,
          ranges: sorted.map(([lbaStart, bitmap]) => ({ lbaStart, bitmap })),
          nextOffsetLba: 0,
        };
      },
    });
  };
}

/** The blocks of a snapshot. */
async function bytesOf(service: VolumeService, uuid: string): Promise<(block: number) => Uint8Array> {
  const device = await service.openSnapshot(uuid);
  const { blockCount } = device;
  const { blockSizeBytes: size } = device.capabilities;
  const into = new Uint8Array(blockCount * size);
  await device.read({ block: 0, blockCount, into });
  await device[Symbol.asyncDispose]();
  return (block) => into.subarray(block * size, (block + 1) * size);
}
