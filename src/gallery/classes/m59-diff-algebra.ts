import type { BlockDevice, DiffPage, VolumeService } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import type { PortMutant } from "../mutant.ts";

/**
 * A diff from one snapshot to the next tells only of blocks that differ, one over a longer span of all that were
 * touched: each is right for itself, and the long one reports what none of its parts does.
 */
export const diffAlgebra: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    operations: { weights: { deallocate: 40, deallocateExtent: 10 } },
    snapshots: { every: 20, keep: 4, far: "1/1" },
    checks: { diffs: { enabled: true } },
  },
  service: (service, { struck }) => {
    /** Snapshots of a volume that are alive, the newest last. */
    const alive = new Map<string, string[]>();
    const isNext = (snapshot: string, base: string): boolean =>
      [...alive.values()].some((all) => all.includes(base) && all[all.indexOf(base) + 1] === snapshot);
    return replaced(service, {
      createSnapshot: async (request, options) => {
        const snapshot = await service.createSnapshot(request, options);
        alive.set(request.volumeUuid, [...(alive.get(request.volumeUuid) ?? []), snapshot.uuid]);
        return snapshot;
      },
      deleteSnapshot: async (uuid, options) => {
        await service.deleteSnapshot(uuid, options);
        for (const [volume, all] of alive)
          alive.set(
            volume,
            all.filter((one) => one !== uuid),
          );
      },
      async *diff(request, options) {
        const { snapshotUuid, baseSnapshotUuid: base } = request;
        const pages = service.diff(request, options);
        if (base === undefined || !isNext(snapshotUuid, base)) yield* pages;
        else yield* differing(service, pages, { snapshotUuid, base, struck });
      },
    });
  },
};

/** Pages without the blocks that are the same in both snapshots. */
async function* differing(
  service: VolumeService,
  pages: AsyncIterable<DiffPage>,
  {
    snapshotUuid,
    base,
    struck,
  }: { readonly snapshotUuid: string; readonly base: string; readonly struck: () => void },
): AsyncGenerator<DiffPage> {
  await using now = await service.openSnapshot(snapshotUuid);
  await using then = await service.openSnapshot(base);
  for await (const page of pages) {
    const ranges: DiffPage["ranges"][number][] = [];
    let isStruck = false;
    for (const { lbaStart, bitmap } of page.ranges) {
      const told = new Uint8Array(bitmap);
      for (let bit = 0; bit < bitmap.length * 8; bit++) {
        if (((bitmap[bit >> 3]! >> (bit & 7)) & 1) === 0) continue;
        const [a, b] = [await bytesOf(now, lbaStart + bit), await bytesOf(then, lbaStart + bit)];
        if (Buffer.compare(a, b) !== 0) continue;
        told[bit >> 3]! &= ~(1 << (bit & 7));
        isStruck = true;
      }
      if (told.some((bits) => bits !== 0)) ranges.push({ lbaStart, bitmap: told });
    }
    if (isStruck) struck();
    yield { ...page, ranges };
  }
}

async function bytesOf(device: BlockDevice, block: number): Promise<Uint8Array> {
  const into = new Uint8Array(device.capabilities.blockSizeBytes);
  await device.read({ block, blockCount: 1, into });
  return into;
}
