/**
 * A driver under test: how it is asked, and what can be done to the volumes behind it.
 *
 * @packageDocumentation
 */
import type { CsiSnapshotMetadata } from "../../sut/csi/client.ts";
import type { BlockRange } from "../../sut/port.ts";

/** Makes what the driver is asked about. Without hooks only snapshots that exist already can be asked about. */
export interface DriverHooks {
  readonly blockSizeBytes: number;
  /** @returns A handle for the other hooks. */
  createVolume(sizeBytes: number): Promise<string>;
  /** @param from - As many whole blocks as the range has. */
  write(volume: string, range: BlockRange, from: Uint8Array): Promise<void>;
  /** Makes blocks read as zeros, without telling the volume that they are not needed. */
  writeZeroes?(volume: string, range: BlockRange): Promise<void>;
  /** Makes blocks read as zeros by giving them back. */
  deallocate?(volume: string, range: BlockRange): Promise<void>;
  /** Resolves when it may be asked about. @returns What the driver calls it. */
  createSnapshot(volume: string): Promise<string>;
  deleteSnapshot?(snapshotId: string): Promise<void>;
  /** Resolves when the new blocks can be written. */
  growVolume?(volume: string, sizeBytes: number): Promise<void>;
}

/** What a snapshot is called: in Kubernetes a target goes by the name of its VolumeSnapshot, a base by its handle. */
export interface GivenSnapshot {
  readonly targetId: string;
  readonly baseId: string;
}

export interface DriverUnderTest {
  readonly client: CsiSnapshotMetadata;
  /** Snapshots of one volume that exist already, the oldest first; asked about if there are no hooks. */
  readonly snapshots: readonly GivenSnapshot[];
  readonly hooks: DriverHooks | undefined;
  /** Bytes that the driver reports together if its tuples are of any length; one block if absent. */
  readonly granularityBytes?: number;
}
