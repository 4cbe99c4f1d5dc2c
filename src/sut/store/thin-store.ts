/**
 * Volumes, snapshots and clones as chains of layers: the {@link VolumeStore} over any medium.
 *
 * A snapshot freezes its volume's head, and the volume goes on with a new, empty head on top. Whatever is
 * removed is removed in two steps, each committed before the next: first it is marked, so that nobody uses it
 * after a restart, then its layers are merged or freed. In between, a merge may hand a slot from a marked
 * layer to a living one, which then overwrites it in place; a crash finds the mark, and ends the removal.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import { dropBlocksFrom, freeLayer, mergeIntoChild } from "./chain.ts";
import { changedChunks, layersBetween } from "./changed-chunks.ts";
import { CommitQueue } from "./commit-queue.ts";
import type { Layer } from "./layer.ts";
import type { MetadataJournal } from "./metadata.ts";
import {
  type ChangedChunks,
  chunkBlocks,
  type Namespace,
  type StoreChange,
  type StoredSnapshot,
  type StoredVolume,
  StoreError,
  type VolumeStore,
} from "./port.ts";
import { addLayer, type StoreState, takeChange } from "./store-state.ts";
import { describeSnapshot, describeVolume, ThinSnapshot, ThinVolume } from "./thin-volume.ts";

const namePattern = /^[a-zA-Z0-9_.-]{1,253}$/;
const sizeBytesMax = 2 ** 50;

export class ThinStore implements VolumeStore {
  readonly #state: StoreState;
  readonly #journal: MetadataJournal | undefined;
  readonly #commits: CommitQueue;
  readonly #listeners = new Set<(change: StoreChange) => void>();
  readonly #operations = new Set<Promise<unknown>>();
  #disposed: Promise<void> | undefined;

  /**
   * @param options.restore - Gives the objects that the store starts with; the store closes their media.
   * @param options.journal - Keeps the metadata; without one the store forgets all when it is closed.
   */
  constructor(options: {
    readonly restore: (commits: CommitQueue) => StoreState;
    readonly journal?: MetadataJournal;
  }) {
    this.#journal = options.journal;
    this.#commits = new CommitQueue({
      commit: () => this.#commit(),
      runsInBackground: options.journal !== undefined,
    });
    this.#state = options.restore(this.#commits);
    this.#settleStates();
  }

  get volumes(): readonly StoredVolume[] {
    return [...this.#state.volumes.values()].map(describeVolume);
  }

  get snapshots(): readonly StoredSnapshot[] {
    return [...this.#state.snapshots.values()].map(describeSnapshot);
  }

  volume(uuid: string): StoredVolume | undefined {
    const volume = this.#state.volumes.get(uuid);
    return volume && describeVolume(volume);
  }

  volumeByName(name: string): StoredVolume | undefined {
    for (const volume of this.#state.volumes.values())
      if (volume.name === name) return describeVolume(volume);
    return undefined;
  }

  snapshot(uuid: string): StoredSnapshot | undefined {
    const snapshot = this.#state.snapshots.get(uuid);
    return snapshot && describeSnapshot(snapshot);
  }

  /** A snapshot that lingers as "deleted" no longer goes by its name. */
  snapshotByName(name: string): StoredSnapshot | undefined {
    for (const snapshot of this.#state.snapshots.values()) {
      if (snapshot.name === name && snapshot.state !== "deleted") return describeSnapshot(snapshot);
    }
    return undefined;
  }

  get namespaces(): readonly Namespace[] {
    return [...this.#state.volumes.values()].filter(hasNamespace).sort((a, b) => a.nsid - b.nsid);
  }

  namespace(nsid: number): Namespace | undefined {
    for (const volume of this.#state.volumes.values()) {
      if (volume.nsid === nsid) return hasNamespace(volume) ? volume : undefined;
    }
    return undefined;
  }

  createVolume(request: Parameters<VolumeStore["createVolume"]>[0]): Promise<StoredVolume> {
    return this.#operation(async () => {
      this.#checkName(request.name, this.volumeByName(request.name));
      const { sourceSnapshotUuid } = request;
      const source = sourceSnapshotUuid === undefined ? undefined : this.#usableSnapshot(sourceSnapshotUuid);
      const blockSizeBytes = source?.blockSizeBytes ?? request.blockSizeBytes;
      const arena = this.#state.arenas.get(blockSizeBytes);
      if (arena === undefined) {
        const known = [...this.#state.arenas.keys()].join(" or ");
        throw new StoreError("ERR_INVALID", `a block size of ${blockSizeBytes} bytes is not ${known}`);
      }
      if (source === undefined) checkSize(request.sizeBytes, blockSizeBytes);
      const volume = new ThinVolume(
        {
          uuid: randomUUID(),
          name: request.name,
          nsid: this.#unusedNsid(),
          blockSizeBytes,
          blockCount: source?.blockCount ?? request.sizeBytes / blockSizeBytes,
          state: "creating",
          sourceSnapshotUuid,
          createdAtMs: Date.now(),
          revision: 1,
        },
        addLayer(this.#state, arena, source?.layer),
        this.#commits,
      );
      this.#state.volumes.set(volume.uuid, volume);
      this.#touch();
      this.#emit({ kind: "volume", uuid: volume.uuid });
      await this.#commits.commit();
      this.#setVolumeState(volume, "available");
      this.#emit({ kind: "namespace-added", nsid: volume.nsid });
      return describeVolume(volume);
    });
  }

  renameVolume(uuid: string, name: string): Promise<StoredVolume> {
    return this.#operation(async () => {
      const volume = this.#idleVolume(uuid);
      if (volume.name !== name) {
        this.#checkName(name, this.volumeByName(name));
        volume.name = name;
        for (const snapshot of this.#state.snapshots.values()) {
          if (snapshot.volumeUuid !== uuid) continue;
          snapshot.volumeName = name;
          snapshot.revision++;
        }
        this.#setVolumeState(volume, "available");
        await this.#commits.commit();
      }
      return describeVolume(volume);
    });
  }

  resizeVolume(uuid: string, sizeBytes: number): Promise<StoredVolume> {
    return this.#operation(async () => {
      const volume = this.#idleVolume(uuid);
      checkSize(sizeBytes, volume.blockSizeBytes);
      const blockCount = sizeBytes / volume.blockSizeBytes;
      if (blockCount < volume.blockCount) dropBlocksFrom(volume.head, blockCount);
      this.#setBlockCount(volume, blockCount);
      this.#setVolumeState(volume, "updating");
      await this.#commits.commit();
      this.#setVolumeState(volume, "available");
      return describeVolume(volume);
    });
  }

  deleteVolume(uuid: string): Promise<void> {
    return this.#operation(async () => {
      const volume = this.#idleVolume(uuid);
      volume.isServed = false;
      this.#setVolumeState(volume, "deleting");
      this.#emit({ kind: "namespace-removed", nsid: volume.nsid });
      await this.#commits.commit();
      this.#state.volumes.delete(uuid);
      this.#release(volume.head);
      this.#emit({ kind: "volume", uuid });
      await this.#commits.commit();
    });
  }

  createSnapshot(request: Parameters<VolumeStore["createSnapshot"]>[0]): Promise<StoredSnapshot> {
    return this.#operation(async () => {
      this.#checkName(request.name, this.snapshotByName(request.name));
      const volume = this.#idleVolume(request.volumeUuid);
      const snapshot = new ThinSnapshot(
        {
          uuid: randomUUID(),
          name: request.name,
          volumeUuid: volume.uuid,
          volumeName: volume.name,
          blockSizeBytes: volume.blockSizeBytes,
          blockCount: volume.blockCount,
          state: "creating",
          createdAtMs: Date.now(),
          revision: 1,
          sequence: this.#state.nextSequence++,
        },
        volume.head,
      );
      volume.head = addLayer(this.#state, volume.head.arena, volume.head);
      this.#state.snapshots.set(snapshot.uuid, snapshot);
      this.#touch();
      this.#emit({ kind: "snapshot", uuid: snapshot.uuid });
      await this.#commits.commit();
      this.#setSnapshotState(snapshot, "available");
      return describeSnapshot(snapshot);
    });
  }

  deleteSnapshot(uuid: string): Promise<void> {
    return this.#operation(async () => {
      const snapshot = this.#usableSnapshot(uuid);
      this.#setSnapshotState(snapshot, "deleting");
      await this.#commits.commit();
      this.#release(snapshot.layer);
      if (this.#state.snapshots.has(uuid)) this.#setSnapshotState(snapshot, "deleted");
      await this.#commits.commit();
    });
  }

  /** The volume also gets the snapshot's size back. Newer snapshots stay, on a branch of their own. */
  rollbackVolume(volumeUuid: string, snapshotUuid: string): Promise<void> {
    return this.#operation(async () => {
      const volume = this.#idleVolume(volumeUuid);
      const snapshot = this.#usableSnapshot(snapshotUuid);
      if (snapshot.volumeUuid !== volumeUuid) {
        throw new StoreError(
          "ERR_NOT_ON_CHAIN",
          `snapshot ${snapshotUuid} is of volume ${snapshot.volumeUuid}, not of ${volumeUuid}`,
        );
      }
      const abandoned = volume.head;
      volume.head = addLayer(this.#state, abandoned.arena, snapshot.layer);
      this.#setBlockCount(volume, snapshot.blockCount);
      this.#setVolumeState(volume, "rollback");
      await this.#commits.commit();
      this.#release(abandoned);
      await this.#commits.commit();
      this.#setVolumeState(volume, "available");
    });
  }

  changedChunks(request: Parameters<VolumeStore["changedChunks"]>[0]): ChangedChunks {
    const { snapshotUuid, baseSnapshotUuid, offsetLba, chunkCountMax } = request;
    this.#checkOpen();
    const snapshot = this.#usableSnapshot(snapshotUuid);
    const base = baseSnapshotUuid === undefined ? undefined : this.#usableSnapshot(baseSnapshotUuid);
    if (base !== undefined) checkBase(snapshot, base);
    if (!Number.isSafeInteger(offsetLba) || offsetLba < 0 || chunkCountMax < 1) {
      throw new StoreError(
        "ERR_INVALID",
        `an offset of ${offsetLba} blocks and at most ${chunkCountMax} chunks cannot be answered`,
      );
    }
    if (Math.floor(offsetLba / chunkBlocks) * chunkBlocks >= snapshot.blockCount) {
      throw new StoreError(
        "ERR_OUT_OF_RANGE",
        `offset ${offsetLba} lies beyond the ${snapshot.blockCount} blocks of snapshot ${snapshotUuid}`,
      );
    }
    const layers = layersBetween(base?.layer, snapshot.layer);
    return changedChunks({ layers, blockCount: snapshot.blockCount, offsetLba, chunkCountMax });
  }

  onChange(listener: (change: StoreChange) => void): () => void {
    // Wrapped, so that one function may listen twice.
    const own = (change: StoreChange): void => listener(change);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    await Promise.allSettled(this.#operations);
    for (const volume of this.#state.volumes.values()) volume.isServed = false;
    try {
      await this.#commits.close();
    } finally {
      this.#journal?.close();
      for (const arena of this.#state.arenas.values()) arena.medium.close();
    }
  }

  /** Ends what a crash interrupted. */
  #settleStates(): void {
    const { volumes, snapshots, layers } = this.#state;
    for (const volume of volumes.values()) {
      if (volume.state === "deleting") volumes.delete(volume.uuid);
      else if (volume.state !== "available") this.#setVolumeState(volume, "available");
      volume.head.isHeld = volume.state !== "deleting";
    }
    for (const snapshot of snapshots.values()) {
      if (snapshot.state === "creating") this.#setSnapshotState(snapshot, "available");
      else if (snapshot.state === "deleting") this.#setSnapshotState(snapshot, "deleted");
      snapshot.layer.isHeld = snapshot.state === "available";
    }
    for (const layer of [...layers]) if (layers.has(layer) && !layer.isHeld) this.#release(layer);
  }

  /** Lets go of a layer, and merges or frees it and its ancestors as far as nothing holds them. */
  #release(start: Layer): void {
    start.isHeld = false;
    const { layers, snapshots, goneLayerIds } = this.#state;
    const gone: ThinSnapshot[] = [];
    let layer: Layer | undefined = start;
    try {
      while (layer !== undefined && !layer.isHeld && layer.children.size < 2) {
        const parent: Layer | undefined = layer.parent;
        const child: Layer | undefined = [...layer.children][0];
        if (child === undefined) {
          freeLayer(layer);
          goneLayerIds.push(layer.id);
        } else {
          goneLayerIds.push(mergeIntoChild(layer, child));
        }
        layers.delete(layer);
        for (const snapshot of snapshots.values()) if (snapshot.layer === layer) gone.push(snapshot);
        layer = child === undefined ? parent : undefined;
      }
    } catch (cause) {
      // Half merged; the metadata on stable media is still whole.
      throw this.#commits.fail(cause);
    }
    for (const snapshot of gone) snapshots.delete(snapshot.uuid);
    this.#touch();
    for (const snapshot of gone) this.#emit({ kind: "snapshot", uuid: snapshot.uuid });
  }

  async #commit(): Promise<void> {
    const journal = this.#journal;
    if (journal === undefined) return;
    const change = takeChange(this.#state);
    const arenas = [...this.#state.arenas.values()];
    const freed = arenas.map((arena) => arena.takeFreed());
    // The bytes first, so that the metadata never refers to bytes that are not there.
    await Promise.all(arenas.map((arena) => arena.medium.sync()));
    journal.commit(change);
    for (const [index, arena] of arenas.entries()) arena.recycle(freed[index]!);
  }

  async #operation<Result>(run: () => Promise<Result>): Promise<Result> {
    this.#checkOpen();
    const running = run();
    this.#operations.add(running);
    try {
      return await running;
    } finally {
      this.#operations.delete(running);
    }
  }

  #checkOpen(): void {
    if (this.#disposed !== undefined) throw new StoreError("ERR_NOT_NOW", "the store is closed");
  }

  #checkName(name: string, taken: StoredVolume | StoredSnapshot | undefined): void {
    if (!namePattern.test(name)) {
      throw new StoreError(
        "ERR_INVALID",
        `the name ${JSON.stringify(name.slice(0, 300))} is not 1 to 253 of the characters a-z A-Z 0-9 - _ .`,
      );
    }
    if (taken !== undefined)
      throw new StoreError("ERR_NAME_TAKEN", `the name ${name} belongs to ${taken.uuid}`);
  }

  /** A volume with nothing going on. */
  #idleVolume(uuid: string): ThinVolume {
    const volume = this.#state.volumes.get(uuid);
    if (volume === undefined) throw new StoreError("ERR_NOT_FOUND", `there is no volume ${uuid}`);
    if (volume.state !== "available") {
      throw new StoreError("ERR_NOT_NOW", `volume ${uuid} is ${volume.state}; wait until it is available`);
    }
    for (const snapshot of this.#state.snapshots.values()) {
      if (snapshot.volumeUuid === uuid && snapshot.state === "creating") {
        throw new StoreError("ERR_NOT_NOW", `snapshot ${snapshot.uuid} of volume ${uuid} is still creating`);
      }
    }
    return volume;
  }

  #usableSnapshot(uuid: string): ThinSnapshot {
    const snapshot = this.#state.snapshots.get(uuid);
    if (snapshot === undefined || snapshot.state === "deleted") {
      throw new StoreError("ERR_NOT_FOUND", `there is no snapshot ${uuid}`);
    }
    if (snapshot.state !== "available") {
      throw new StoreError("ERR_NOT_NOW", `snapshot ${uuid} is ${snapshot.state}`);
    }
    return snapshot;
  }

  #unusedNsid(): number {
    const used = new Set<number>();
    for (const volume of this.#state.volumes.values()) used.add(volume.nsid);
    let nsid = 1;
    while (used.has(nsid)) nsid++;
    return nsid;
  }

  #setBlockCount(volume: ThinVolume, blockCount: number): void {
    if (volume.blockCount === blockCount) return;
    volume.blockCount = blockCount;
    this.#emit({ kind: "namespace-resized", nsid: volume.nsid });
  }

  #setVolumeState(volume: ThinVolume, state: ThinVolume["state"]): void {
    volume.state = state;
    volume.revision++;
    this.#touch();
    this.#emit({ kind: "volume", uuid: volume.uuid });
  }

  #setSnapshotState(snapshot: ThinSnapshot, state: ThinSnapshot["state"]): void {
    snapshot.state = state;
    snapshot.revision++;
    this.#touch();
    this.#emit({ kind: "snapshot", uuid: snapshot.uuid });
  }

  #touch(): void {
    this.#state.objectsAreDirty = true;
    this.#commits.touch();
  }

  #emit(change: StoreChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}

function hasNamespace(volume: ThinVolume): boolean {
  return volume.state !== "creating" && volume.state !== "deleting";
}

function checkSize(sizeBytes: number, blockSizeBytes: number): void {
  if (sizeBytes > 0 && sizeBytes <= sizeBytesMax && sizeBytes % blockSizeBytes === 0) return;
  throw new StoreError(
    "ERR_INVALID",
    `a size of ${sizeBytes} bytes is not a multiple of ${blockSizeBytes} from ${blockSizeBytes} to ${sizeBytesMax}`,
  );
}

function checkBase(snapshot: ThinSnapshot, base: ThinSnapshot): void {
  if (base === snapshot) {
    throw new StoreError("ERR_INVALID", `snapshot ${base.uuid} is compared with itself`);
  }
  if (base.volumeUuid !== snapshot.volumeUuid) {
    throw new StoreError(
      "ERR_NOT_ON_CHAIN",
      `snapshot ${base.uuid} is of volume ${base.volumeUuid}, snapshot ${snapshot.uuid} of ${snapshot.volumeUuid}`,
    );
  }
  if (base.sequence > snapshot.sequence) {
    throw new StoreError("ERR_INVALID", `base ${base.uuid} is newer than snapshot ${snapshot.uuid}`);
  }
}
