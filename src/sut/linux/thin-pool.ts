/**
 * The port to a pool of thinly provisioned devices on a Linux host: volumes, and snapshots that share their blocks.
 *
 * Nothing here knows NVMe: how devices are exported is another matter.
 *
 * @packageDocumentation
 */
import type { CallOptions } from "../port.ts";

/** A volume or snapshot in a pool. */
export interface ThinDevice {
  readonly uuid: string;
  readonly name: string;
  readonly sizeBytes: number;
  readonly role: "volume" | "snapshot";
  /** Of a snapshot its volume; of a clone the snapshot that it was made from. */
  readonly sourceUuid: string | undefined;
}

/** Chunks whose mapping differs, or that are mapped: `count` of them from `begin` on, counted from 0. */
export interface ChunkRange {
  readonly begin: number;
  readonly count: number;
}

/** Every method rejects with a `ServiceError`; one that was refused has changed nothing. */
export interface ThinPool {
  /** For people: which pool, and where. */
  readonly description: string;
  /** Unit of provisioning, and so of diffs: a multiple of 64 KiB. Known once the pool was brought up. */
  readonly chunkBytes: number;
  /** Bytes per logical block of its devices, which they have from the disks below. Known once it was brought up. */
  readonly blockSizeBytes: number;
  /** Makes the pool usable, after a start of its host too; may be repeated. */
  bringUp(options?: CallOptions): Promise<void>;
  /** What the pool holds of those that were made through this port, whatever was lost or added meanwhile. */
  list(options?: CallOptions): Promise<readonly ThinDevice[]>;
  create(
    request: { readonly name: string; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<ThinDevice>;
  /** Takes one instant of the source, under load too; durable when it resolves. */
  snapshot(
    request: { readonly name: string; readonly sourceUuid: string; readonly role: ThinDevice["role"] },
    options?: CallOptions,
  ): Promise<ThinDevice>;
  /** Deactivates it as well. */
  remove(uuid: string, options?: CallOptions): Promise<void>;
  /** Grows it, also while it is active; new chunks read as zeros. */
  grow(uuid: string, sizeBytes: number, options?: CallOptions): Promise<void>;
  /**
   * Puts a volume back to one of its snapshots, which stays.
   *
   * @param detached - Runs what it is given while nobody has the volume's device open.
   */
  rollback(
    request: { readonly volumeUuid: string; readonly snapshotUuid: string },
    detached: (work: () => Promise<void>) => Promise<void>,
    options?: CallOptions,
  ): Promise<void>;
  /** Path of its block device on that host, which is there when this resolves; may be repeated. */
  activate(uuid: string, options?: CallOptions): Promise<string>;
  deactivate(uuid: string, options?: CallOptions): Promise<void>;
  /** Chunks that differ between two of them, or all that are mapped, in rising order and without overlap. */
  changes(
    request: { readonly baseUuid: string | undefined; readonly uuid: string },
    options?: CallOptions,
  ): Promise<readonly ChunkRange[]>;
}
