/**
 * Volumes, snapshots and clones as chains of layers: the {@link VolumeStore} over any medium.
 *
 * This file holds the steps of each operation and the commits between them. What a request must satisfy is
 * checked in `request-checks.ts`, objects are found in `lookup.ts` and made in `creation.ts`, and what nothing
 * holds any more is removed in `removal.ts`.
 *
 * @packageDocumentation
 */
import type { DiffPlan, StoreBug } from "./bug.ts";
import { dropBlocksFrom } from "./chain.ts";
import { changedChunks, layersBetween } from "./changed-chunks.ts";
import { CommitQueue } from "./commit-queue.ts";
import { addSnapshot, addVolume } from "./creation.ts";
import {
  idleVolume,
  servedVolume,
  servedVolumes,
  snapshotNamed,
  usableSnapshot,
  volumeNamed,
} from "./lookup.ts";
import type { MetadataJournal } from "./metadata.ts";
import { ObjectChanges } from "./object-changes.ts";
import {
  type ChangedChunks,
  type Namespace,
  type StoreChange,
  type StoredSnapshot,
  type StoredVolume,
  StoreError,
  type VolumeStore,
} from "./port.ts";
import { Removal } from "./removal.ts";
import { checkBase, checkIsOf, checkName, checkPage, checkSize } from "./request-checks.ts";
import { addLayer, type StoreState, takeChange } from "./store-state.ts";
import { describeSnapshot, describeVolume, type ThinSnapshot, type ThinVolume } from "./thin-volume.ts";
import { VolatileCache, type VolatileCacheOptions, VolumeCache } from "./volatile-cache.ts";

export class ThinStore implements VolumeStore {
  readonly #state: StoreState;
  readonly #journal: MetadataJournal | undefined;
  readonly #commits: CommitQueue;
  readonly #changes: ObjectChanges;
  readonly #removal: Removal;
  readonly #cache: VolatileCache | undefined;
  readonly #bug: StoreBug | undefined;
  readonly #operations = new Set<Promise<unknown>>();
  #disposed: Promise<void> | undefined;

  /**
   * @param options.restore - Gives the objects that the store starts with; the store closes their media.
   * @param options.journal - Keeps the metadata; without one the store forgets all when it is closed.
   * @param options.volatileCache - Keeps unflushed blocks in memory; without it they go to the media at once.
   * @param options.bug - Makes mistakes on purpose.
   * @param options.directory - Where the media are, for the bug.
   */
  constructor(options: {
    readonly restore: (commits: CommitQueue) => StoreState;
    readonly journal?: MetadataJournal;
    readonly volatileCache?: VolatileCacheOptions | undefined;
    readonly bug?: StoreBug | undefined;
    readonly directory?: string;
  }) {
    this.#bug = options.bug;
    this.#cache = options.volatileCache && new VolatileCache(options.volatileCache);
    this.#journal = options.journal;
    this.#commits = new CommitQueue({
      commit: () => this.#commit(),
      runsInBackground: options.journal !== undefined,
    });
    this.#state = options.restore(this.#commits);
    this.#changes = new ObjectChanges(this.#state, this.#commits);
    this.#removal = new Removal({
      state: this.#state,
      commits: this.#commits,
      changes: this.#changes,
      bug: options.bug,
    });
    this.#removal.settle();
    for (const arena of this.#state.arenas.values()) arena.bug = options.bug;
    for (const volume of this.#state.volumes.values()) this.#equip(volume);
    options.bug?.opened?.(this.#state, options.directory);
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
    const volume = volumeNamed(this.#state, name);
    return volume && describeVolume(volume);
  }

  snapshot(uuid: string): StoredSnapshot | undefined {
    const snapshot = this.#state.snapshots.get(uuid);
    return snapshot && describeSnapshot(snapshot);
  }

  snapshotByName(name: string): StoredSnapshot | undefined {
    const snapshot = snapshotNamed(this.#state, name);
    return snapshot && describeSnapshot(snapshot);
  }

  get namespaces(): readonly Namespace[] {
    return servedVolumes(this.#state);
  }

  namespace(nsid: number): Namespace | undefined {
    return servedVolume(this.#state, nsid);
  }

  createVolume(request: Parameters<VolumeStore["createVolume"]>[0]): Promise<StoredVolume> {
    return this.#operation(async () => {
      checkName(request.name, volumeNamed(this.#state, request.name));
      const { sourceSnapshotUuid } = request;
      const source =
        sourceSnapshotUuid === undefined ? undefined : usableSnapshot(this.#state, sourceSnapshotUuid);
      const blockSizeBytes = source?.blockSizeBytes ?? request.blockSizeBytes;
      const arena = this.#state.arenas.get(blockSizeBytes);
      if (arena === undefined) {
        const known = [...this.#state.arenas.keys()].join(" or ");
        throw new StoreError("ERR_INVALID", `a block size of ${blockSizeBytes} bytes is not ${known}`);
      }
      if (source === undefined) checkSize(request.sizeBytes, blockSizeBytes);
      const blockCount = source?.blockCount ?? request.sizeBytes / blockSizeBytes;
      const { name } = request;
      const volume = addVolume(this.#state, { name, arena, blockCount, source }, this.#commits);
      this.#equip(volume);
      this.#bug?.created?.(volume);
      this.#changes.note();
      this.#changes.tell({ kind: "volume", uuid: volume.uuid });
      await this.#commits.commit();
      this.#changes.setVolumeState(volume, "available");
      this.#changes.tell({ kind: "namespace-added", nsid: volume.nsid });
      return describeVolume(volume);
    });
  }

  renameVolume(uuid: string, name: string): Promise<StoredVolume> {
    return this.#operation(async () => {
      const volume = idleVolume(this.#state, uuid);
      if (volume.name !== name) {
        checkName(name, volumeNamed(this.#state, name));
        volume.name = name;
        for (const snapshot of this.#state.snapshots.values()) {
          if (snapshot.volumeUuid !== uuid) continue;
          snapshot.volumeName = name;
          snapshot.revision++;
        }
        this.#changes.setVolumeState(volume, "available");
        await this.#commits.commit();
      }
      return describeVolume(volume);
    });
  }

  resizeVolume(uuid: string, sizeBytes: number): Promise<StoredVolume> {
    return this.#operation(async () => {
      const volume = idleVolume(this.#state, uuid);
      checkSize(sizeBytes, volume.blockSizeBytes);
      const blockCount = sizeBytes / volume.blockSizeBytes;
      volume.writeBack();
      const proceed = (): void => {
        if (blockCount < volume.blockCount) dropBlocksFrom(volume.head, blockCount);
        this.#changes.setBlockCount(volume, blockCount);
      };
      if (this.#bug?.resize === undefined) proceed();
      else this.#bug.resize(volume, blockCount, proceed);
      this.#changes.setVolumeState(volume, "updating");
      await this.#commits.commit();
      this.#changes.setVolumeState(volume, "available");
      return describeVolume(volume);
    });
  }

  deleteVolume(uuid: string): Promise<void> {
    return this.#operation(async () => {
      const volume = idleVolume(this.#state, uuid);
      // Also makes room for others: nobody will flush it any more.
      volume.writeBack();
      volume.isServed = false;
      this.#changes.setVolumeState(volume, "deleting");
      this.#changes.tell({ kind: "namespace-removed", nsid: volume.nsid });
      await this.#commits.commit();
      this.#state.volumes.delete(uuid);
      this.#removal.release(volume.head);
      this.#changes.tell({ kind: "volume", uuid });
      await this.#commits.commit();
    });
  }

  createSnapshot(request: Parameters<VolumeStore["createSnapshot"]>[0]): Promise<StoredSnapshot> {
    return this.#operation(async () => {
      checkName(request.name, snapshotNamed(this.#state, request.name));
      const volume = idleVolume(this.#state, request.volumeUuid);
      volume.writeBack();
      const proceed = (): ThinSnapshot => addSnapshot(this.#state, request.name, volume);
      const snapshot =
        this.#bug?.snapshot === undefined ? proceed() : await this.#bug.snapshot(volume, proceed);
      this.#changes.note();
      this.#changes.tell({ kind: "snapshot", uuid: snapshot.uuid });
      await this.#commits.commit();
      this.#changes.setSnapshotState(snapshot, "available");
      return describeSnapshot(snapshot);
    });
  }

  deleteSnapshot(uuid: string): Promise<void> {
    return this.#operation(async () => {
      const snapshot = usableSnapshot(this.#state, uuid);
      this.#changes.setSnapshotState(snapshot, "deleting");
      await this.#commits.commit();
      this.#removal.release(snapshot.layer);
      if (this.#state.snapshots.has(uuid)) this.#changes.setSnapshotState(snapshot, "deleted");
      await this.#commits.commit();
    });
  }

  /** The volume also gets the snapshot's size back. Newer snapshots stay, on a branch of their own. */
  rollbackVolume(volumeUuid: string, snapshotUuid: string): Promise<void> {
    return this.#operation(async () => {
      const volume = idleVolume(this.#state, volumeUuid);
      const snapshot = usableSnapshot(this.#state, snapshotUuid);
      checkIsOf(snapshot, volumeUuid);
      volume.writeBack();
      const abandoned = volume.head;
      const proceed = (): void => {
        volume.head = addLayer(this.#state, abandoned.arena, snapshot.layer);
      };
      if (this.#bug?.rollback === undefined) proceed();
      else this.#bug.rollback(volume, abandoned, proceed);
      this.#changes.setBlockCount(volume, snapshot.blockCount);
      this.#changes.setVolumeState(volume, "rollback");
      await this.#commits.commit();
      this.#removal.release(abandoned);
      await this.#commits.commit();
      this.#changes.setVolumeState(volume, "available");
    });
  }

  changedChunks(request: Parameters<VolumeStore["changedChunks"]>[0]): ChangedChunks {
    const { snapshotUuid, baseSnapshotUuid, offsetLba, chunkCountMax } = request;
    this.#checkOpen();
    const snapshot = usableSnapshot(this.#state, snapshotUuid);
    const base = baseSnapshotUuid === undefined ? undefined : usableSnapshot(this.#state, baseSnapshotUuid);
    if (base !== undefined) checkBase(snapshot, base);
    checkPage(snapshot, { offsetLba, chunkCountMax });
    const layers = layersBetween(base?.layer, snapshot.layer);
    const plan: DiffPlan = {
      layers,
      snapshot,
      base,
      blockCount: snapshot.blockCount,
      offsetLba,
      chunkCountMax,
    };
    return this.#bug?.diff === undefined ? changedChunks(plan) : this.#bug.diff(plan, changedChunks);
  }

  onChange(listener: (change: StoreChange) => void): () => void {
    return this.#changes.listen(listener);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    await Promise.allSettled(this.#operations);
    for (const volume of this.#state.volumes.values()) volume.isServed = false;
    try {
      for (const volume of this.#state.volumes.values()) volume.writeBack();
    } finally {
      await this.#close();
    }
  }

  async #close(): Promise<void> {
    try {
      await this.#commits.close();
    } finally {
      this.#journal?.close();
      for (const arena of this.#state.arenas.values()) arena.medium.close();
    }
  }

  #equip(volume: ThinVolume): void {
    if (this.#cache !== undefined) volume.cache = new VolumeCache(this.#cache, volume);
    volume.bug = this.#bug;
  }

  async #commit(): Promise<void> {
    const journal = this.#journal;
    if (journal === undefined) return;
    const whole = takeChange(this.#state);
    const change = this.#bug?.commit === undefined ? whole : this.#bug.commit(whole);
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
}
