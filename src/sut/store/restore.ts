/**
 * From metadata rows back to objects, with a check of everything that the store relies on.
 *
 * @packageDocumentation
 */
import type { CommitQueue } from "./commit-queue.ts";
import type { FileMedium } from "./file-medium.ts";
import { Layer } from "./layer.ts";
import { Arena } from "./medium.ts";
import type { ChunkRow, LayerRow, StoredMetadata } from "./metadata.ts";
import { chunkBlocks, StoreError } from "./port.ts";
import type { StoreState } from "./store-state.ts";
import { ThinSnapshot, ThinVolume } from "./thin-volume.ts";

/**
 * Builds the objects of a store from its metadata.
 *
 * No layer is held yet, and states are as they were: the store settles both.
 *
 * @param media - By block size in bytes.
 * @throws {StoreError} `ERR_CORRUPT` if the metadata contradicts itself or the data files.
 */
export function restoreState(
  metadata: StoredMetadata,
  media: ReadonlyMap<number, FileMedium>,
  commits: CommitQueue,
): StoreState {
  const used = new Map<number, Set<number>>();
  const ends = new Map<number, number>();
  for (const blockSizeBytes of media.keys()) used.set(blockSizeBytes, new Set());
  const layerRows = new Map(metadata.layers.map((row) => [row.id, row]));

  // Slots are collected first: an arena is made with those in use.
  const chunksByLayer = new Map<number, ChunkRow[]>();
  for (const row of metadata.chunks) {
    const { blockSizeBytes } = layerRows.get(row.layerId) ?? corrupt(`layer ${row.layerId} is missing`);
    const slots = used.get(blockSizeBytes) ?? corrupt(`a block size of ${blockSizeBytes} bytes is unknown`);
    checkChunk(row, slots);
    if (row.slot !== undefined) {
      slots.add(row.slot);
      const end = row.slot * chunkBlocks + highestMapped(row) + 1;
      ends.set(blockSizeBytes, Math.max(ends.get(blockSizeBytes) ?? 0, end * blockSizeBytes));
    }
    const rows = chunksByLayer.get(row.layerId);
    if (rows === undefined) chunksByLayer.set(row.layerId, [row]);
    else rows.push(row);
  }
  const arenas = new Map<number, Arena>();
  for (const [blockSizeBytes, medium] of media) {
    const end = ends.get(blockSizeBytes) ?? 0;
    if (medium.lengthBytes < end) {
      corrupt(`the data of ${blockSizeBytes}-byte blocks ends at byte ${medium.lengthBytes}, not at ${end}`);
    }
    const usedSlots = used.get(blockSizeBytes)!;
    arenas.set(blockSizeBytes, new Arena({ blockSizeBytes, medium, reuseNeedsCommit: true, usedSlots }));
  }
  const layers = restoreLayers(layerRows, arenas);
  for (const [id, rows] of chunksByLayer) {
    const records = layers.get(id)!.records;
    for (const { chunk, slot, mappedLow, mappedHigh, zeroLow, zeroHigh } of rows) {
      records.set(chunk, { slot, mappedLow, mappedHigh, zeroLow, zeroHigh });
    }
  }
  for (const { layerId, first, past } of metadata.zeroed) {
    const layer = layers.get(layerId) ?? corrupt(`layer ${layerId} is missing`);
    if (!(first >= 0 && first < past)) corrupt(`zeroed chunks ${first} to ${past} of layer ${layerId}`);
    layer.zeroed.add(first, past);
  }

  const state: StoreState = {
    arenas,
    layers: new Set(layers.values()),
    volumes: new Map(),
    snapshots: new Map(),
    goneLayerIds: [],
    objectsAreDirty: false,
    nextLayerId: [...layers.keys()].reduce((a, b) => Math.max(a, b), 0) + 1,
    nextSequence: metadata.snapshots.reduce((last, row) => Math.max(last, row.sequence), 0) + 1,
    lastNsid: metadata.volumes.reduce((last, row) => Math.max(last, row.nsid), 0),
    isTracked: true,
  };
  const owned = new Set<Layer>();
  const own = (layerId: number, blockSizeBytes: number, owner: string): Layer => {
    const layer = layers.get(layerId) ?? corrupt(`layer ${layerId} of ${owner} is missing`);
    if (layer.arena.blockSizeBytes !== blockSizeBytes || owned.has(layer)) {
      corrupt(`layer ${layerId} does not belong to ${owner}`);
    }
    owned.add(layer);
    return layer;
  };
  for (const row of metadata.volumes) {
    const head = own(row.layerId, row.blockSizeBytes, `volume ${row.uuid}`);
    if (head.children.size > 0) corrupt(`something stands on the head of volume ${row.uuid}`);
    state.volumes.set(row.uuid, new ThinVolume(row, head, commits));
  }
  for (const row of metadata.snapshots) {
    const layer = own(row.layerId, row.blockSizeBytes, `snapshot ${row.uuid}`);
    state.snapshots.set(row.uuid, new ThinSnapshot(row, layer));
  }
  return state;
}

function restoreLayers(
  rows: ReadonlyMap<number, LayerRow>,
  arenas: ReadonlyMap<number, Arena>,
): Map<number, Layer> {
  const layers = new Map<number, Layer>();
  for (const { id, blockSizeBytes } of rows.values()) {
    const arena = arenas.get(blockSizeBytes) ?? corrupt(`a block size of ${blockSizeBytes} bytes is unknown`);
    const layer = new Layer({ id, parent: undefined, arena, isTracked: true });
    layer.isHeld = false;
    layers.set(id, layer);
  }
  for (const { id, parentId } of rows.values()) {
    if (parentId === undefined) continue;
    const layer = layers.get(id)!;
    const parent = layers.get(parentId) ?? corrupt(`layer ${parentId} is missing`);
    if (parent.arena !== layer.arena) corrupt(`layers ${id} and ${parentId} have different block sizes`);
    layer.parent = parent;
    parent.children.add(layer);
  }
  // Whatever is not reached from a root hangs in a ring.
  const reached = [...layers.values()].filter((layer) => layer.parent === undefined);
  for (let index = 0; index < reached.length; index++) reached.push(...reached[index]!.children);
  if (reached.length !== layers.size) corrupt("layers stand on each other in a ring");
  return layers;
}

function checkChunk(row: ChunkRow, slots: ReadonlySet<number>): void {
  const { slot } = row;
  const isMapped = (row.mappedLow | row.mappedHigh) !== 0;
  if (
    row.chunk < 0 ||
    (slot !== undefined) !== isMapped ||
    (slot !== undefined && (slot < 0 || slots.has(slot))) ||
    ((row.mappedLow & row.zeroLow) | (row.mappedHigh & row.zeroHigh)) !== 0
  ) {
    corrupt(`chunk ${row.chunk} of layer ${row.layerId} cannot be as it is noted`);
  }
}

function highestMapped(row: ChunkRow): number {
  return row.mappedHigh === 0 ? 31 - Math.clz32(row.mappedLow) : 63 - Math.clz32(row.mappedHigh);
}

function corrupt(finding: string): never {
  throw new StoreError("ERR_CORRUPT", `the metadata is damaged: ${finding}; use another directory`);
}
