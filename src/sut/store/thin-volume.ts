/**
 * A thin volume and a snapshot as the store keeps them; the volume is also what serves data.
 *
 * @packageDocumentation
 */
import { allocatedBlockCount, readBlocks } from "./chain.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { Layer } from "./layer.ts";
import type { SnapshotRow, VolumeRow } from "./metadata.ts";
import type { PartialFlush } from "./partial-flush.ts";
import {
  type Namespace,
  type StoredSnapshot,
  type StoredSnapshotState,
  type StoredVolume,
  type StoredVolumeState,
  StoreError,
} from "./port.ts";
import type { CachedVolume, VolumeCache } from "./volatile-cache.ts";

/** Blocks of a volume. */
export interface VolumeRange {
  readonly block: number;
  readonly blockCount: number;
}

/** A block that a volatile cache sends to its volume, though nobody has flushed it. */
interface CachedBlock {
  readonly block: number;
  /** Absent if the block is zeroed. */
  readonly bytes: Uint8Array | undefined;
}

/** The part of a bug on purpose that a volume has; see `bug.ts`. */
export interface VolumeBug {
  read?(
    volume: ThinVolume,
    request: VolumeRange & { readonly into: Uint8Array },
    proceed: (request: VolumeRange & { readonly into: Uint8Array }) => void,
  ): void;
  write?(
    volume: ThinVolume,
    request: VolumeRange & { readonly from: Uint8Array },
    proceed: (request: VolumeRange & { readonly from: Uint8Array }) => void,
  ): void;
  zero?(volume: ThinVolume, range: VolumeRange, proceed: (range: VolumeRange) => void): void;
  /** With a range, for a write with FUA; `proceed` writes back what is cached, and commits. */
  flush?(volume: ThinVolume, range: VolumeRange | undefined, proceed: () => Promise<void>): Promise<void>;
  /** Sends one block out of the volatile cache early; it leaves the cache when `proceed` is called. */
  writeBackEarly?(volume: ThinVolume, entry: CachedBlock, proceed: () => void): void;
}

export class ThinVolume implements Namespace, PartialFlush, CachedVolume {
  readonly uuid: string;
  readonly nsid: number;
  readonly blockSizeBytes: number;
  readonly sourceSnapshotUuid: string | undefined;
  readonly createdAtMs: number;
  name: string;
  state: StoredVolumeState;
  blockCount: number;
  revision: number;
  head: Layer;
  /** False when the volume is deleted or the store is closed. */
  isServed = true;
  /** Holds unflushed blocks, if the store was opened with a volatile cache. */
  cache: VolumeCache | undefined;
  /** A bug on purpose, if the store was opened with one. */
  bug: VolumeBug | undefined;
  readonly #commits: CommitQueue;
  #allocated: { readonly head: Layer; readonly revision: number; readonly blockCount: number } | undefined;

  constructor(row: Omit<VolumeRow, "layerId">, head: Layer, commits: CommitQueue) {
    this.uuid = row.uuid;
    this.nsid = row.nsid;
    this.blockSizeBytes = row.blockSizeBytes;
    this.sourceSnapshotUuid = row.sourceSnapshotUuid;
    this.createdAtMs = row.createdAtMs;
    this.name = row.name;
    this.state = row.state;
    this.blockCount = row.blockCount;
    this.revision = row.revision;
    this.head = head;
    this.#commits = commits;
  }

  /** Without what is still in the cache. */
  get allocatedBlockCount(): number {
    const { head } = this;
    if (this.#allocated?.head !== head || this.#allocated.revision !== head.revision) {
      this.#allocated = { head, revision: head.revision, blockCount: allocatedBlockCount(head) };
    }
    return this.#allocated.blockCount;
  }

  read(block: number, blockCount: number, into: Uint8Array): void {
    this.#check(block, blockCount, into);
    if (this.bug?.read === undefined) this.#read(block, blockCount, into);
    else
      this.bug.read(this, { block, blockCount, into }, (request) =>
        this.#read(request.block, request.blockCount, request.into),
      );
  }

  write(block: number, blockCount: number, from: Uint8Array): void {
    this.#check(block, blockCount, from);
    if (this.bug?.write === undefined) this.#write(block, blockCount, from);
    else
      this.bug.write(this, { block, blockCount, from }, (request) =>
        this.#write(request.block, request.blockCount, request.from),
      );
  }

  zero(block: number, blockCount: number): void {
    this.#check(block, blockCount, undefined);
    if (this.bug?.zero === undefined) this.#zero(block, blockCount);
    else this.bug.zero(this, { block, blockCount }, (range) => this.#zero(range.block, range.blockCount));
  }

  async flush(): Promise<void> {
    this.#check(0, 0, undefined);
    const proceed = (): Promise<void> => {
      this.writeBack();
      return this.#commits.commit();
    };
    await (this.bug?.flush === undefined ? proceed() : this.bug.flush(this, undefined, proceed));
  }

  async flushBlocks(block: number, blockCount: number): Promise<void> {
    this.#check(block, blockCount, undefined);
    const proceed = (): Promise<void> => {
      this.cache?.writeBack(block, blockCount);
      return this.#commits.commit();
    };
    await (this.bug?.flush === undefined ? proceed() : this.bug.flush(this, { block, blockCount }, proceed));
  }

  /** Hands all that is cached to the layers, for the next commit. */
  writeBack(): void {
    this.cache?.writeBack(0, this.blockCount);
  }

  /** Writes back one block that nobody has flushed, to make room. */
  writeBackEarly(block: number, bytes: Uint8Array | undefined): void {
    const proceed = (): void => this.cache?.writeBack(block, 1);
    if (this.bug?.writeBackEarly === undefined) proceed();
    else this.bug.writeBackEarly(this, { block, bytes }, proceed);
  }

  /** Writes past the cache. */
  writeThrough(block: number, blockCount: number, from: Uint8Array): void {
    this.#commits.touch();
    this.head.write(block, blockCount, from);
  }

  /** Zeroes past the cache. */
  zeroThrough(block: number, blockCount: number): void {
    this.#commits.touch();
    this.head.zero(block, blockCount);
  }

  #read(block: number, blockCount: number, into: Uint8Array): void {
    readBlocks(this.head, block, blockCount, into);
    this.cache?.overlay(block, blockCount, into);
  }

  #write(block: number, blockCount: number, from: Uint8Array): void {
    if (this.cache === undefined) this.writeThrough(block, blockCount, from);
    else this.cache.write(block, blockCount, from);
  }

  #zero(block: number, blockCount: number): void {
    if (this.cache === undefined) this.zeroThrough(block, blockCount);
    else this.cache.zero(block, blockCount);
  }

  #check(block: number, blockCount: number, bytes: Uint8Array | undefined): void {
    if (!this.isServed) {
      throw new StoreError("ERR_NOT_FOUND", `volume ${this.uuid}: is deleted, or its store is closed`);
    }
    if (block < 0 || blockCount < 0 || block + blockCount > this.blockCount) {
      throw new StoreError(
        "ERR_OUT_OF_RANGE",
        `volume ${this.uuid}: ${blockCount} blocks at block ${block} exceed its ${this.blockCount} blocks`,
      );
    }
    if (bytes !== undefined && bytes.length !== blockCount * this.blockSizeBytes) {
      throw new StoreError(
        "ERR_INVALID",
        `volume ${this.uuid}: a buffer of ${bytes.length} bytes does not hold ${blockCount} blocks of ` +
          `${this.blockSizeBytes} bytes`,
      );
    }
  }
}

/** A snapshot: a name for a layer that nobody writes to any more. */
export class ThinSnapshot {
  readonly uuid: string;
  readonly name: string;
  readonly volumeUuid: string;
  readonly blockSizeBytes: number;
  readonly blockCount: number;
  readonly createdAtMs: number;
  readonly sequence: number;
  readonly layer: Layer;
  volumeName: string;
  state: StoredSnapshotState;
  revision: number;

  constructor(row: Omit<SnapshotRow, "layerId">, layer: Layer) {
    this.uuid = row.uuid;
    this.name = row.name;
    this.volumeUuid = row.volumeUuid;
    this.volumeName = row.volumeName;
    this.blockSizeBytes = row.blockSizeBytes;
    this.blockCount = row.blockCount;
    this.createdAtMs = row.createdAtMs;
    this.sequence = row.sequence;
    this.state = row.state;
    this.revision = row.revision;
    this.layer = layer;
  }
}

export function describeVolume(volume: ThinVolume): StoredVolume {
  const { uuid, name, nsid, blockSizeBytes, state, sourceSnapshotUuid } = volume;
  return {
    ...{ uuid, name, nsid, blockSizeBytes, state, sourceSnapshotUuid },
    sizeBytes: volume.blockCount * blockSizeBytes,
    createdAt: new Date(volume.createdAtMs),
    etag: String(volume.revision),
  };
}

export function describeSnapshot(snapshot: ThinSnapshot): StoredSnapshot {
  const { uuid, name, blockSizeBytes, state } = snapshot;
  return {
    ...{ uuid, name, blockSizeBytes, state },
    sourceVolumeUuid: snapshot.volumeUuid,
    sourceVolumeName: snapshot.volumeName,
    sizeBytes: snapshot.blockCount * blockSizeBytes,
    createdAt: new Date(snapshot.createdAtMs),
    etag: String(snapshot.revision),
  };
}
