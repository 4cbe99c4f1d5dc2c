/**
 * What the embedded target's two faces, NVMe/TCP and REST, need from its thin volumes.
 *
 * Data calls are synchronous: they copy between a buffer and memory or the page cache. What must reach
 * stable media is asynchronous: flush, and everything that changes volumes and snapshots.
 *
 * @packageDocumentation
 */

/** Blocks per chunk: the unit of copy-on-write bookkeeping and of a diff range. */
export const chunkBlocks = 64;

/** A volume as the NVMe/TCP target serves it. Ranges are checked by the caller against `blockCount`. */
export interface Namespace {
  readonly nsid: number;
  /** Lower-case RFC 4122 text; also the identity on the wire, on every path and after every restart. */
  readonly uuid: string;
  readonly blockSizeBytes: number;
  /** Follows a resize. */
  readonly blockCount: number;
  /** Blocks that hold data of their own or of an ancestor (for NUSE). */
  readonly allocatedBlockCount: number;
  read(block: number, blockCount: number, into: Uint8Array): void;
  write(block: number, blockCount: number, from: Uint8Array): void;
  /** Afterwards the blocks read as zeros; whether space is freed is the store's business. */
  zero(block: number, blockCount: number): void;
  /** Resolves when every call that returned before it is on stable media. */
  flush(): Promise<void>;
}

export type StoredVolumeState = "creating" | "available" | "updating" | "rollback" | "deleting";
export type StoredSnapshotState = "creating" | "available" | "deleting" | "deleted";

export interface StoredVolume {
  readonly uuid: string;
  readonly name: string;
  readonly nsid: number;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  readonly state: StoredVolumeState;
  readonly sourceSnapshotUuid: string | undefined;
  readonly createdAt: Date;
  /** Changes with every change of the object; for optimistic concurrency. */
  readonly etag: string;
}

export interface StoredSnapshot {
  readonly uuid: string;
  readonly name: string;
  readonly sourceVolumeUuid: string;
  readonly sourceVolumeName: string;
  readonly sizeBytes: number;
  readonly blockSizeBytes: number;
  readonly state: StoredSnapshotState;
  readonly createdAt: Date;
  readonly etag: string;
}

/** Changed blocks of one 64-block chunk: bit i (low word first) stands for block `lbaStart + i`. */
export interface ChangedChunk {
  readonly lbaStart: number;
  readonly low: number;
  readonly high: number;
}

export interface ChangedChunks {
  /** Ascending, at most the limit asked for, none empty. */
  readonly chunks: readonly ChangedChunk[];
  /** First block not yet looked at, or 0 if the end was reached. */
  readonly nextOffsetLba: number;
}

export type StoreErrorCode =
  | "ERR_NOT_FOUND"
  | "ERR_NAME_TAKEN"
  | "ERR_INVALID"
  | "ERR_NOT_NOW"
  | "ERR_NOT_ON_CHAIN"
  | "ERR_OUT_OF_RANGE"
  | "ERR_CORRUPT"
  | "ERR_IO";

export class StoreError extends Error {
  override readonly name = "StoreError";
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** What changed, for asynchronous events and for waiters. */
export type StoreChange =
  | { readonly kind: "namespace-added" | "namespace-removed" | "namespace-resized"; readonly nsid: number }
  | { readonly kind: "volume" | "snapshot"; readonly uuid: string };

/**
 * Thin volumes with copy-on-write snapshots.
 *
 * All methods throw or reject with {@link StoreError}. A create call registers the object at once, in state
 * "creating", and resolves when it is "available" and durable; a delete call marks it "deleting" at once and
 * resolves when it is gone. A snapshot that a clone still stands on lingers as "deleted" until that is gone.
 * A snapshot's point in time is the moment of the call: each data call that returned before it is in.
 */
export interface VolumeStore extends AsyncDisposable {
  readonly volumes: readonly StoredVolume[];
  readonly snapshots: readonly StoredSnapshot[];
  volume(uuid: string): StoredVolume | undefined;
  volumeByName(name: string): StoredVolume | undefined;
  snapshot(uuid: string): StoredSnapshot | undefined;
  snapshotByName(name: string): StoredSnapshot | undefined;
  /** Namespaces of all available volumes, by ascending NSID. */
  readonly namespaces: readonly Namespace[];
  namespace(nsid: number): Namespace | undefined;
  createVolume(request: {
    readonly name: string;
    readonly sizeBytes: number;
    readonly blockSizeBytes: number;
    /** Makes the volume a clone, of the snapshot's size and block size, whatever was asked. */
    readonly sourceSnapshotUuid?: string;
  }): Promise<StoredVolume>;
  renameVolume(uuid: string, name: string): Promise<StoredVolume>;
  /** Blocks beyond a smaller size are gone for good: growing again shows zeros. */
  resizeVolume(uuid: string, sizeBytes: number): Promise<StoredVolume>;
  deleteVolume(uuid: string): Promise<void>;
  createSnapshot(request: { readonly name: string; readonly volumeUuid: string }): Promise<StoredSnapshot>;
  deleteSnapshot(uuid: string): Promise<void>;
  rollbackVolume(volumeUuid: string, snapshotUuid: string): Promise<void>;
  /**
   * Chunks written, zeroed or deallocated between base and snapshot, or ever, if there is no base.
   *
   * `ERR_INVALID` if the two are one, or base is the newer; `ERR_NOT_ON_CHAIN` if they are of different
   * volumes; `ERR_OUT_OF_RANGE` if `offsetLba`, rounded down to a chunk, lies beyond the snapshot.
   */
  changedChunks(request: {
    readonly snapshotUuid: string;
    readonly baseSnapshotUuid?: string;
    readonly offsetLba: number;
    readonly chunkCountMax: number;
  }): ChangedChunks;
  /** Calls back, synchronously, after each change; returns the way to stop. */
  onChange(listener: (change: StoreChange) => void): () => void;
}
