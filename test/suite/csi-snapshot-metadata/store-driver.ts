/**
 * A driver over a store in this process: gRPC in front, and hooks that write past NVMe/TCP and REST, to be quick.
 *
 * @packageDocumentation
 */
import { type CsiSnapshotMetadata, connectCsiSnapshotMetadata } from "../../../src/sut/csi/client.ts";
import type { CsiStyle } from "../../../src/sut/csi/server/answer.ts";
import type { CsiBug } from "../../../src/sut/csi/server/bug.ts";
import { serveCsi } from "../../../src/sut/csi/server/server.ts";
import { openStore } from "../../../src/sut/store/open.ts";
import type { VolumeStore } from "../../../src/sut/store/port.ts";
import type { DriverHooks } from "../../../src/suite/csi-snapshot-metadata/driver.ts";

export interface StoreDriver extends AsyncDisposable {
  readonly store: VolumeStore;
  readonly client: CsiSnapshotMetadata;
  readonly hooks: Required<DriverHooks>;
  readonly address: string;
}

export async function storeDriver(style: CsiStyle, bug?: CsiBug): Promise<StoreDriver> {
  const store = await openStore({ kind: "memory" });
  const server = await serveCsi({ store, style, ...(bug !== undefined && { bug }) });
  const client = await connectCsiSnapshotMetadata({
    address: server.address,
    access: { dialect: "csi" },
    firstMessageTimeoutMs: 1500,
    messageGapTimeoutMs: 1500,
  });
  return {
    store,
    client,
    hooks: storeHooks(store),
    address: server.address,
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

function storeHooks(store: VolumeStore): Required<DriverHooks> {
  let count = 0;
  const namespaceOf = (uuid: string) => store.namespace(store.volume(uuid)!.nsid)!;
  const zero: DriverHooks["writeZeroes"] = async (volume, { block, blockCount }) =>
    namespaceOf(volume).zero(block, blockCount);
  return {
    blockSizeBytes: 4096,
    createVolume: async (sizeBytes) =>
      (await store.createVolume({ name: `v${++count}`, sizeBytes, blockSizeBytes: 4096 })).uuid,
    write: async (volume, { block, blockCount }, from) => namespaceOf(volume).write(block, blockCount, from),
    writeZeroes: zero,
    deallocate: zero,
    createSnapshot: async (volumeUuid) =>
      (await store.createSnapshot({ name: `s${++count}`, volumeUuid })).uuid,
    deleteSnapshot: (uuid) => store.deleteSnapshot(uuid),
    growVolume: async (uuid, sizeBytes) => void (await store.resizeVolume(uuid, sizeBytes)),
  };
}
