/**
 * An adapter of one's own: volumes are maps of blocks, and snapshots are copies of maps. It has what the test asks for,
 * and no more.
 *
 *   npx vitest run examples/own-adapter.test.ts
 *   HARROW_SHARE=1 npx vitest run examples/own-adapter.test.ts     # one that forgets to copy: snapshots change
 */
import { type BlockDevice, ok, type Outcome, serviceTarget, type VolumeService } from "../src/index.ts";
import { volumeTest } from "../src/testing/vitest.ts";

const { HARROW_SHARE: shares } = process.env;
const isSharing = shares === "1";

type Blocks = Map<number, Uint8Array>;

function deviceOf(blocks: Blocks, blockSizeBytes: number, blockCount: number): BlockDevice {
  const unsupported = async (): Promise<Outcome> => ({
    kind: "failed",
    code: "ERR_UNSUPPORTED",
    message: "none",
  });
  const each = async (first: number, count: number, act: (block: number, at: number) => void) => {
    for (let index = 0; index < count; index++) act(first + index, index * blockSizeBytes);
    return ok;
  };
  return {
    identity: { name: "a map", uuid: undefined, nsid: undefined },
    capabilities: {
      ...{ blockSizeBytes, transferBlocksMax: 65_536, atomicWriteBlocks: 1, atomicWriteBlocksPowerFail: 1 },
      ...{ volatileWriteCache: false, deallocatedReads: "zeros", writeZeroes: true, deallocate: true },
      ...{ compare: false, compareAndWriteBlocksMax: 1 },
    },
    blockCount,
    read: ({ block, blockCount, into }) =>
      each(block, blockCount, (one, at) => into.set(blocks.get(one) ?? new Uint8Array(blockSizeBytes), at)),
    // Copies: the buffer is the caller's, who will use it again.
    write: ({ block, blockCount, from }) =>
      each(block, blockCount, (one, at) => blocks.set(one, from.slice(at, at + blockSizeBytes))),
    writeZeroes: ({ block, blockCount }) => each(block, blockCount, (one) => blocks.delete(one)),
    deallocate: ({ ranges: [range] }) => each(range!.block, range!.blockCount, (one) => blocks.delete(one)),
    flush: async () => ok,
    compare: unsupported,
    compareAndWrite: unsupported,
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Volumes and snapshots alike are entries of one list. */
function mapService(): VolumeService {
  const all: { blocks: Blocks; sizeBytes: number; sectorSizeBytes: number; name: string }[] = [];
  const about = (uuid: string) => ({ uuid, ...all[Number(uuid)]!, state: "available" as const });
  const open = async (uuid: string) => {
    const { blocks, sizeBytes, sectorSizeBytes } = all[Number(uuid)]!;
    return deviceOf(blocks, sectorSizeBytes, sizeBytes / sectorSizeBytes);
  };
  const methods: Partial<VolumeService> = {
    diffCapabilities: { granularityBlocks: 1, chunkBlocks: 64 },
    createVolume: async (request) => {
      const uuid = String(all.push({ ...request, blocks: new Map() }) - 1);
      return { ...about(uuid), nsid: undefined, sourceSnapshotUuid: undefined };
    },
    createSnapshot: async ({ name, volumeUuid }) => {
      const { blocks, ...volume } = all[Number(volumeUuid)]!;
      const kept = isSharing ? blocks : new Map(blocks);
      const uuid = String(all.push({ ...volume, name, blocks: kept }) - 1);
      return { ...about(uuid), sourceVolumeUuid: volumeUuid };
    },
    deleteSnapshot: async (uuid) => all[Number(uuid)]!.blocks.clear(),
    openVolume: open,
    openSnapshot: open,
    [Symbol.asyncDispose]: async () => {},
  };
  return methods as VolumeService;
}

volumeTest(
  "volumes that are maps keep their word",
  {},
  (history) => {
    history.extent(0).writes(4).deallocate().finish();
    history.snapshot("before");
    history.extent(0).randomOrder().writes(3).writeZeroes().readExtent().finish();
    history.snapshot("after").deleteSnapshot("before");
  },
  { target: (config) => serviceTarget({ service: mapService(), config }) },
);
