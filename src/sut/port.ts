/**
 * The ports to a system under test: a block device, and the service that makes volumes and snapshots.
 *
 * Adapters translate and never judge: they report what the target answered, and whether it is certain.
 * Nothing here knows what a block should hold.
 *
 * Addresses are logical blocks (LBAs) of the namespace, counted from 0, as safe integers. Buffers belong
 * to the caller, who leaves them alone until the call has settled.
 *
 * @packageDocumentation
 */

/**
 * What became of an operation.
 *
 * - `ok`: the target said that it is done.
 * - `failed`: certainly no effect; the target refused it, or it never left this host.
 * - `unknown`: it may have taken effect, may still, or may not (time-out, lost connection, unclear status).
 */
export type Outcome =
  | { readonly kind: "ok" }
  | {
      readonly kind: "failed";
      readonly code: OutcomeCode;
      readonly message: string;
      readonly status?: NvmeStatus;
    }
  | {
      readonly kind: "unknown";
      readonly code: OutcomeCode;
      readonly message: string;
      readonly status?: NvmeStatus;
    };

/** The one value of a success, so that a hot path allocates nothing. */
export const ok: Outcome = Object.freeze({ kind: "ok" });

/** Status of an NVMe completion (NVM Express Base Specification, completion queue entry). */
export interface NvmeStatus {
  readonly sct: number;
  readonly sc: number;
  readonly dnr: boolean;
}

/** Codes that some caller branches on. */
export type OutcomeCode =
  | "ERR_OUT_OF_RANGE"
  | "ERR_INVALID_REQUEST"
  | "ERR_UNSUPPORTED"
  | "ERR_COMPARE_FAILED"
  | "ERR_CAPACITY"
  | "ERR_NAMESPACE_GONE"
  | "ERR_MEDIA"
  | "ERR_TARGET"
  | "ERR_TIMEOUT"
  | "ERR_CONNECTION_LOST"
  | "ERR_ABORTED"
  | "ERR_CLOSED";

/** Who a namespace says that it is. */
export interface DeviceIdentity {
  /** Name for people: NQN and NSID, or a path. */
  readonly name: string;
  /** Lower-case UUID of the namespace, if it has one. */
  readonly uuid: string | undefined;
  readonly nsid: number | undefined;
}

/** What a namespace promises, as read from it; never assumed. */
export interface DeviceCapabilities {
  /** Bytes per logical block: 512 or 4096. */
  readonly blockSizeBytes: number;
  /** Longest transfer of one command, in blocks; longer requests are split by the adapter. */
  readonly transferBlocksMax: number;
  /** Blocks that one command writes whole or not at all, in normal operation (AWUN or NAWUN, 1-based). */
  readonly atomicWriteBlocks: number;
  /** The same across a power failure (AWUPF or NAWUPF, 1-based). */
  readonly atomicWriteBlocksPowerFail: number;
  /** A volatile write cache is present: only flush and FUA make a write durable (VWC). */
  readonly volatileWriteCache: boolean;
  /** What a deallocated block reads as (DLFEAT). */
  readonly deallocatedReads: "zeros" | "ones" | "unreported";
  readonly writeZeroes: boolean;
  readonly deallocate: boolean;
  readonly compare: boolean;
  /** Longest fused compare-and-write in blocks (ACWU, 1-based); 0 if the controller has no fused commands. */
  readonly compareAndWriteBlocksMax: number;
}

export interface BlockRange {
  /** First logical block. */
  readonly block: number;
  readonly blockCount: number;
}

export interface CallOptions {
  /** Stops waiting; a write that was already sent is then `unknown`. */
  readonly signal?: AbortSignal;
}

/**
 * An open volume or snapshot. Any number of calls may be in flight; none is ordered after another that has
 * not settled. Disposing waits for what is in flight, within a deadline, and may be repeated.
 */
export interface BlockDevice extends AsyncDisposable {
  readonly identity: DeviceIdentity;
  readonly capabilities: DeviceCapabilities;
  /** Size in logical blocks; follows a resize of the namespace. */
  readonly blockCount: number;
  /**
   * How many times the connection was made, from 1; changes when it was lost and made anew. Absent where there is
   * none.
   */
  readonly association?: number;
  /** Fills `into`, whose length is `blockCount` blocks. After anything but `ok` its content means nothing. */
  read(request: BlockRange & { readonly into: Uint8Array }, options?: CallOptions): Promise<Outcome>;
  /** Writes `from`, whose length is `blockCount` blocks; with `fua` it is durable when this settles `ok`. */
  write(
    request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean },
    options?: CallOptions,
  ): Promise<Outcome>;
  /** Makes blocks read as zeros; `deallocate` allows the target to unmap them. */
  writeZeroes(
    request: BlockRange & { readonly deallocate?: boolean },
    options?: CallOptions,
  ): Promise<Outcome>;
  /** Tells the target that the ranges hold nothing of worth; see `deallocatedReads`. At most 256 ranges. */
  deallocate(request: { readonly ranges: readonly BlockRange[] }, options?: CallOptions): Promise<Outcome>;
  /** `failed` with `ERR_COMPARE_FAILED` if the blocks do not equal `expected`. */
  compare(request: BlockRange & { readonly expected: Uint8Array }, options?: CallOptions): Promise<Outcome>;
  /** One atomic step: writes `from` only if the blocks equal `expected`, else `failed` with `ERR_COMPARE_FAILED`. */
  compareAndWrite(
    request: BlockRange & { readonly expected: Uint8Array; readonly from: Uint8Array },
    options?: CallOptions,
  ): Promise<Outcome>;
  /** Makes every write that settled before this call durable. */
  flush(options?: CallOptions): Promise<Outcome>;
}

export type VolumeState =
  | "creating"
  | "available"
  | "updating"
  | "rollback"
  | "migrating"
  | "deleting"
  | "deleted"
  | "failed";
export type SnapshotState = "creating" | "available" | "deleting" | "deleted" | "failed";

export interface Volume {
  readonly uuid: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly sectorSizeBytes: number;
  readonly state: VolumeState;
  readonly nsid: number | undefined;
  /** The snapshot that a clone was made from. */
  readonly sourceSnapshotUuid: string | undefined;
}

export interface Snapshot {
  readonly uuid: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly state: SnapshotState;
  readonly sourceVolumeUuid: string;
}

/**
 * One page of a snapshot diff, as the service answered it.
 *
 * A range starts at `lbaStart` and has one bit per block in `bitmap`: bit i of byte j stands for block
 * `lbaStart + 8 j + i`. Nothing is repaired: order, overlap and bounds are the checker's business.
 */
export interface DiffPage {
  /** The offset that was asked for. */
  readonly offsetLba: number;
  readonly ranges: readonly DiffRange[];
  /** Where the next page starts; 0 for the last page. One that does not lead on ends the answer as well. */
  readonly nextOffsetLba: number;
}

export interface DiffRange {
  readonly lbaStart: number;
  readonly bitmap: Uint8Array;
}

/** What the diff of a service can promise. */
export interface DiffCapabilities {
  /** Blocks that are reported together: 1 if each block has a bit of its own meaning. */
  readonly granularityBlocks: number;
  /** Blocks per range, to which `lbaStart` is aligned. */
  readonly chunkBlocks: number;
}

/**
 * The control plane: volumes, snapshots and their diffs.
 *
 * Every method rejects with a {@link ServiceError} if the service refuses or cannot be understood. Creating
 * and deleting resolve when the object is available, respectively gone.
 */
export interface VolumeService extends AsyncDisposable {
  readonly diffCapabilities: DiffCapabilities;
  createVolume(
    request: {
      readonly name: string;
      readonly sizeBytes: number;
      readonly sectorSizeBytes: number;
    },
    options?: CallOptions,
  ): Promise<Volume>;
  getVolume(uuid: string, options?: CallOptions): Promise<Volume>;
  listVolumes(options?: CallOptions): Promise<readonly Volume[]>;
  /** Resolves when the service shows the new size. */
  resizeVolume(
    request: { readonly uuid: string; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<Volume>;
  deleteVolume(uuid: string, options?: CallOptions): Promise<void>;
  createSnapshot(
    request: { readonly name: string; readonly volumeUuid: string },
    options?: CallOptions,
  ): Promise<Snapshot>;
  getSnapshot(uuid: string, options?: CallOptions): Promise<Snapshot>;
  listSnapshots(options?: CallOptions): Promise<readonly Snapshot[]>;
  deleteSnapshot(uuid: string, options?: CallOptions): Promise<void>;
  /** Makes a writable volume that starts as the snapshot. */
  cloneSnapshot(
    request: { readonly name: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<Volume>;
  /** Puts the volume back to what it held at the snapshot. */
  rollbackVolume(
    request: { readonly volumeUuid: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<void>;
  /** Blocks that differ between two snapshots, or between nothing and `snapshotUuid` if there is no base. */
  diff(
    request: {
      readonly snapshotUuid: string;
      readonly baseSnapshotUuid?: string;
      readonly offsetLba?: number;
    },
    options?: CallOptions,
  ): AsyncIterable<DiffPage>;
  openVolume(uuid: string, options?: CallOptions): Promise<BlockDevice>;
  /** Opens a snapshot for reading, by way of a clone if need be, which disposing removes. */
  openSnapshot(uuid: string, options?: CallOptions): Promise<BlockDevice>;
}

export type ServiceErrorCode =
  | "ERR_NOT_FOUND"
  | "ERR_INVALID_REQUEST"
  | "ERR_CONFLICT"
  | "ERR_BUSY"
  | "ERR_UNAUTHENTICATED"
  | "ERR_FORBIDDEN"
  | "ERR_UNSUPPORTED"
  | "ERR_BAD_ANSWER"
  | "ERR_UNREACHABLE"
  | "ERR_TIMEOUT"
  | "ERR_ABORTED"
  | "ERR_TARGET";

/** The service refused, or its answer made no sense. The message says what, where and with which limit. */
export class ServiceError extends Error {
  override readonly name = "ServiceError";
  readonly code: ServiceErrorCode;

  constructor(code: ServiceErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
