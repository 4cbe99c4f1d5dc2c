/**
 * A volume store without blocks, whose background work ends when the test says so.
 *
 * @packageDocumentation
 */

import {
  type ChangedChunk,
  type StoreChange,
  StoreError,
  type StoredSnapshot,
  type StoredVolume,
  type VolumeStore,
} from "../../../src/sut/store/port.ts";

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] };

export class FakeStore implements VolumeStore {
  readonly volumeMap = new Map<string, Mutable<StoredVolume>>();
  readonly snapshotMap = new Map<string, Mutable<StoredSnapshot>>();
  /** What every diff holds. */
  changed: readonly ChangedChunk[] = [];
  /** While set, work in the background does not end. */
  gate: Promise<void> | undefined;
  readonly #listeners = new Set<(change: StoreChange) => void>();
  #count = 0;

  get volumes() {
    return [...this.volumeMap.values()];
  }
  get snapshots() {
    return [...this.snapshotMap.values()];
  }
  volume(uuid: string) {
    return this.volumeMap.get(uuid);
  }
  volumeByName(name: string) {
    return this.volumes.find((volume) => volume.name === name);
  }
  snapshot(uuid: string) {
    return this.snapshotMap.get(uuid);
  }
  snapshotByName(name: string) {
    return this.snapshots.find((snapshot) => snapshot.name === name && snapshot.state !== "deleted");
  }
  get namespaces() {
    return [];
  }
  namespace() {
    return undefined;
  }

  async createVolume(request: Parameters<VolumeStore["createVolume"]>[0]) {
    const source = this.snapshotMap.get(request.sourceSnapshotUuid ?? "");
    const volume: Mutable<StoredVolume> = {
      uuid: this.#uuid(),
      name: request.name,
      nsid: this.#count,
      sizeBytes: source?.sizeBytes ?? request.sizeBytes,
      blockSizeBytes: source?.blockSizeBytes ?? request.blockSizeBytes,
      state: "creating",
      sourceSnapshotUuid: source?.uuid,
      createdAt: new Date(Date.UTC(2026, 0, 2, 3, 4, 5)),
      etag: "1",
    };
    this.volumeMap.set(volume.uuid, volume);
    await this.gate;
    volume.state = "available";
    return volume;
  }

  async renameVolume(uuid: string, name: string) {
    return this.#change(uuid, "updating", (volume) => {
      volume.name = name;
    });
  }

  async resizeVolume(uuid: string, sizeBytes: number) {
    return this.#change(uuid, "updating", (volume) => {
      volume.sizeBytes = sizeBytes;
    });
  }

  async rollbackVolume(uuid: string) {
    await this.#change(uuid, "rollback", () => undefined);
  }

  async deleteVolume(uuid: string) {
    const volume = this.volumeMap.get(uuid);
    if (volume === undefined) throw new StoreError("ERR_NOT_FOUND", "no such volume");
    volume.state = "deleting";
    await this.gate;
    this.volumeMap.delete(uuid);
    this.#emit({ kind: "volume", uuid });
  }

  async createSnapshot({ name, volumeUuid }: { readonly name: string; readonly volumeUuid: string }) {
    const volume = this.volumeMap.get(volumeUuid);
    if (volume === undefined) throw new StoreError("ERR_NOT_FOUND", "no such volume");
    const snapshot: Mutable<StoredSnapshot> = {
      uuid: this.#uuid(),
      name,
      sourceVolumeUuid: volumeUuid,
      sourceVolumeName: volume.name,
      sizeBytes: volume.sizeBytes,
      blockSizeBytes: volume.blockSizeBytes,
      state: "creating",
      createdAt: new Date(Date.UTC(2026, 0, 2, 3, 4, 6)),
      etag: "1",
    };
    this.snapshotMap.set(snapshot.uuid, snapshot);
    await this.gate;
    snapshot.state = "available";
    return snapshot;
  }

  async deleteSnapshot(uuid: string) {
    const snapshot = this.snapshotMap.get(uuid);
    if (snapshot === undefined) throw new StoreError("ERR_NOT_FOUND", "no such snapshot");
    snapshot.state = "deleting";
    await this.gate;
    this.snapshotMap.delete(uuid);
    this.#emit({ kind: "snapshot", uuid });
  }

  changedChunks({ offsetLba, chunkCountMax }: Parameters<VolumeStore["changedChunks"]>[0]) {
    const rest = this.changed.filter(({ lbaStart }) => lbaStart >= offsetLba);
    const chunks = rest.slice(0, chunkCountMax);
    return { chunks, nextOffsetLba: rest[chunkCountMax]?.lbaStart ?? 0 };
  }

  onChange(listener: (change: StoreChange) => void) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async [Symbol.asyncDispose]() {}

  #uuid(): string {
    this.#count += 1;
    return `00000000-0000-4000-8000-${String(this.#count).padStart(12, "0")}`;
  }

  async #change(
    uuid: string,
    state: StoredVolume["state"],
    apply: (volume: Mutable<StoredVolume>) => void,
  ): Promise<StoredVolume> {
    const volume = this.volumeMap.get(uuid);
    if (volume === undefined) throw new StoreError("ERR_NOT_FOUND", "no such volume");
    volume.state = state;
    await this.gate;
    apply(volume);
    volume.state = "available";
    volume.etag = String(Number(volume.etag) + 1);
    return volume;
  }

  #emit(change: StoreChange): void {
    for (const listener of this.#listeners) listener(change);
  }
}
