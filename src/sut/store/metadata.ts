/**
 * What a store keeps beside the blocks: volumes, snapshots, layers and chunk records, as plain values.
 *
 * @packageDocumentation
 */
import type { StoredSnapshotState, StoredVolumeState } from "./port.ts";

export interface VolumeRow {
  readonly uuid: string;
  readonly name: string;
  readonly nsid: number;
  readonly blockSizeBytes: number;
  readonly blockCount: number;
  readonly state: StoredVolumeState;
  readonly sourceSnapshotUuid: string | undefined;
  readonly createdAtMs: number;
  readonly revision: number;
  readonly layerId: number;
}

export interface SnapshotRow {
  readonly uuid: string;
  readonly name: string;
  readonly volumeUuid: string;
  readonly volumeName: string;
  readonly blockSizeBytes: number;
  readonly blockCount: number;
  readonly state: StoredSnapshotState;
  readonly createdAtMs: number;
  readonly revision: number;
  readonly layerId: number;
  /** Order of creation. */
  readonly sequence: number;
}

export interface LayerRow {
  readonly id: number;
  readonly parentId: number | undefined;
  readonly blockSizeBytes: number;
}

export interface ChunkRow {
  readonly layerId: number;
  readonly chunk: number;
  readonly slot: number | undefined;
  readonly mappedLow: number;
  readonly mappedHigh: number;
  readonly zeroLow: number;
  readonly zeroHigh: number;
}

export interface ZeroedRow {
  readonly layerId: number;
  readonly first: number;
  readonly past: number;
}

/** All objects; few enough to be written anew whenever one of them changes. */
export interface ObjectRows {
  readonly volumes: readonly VolumeRow[];
  readonly snapshots: readonly SnapshotRow[];
  readonly layers: readonly LayerRow[];
}

export interface StoredMetadata extends ObjectRows {
  readonly chunks: Iterable<ChunkRow>;
  readonly zeroed: Iterable<ZeroedRow>;
}

/** What changed between two commits. */
export interface MetadataChange {
  /** Absent if none changed. */
  readonly objects: ObjectRows | undefined;
  /** Layers of which nothing is left; applied first. */
  readonly goneLayerIds: readonly number[];
  readonly goneChunks: readonly { readonly layerId: number; readonly chunk: number }[];
  readonly chunks: readonly ChunkRow[];
  /** Layers whose zeroed ranges are replaced by those in `zeroed`. */
  readonly zeroedLayerIds: readonly number[];
  readonly zeroed: readonly ZeroedRow[];
}

/** Keeps metadata on stable media. */
export interface MetadataJournal {
  /** Makes the whole change durable, or none of it. */
  commit(change: MetadataChange): void;
  close(): void;
}
