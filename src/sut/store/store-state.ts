/**
 * All objects of a store, and their way to metadata rows.
 *
 * @packageDocumentation
 */
import { Layer } from "./layer.ts";
import type { Arena } from "./medium.ts";
import type { ChunkRow, MetadataChange, ObjectRows, ZeroedRow } from "./metadata.ts";
import type { ThinSnapshot, ThinVolume } from "./thin-volume.ts";

export interface StoreState {
  /** By block size in bytes. */
  readonly arenas: ReadonlyMap<number, Arena>;
  readonly layers: Set<Layer>;
  readonly volumes: Map<string, ThinVolume>;
  readonly snapshots: Map<string, ThinSnapshot>;
  /** Layers whose rows are to be removed. */
  goneLayerIds: number[];
  /** A volume, snapshot or layer differs from the metadata on stable media. */
  objectsAreDirty: boolean;
  nextLayerId: number;
  nextSequence: number;
  /** The NSID that was given out last, or the highest if that is not known; 0 if there was none. */
  lastNsid: number;
  /** Changes are noted, for a journal. */
  readonly isTracked: boolean;
}

export function emptyState(options: {
  readonly arenas: ReadonlyMap<number, Arena>;
  readonly isTracked: boolean;
}): StoreState {
  return {
    ...options,
    layers: new Set(),
    volumes: new Map(),
    snapshots: new Map(),
    goneLayerIds: [],
    objectsAreDirty: false,
    nextLayerId: 1,
    nextSequence: 1,
    lastNsid: 0,
  };
}

/** Puts a new, empty layer on `parent`. */
export function addLayer(state: StoreState, arena: Arena, parent: Layer | undefined): Layer {
  const layer = new Layer({ id: state.nextLayerId++, parent, arena, isTracked: state.isTracked });
  state.layers.add(layer);
  state.objectsAreDirty = true;
  return layer;
}

/** Takes all that changed since the last call, as one consistent cut. */
export function takeChange(state: StoreState): MetadataChange {
  const chunks: ChunkRow[] = [];
  const goneChunks: { readonly layerId: number; readonly chunk: number }[] = [];
  const zeroedLayerIds: number[] = [];
  const zeroed: ZeroedRow[] = [];
  for (const layer of state.layers) {
    // In the order of the table's key, which is several times faster for the journal.
    for (const chunk of Float64Array.from(layer.dirtyChunks ?? []).sort()) {
      const record = layer.records.get(chunk);
      if (record === undefined) goneChunks.push({ layerId: layer.id, chunk });
      else chunks.push({ layerId: layer.id, chunk, ...record });
    }
    layer.dirtyChunks?.clear();
    if (!layer.zeroedIsDirty) continue;
    layer.zeroedIsDirty = false;
    zeroedLayerIds.push(layer.id);
    for (const [first, past] of layer.zeroed.ranges()) zeroed.push({ layerId: layer.id, first, past });
  }
  const objects = state.objectsAreDirty ? objectRows(state) : undefined;
  const goneLayerIds = state.goneLayerIds;
  state.objectsAreDirty = false;
  state.goneLayerIds = [];
  return { objects, goneLayerIds, goneChunks, chunks, zeroedLayerIds, zeroed };
}

function objectRows(state: StoreState): ObjectRows {
  return {
    layers: [...state.layers].map(({ id, parent, arena }) => ({
      id,
      parentId: parent?.id,
      blockSizeBytes: arena.blockSizeBytes,
    })),
    volumes: [...state.volumes.values()].map((volume) => ({
      uuid: volume.uuid,
      name: volume.name,
      nsid: volume.nsid,
      blockSizeBytes: volume.blockSizeBytes,
      blockCount: volume.blockCount,
      state: volume.state,
      sourceSnapshotUuid: volume.sourceSnapshotUuid,
      createdAtMs: volume.createdAtMs,
      revision: volume.revision,
      layerId: volume.head.id,
    })),
    snapshots: [...state.snapshots.values()].map((snapshot) => ({
      uuid: snapshot.uuid,
      name: snapshot.name,
      volumeUuid: snapshot.volumeUuid,
      volumeName: snapshot.volumeName,
      blockSizeBytes: snapshot.blockSizeBytes,
      blockCount: snapshot.blockCount,
      state: snapshot.state,
      createdAtMs: snapshot.createdAtMs,
      revision: snapshot.revision,
      layerId: snapshot.layer.id,
      sequence: snapshot.sequence,
    })),
  };
}
