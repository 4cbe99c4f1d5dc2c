/**
 * The system under test without a wire: volumes, snapshots and diffs of a store in this process's memory.
 *
 * Snapshots are opened by way of a clone, which shows in the list of volumes until it is disposed.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { MemoryDevice } from "./memory-device.ts";
import {
  type BlockDevice,
  type CallOptions,
  type DiffPage,
  type DiffRange,
  ServiceError,
  type ServiceErrorCode,
  type Snapshot,
  type Volume,
  type VolumeService,
} from "./port.ts";
import type { StoreBug } from "./store/bug.ts";
import { openStore } from "./store/open.ts";
import {
  type ChangedChunk,
  chunkBlocks,
  type StoredSnapshot,
  type StoredVolume,
  StoreError,
  type StoreErrorCode,
  type VolumeStore,
} from "./store/port.ts";

/** Ranges in one answer of a diff, as many as a Lightbits server gives. */
const diffPageRangesDefault = 10_000;

const serviceCodes: Readonly<Record<StoreErrorCode, ServiceErrorCode>> = {
  ERR_NOT_FOUND: "ERR_NOT_FOUND",
  ERR_NAME_TAKEN: "ERR_CONFLICT",
  ERR_INVALID: "ERR_INVALID_REQUEST",
  ERR_NOT_NOW: "ERR_BUSY",
  ERR_NOT_ON_CHAIN: "ERR_INVALID_REQUEST",
  ERR_OUT_OF_RANGE: "ERR_INVALID_REQUEST",
  ERR_CORRUPT: "ERR_TARGET",
  ERR_IO: "ERR_TARGET",
};

/**
 * Makes an empty volume service in memory.
 *
 * @param options.diffPageRanges - Most ranges in one page of a diff, at least 1.
 * @param options.bug - A mistake on purpose.
 */
export async function memoryService(
  options: { readonly diffPageRanges?: number; readonly bug?: StoreBug } = {},
): Promise<VolumeService> {
  const { bug } = options;
  const store = await openStore({ kind: "memory", ...(bug !== undefined && { bug }) });
  return new MemoryService(store, options.diffPageRanges ?? diffPageRangesDefault);
}

class MemoryService implements VolumeService {
  readonly diffCapabilities = { granularityBlocks: 1, chunkBlocks };
  readonly #store: VolumeStore;
  readonly #diffPageRanges: number;

  constructor(store: VolumeStore, diffPageRanges: number) {
    this.#store = store;
    this.#diffPageRanges = diffPageRanges;
  }

  createVolume(
    request: Parameters<VolumeService["createVolume"]>[0],
    options?: CallOptions,
  ): Promise<Volume> {
    const { name, sizeBytes, sectorSizeBytes } = request;
    return translated(options, async () =>
      asVolume(await this.#store.createVolume({ name, sizeBytes, blockSizeBytes: sectorSizeBytes })),
    );
  }

  getVolume(uuid: string, options?: CallOptions): Promise<Volume> {
    return translated(options, async () => asVolume(this.#volume(uuid)));
  }

  listVolumes(options?: CallOptions): Promise<readonly Volume[]> {
    return translated(options, async () => this.#store.volumes.map(asVolume));
  }

  resizeVolume(
    request: { readonly uuid: string; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<Volume> {
    return translated(options, async () =>
      asVolume(await this.#store.resizeVolume(request.uuid, request.sizeBytes)),
    );
  }

  deleteVolume(uuid: string, options?: CallOptions): Promise<void> {
    return translated(options, () => this.#store.deleteVolume(uuid));
  }

  createSnapshot(
    request: { readonly name: string; readonly volumeUuid: string },
    options?: CallOptions,
  ): Promise<Snapshot> {
    return translated(options, async () => asSnapshot(await this.#store.createSnapshot(request)));
  }

  getSnapshot(uuid: string, options?: CallOptions): Promise<Snapshot> {
    return translated(options, async () => asSnapshot(this.#snapshot(uuid)));
  }

  listSnapshots(options?: CallOptions): Promise<readonly Snapshot[]> {
    return translated(options, async () => this.#store.snapshots.map(asSnapshot));
  }

  deleteSnapshot(uuid: string, options?: CallOptions): Promise<void> {
    return translated(options, () => this.#store.deleteSnapshot(uuid));
  }

  cloneSnapshot(
    request: { readonly name: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<Volume> {
    return translated(options, async () => asVolume(await this.#clone(request.name, request.snapshotUuid)));
  }

  rollbackVolume(
    request: { readonly volumeUuid: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<void> {
    return translated(options, () => this.#store.rollbackVolume(request.volumeUuid, request.snapshotUuid));
  }

  async *diff(request: Parameters<VolumeService["diff"]>[0], options?: CallOptions): AsyncIterable<DiffPage> {
    const { snapshotUuid, baseSnapshotUuid } = request;
    let offsetLba = request.offsetLba ?? 0;
    do {
      const answer = await translated(options, async () =>
        this.#store.changedChunks({
          snapshotUuid,
          ...(baseSnapshotUuid === undefined ? {} : { baseSnapshotUuid }),
          offsetLba,
          chunkCountMax: this.#diffPageRanges,
        }),
      );
      const { nextOffsetLba } = answer;
      yield { offsetLba, ranges: answer.chunks.map(asRange), nextOffsetLba };
      offsetLba = nextOffsetLba;
    } while (offsetLba !== 0);
  }

  openVolume(uuid: string, options?: CallOptions): Promise<BlockDevice> {
    return translated(options, async () =>
      this.#open(this.#volume(uuid), `volume ${uuid}`, () => Promise.resolve()),
    );
  }

  openSnapshot(uuid: string, options?: CallOptions): Promise<BlockDevice> {
    return translated(options, async () => {
      const clone = await this.#clone(`opened-${randomUUID()}`, uuid);
      return this.#open(clone, `snapshot ${uuid}`, async () => {
        // The service may have been disposed first, with all that was in it.
        if (this.#store.volume(clone.uuid)?.state === "available") await this.#store.deleteVolume(clone.uuid);
      });
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(this.#store[Symbol.asyncDispose]());
  }

  #open(volume: StoredVolume, name: string, dispose: () => Promise<void>): BlockDevice {
    const namespace = this.#store.namespace(volume.nsid);
    if (namespace === undefined) {
      throw new ServiceError("ERR_BUSY", `volume ${volume.uuid} is ${volume.state} and cannot be opened`);
    }
    return new MemoryDevice({ namespace, name, dispose });
  }

  #clone(name: string, snapshotUuid: string): Promise<StoredVolume> {
    const { sizeBytes, blockSizeBytes } = this.#snapshot(snapshotUuid);
    return this.#store.createVolume({ name, sizeBytes, blockSizeBytes, sourceSnapshotUuid: snapshotUuid });
  }

  #volume(uuid: string): StoredVolume {
    const volume = this.#store.volume(uuid);
    if (volume === undefined) throw new ServiceError("ERR_NOT_FOUND", `there is no volume ${uuid}`);
    return volume;
  }

  #snapshot(uuid: string): StoredSnapshot {
    const snapshot = this.#store.snapshot(uuid);
    if (snapshot === undefined) throw new ServiceError("ERR_NOT_FOUND", `there is no snapshot ${uuid}`);
    return snapshot;
  }
}

/** Runs a call of the store, unless it is aborted already; what has begun is not stopped. */
async function translated<Result>(
  options: CallOptions | undefined,
  run: () => Promise<Result>,
): Promise<Result> {
  if (options?.signal?.aborted === true) {
    throw new ServiceError("ERR_ABORTED", "the call was aborted before it began");
  }
  try {
    return await run();
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    throw new ServiceError(serviceCodes[cause.code], cause.message, { cause });
  }
}

function asVolume(volume: StoredVolume): Volume {
  const { uuid, name, sizeBytes, state, nsid, sourceSnapshotUuid } = volume;
  return { uuid, name, sizeBytes, sectorSizeBytes: volume.blockSizeBytes, state, nsid, sourceSnapshotUuid };
}

function asSnapshot(snapshot: StoredSnapshot): Snapshot {
  const { uuid, name, sizeBytes, state, sourceVolumeUuid } = snapshot;
  return { uuid, name, sizeBytes, state, sourceVolumeUuid };
}

function asRange({ lbaStart, low, high }: ChangedChunk): DiffRange {
  const bitmap = new Uint8Array(8);
  const view = new DataView(bitmap.buffer);
  view.setUint32(0, low, true);
  view.setUint32(4, high, true);
  return { lbaStart, bitmap };
}
