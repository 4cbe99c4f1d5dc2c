/**
 * Chains of layers, from a head to the root: reading, dropping, counting, merging.
 *
 * @packageDocumentation
 */
import { bitCount, nextClear, nextSet, rangeHigh, rangeLow } from "./bitmap.ts";
import type { ChunkRecord, Layer } from "./layer.ts";
import type { Arena } from "./medium.ts";
import { chunkBlocks } from "./port.ts";

/** Fills `into` with what the chain under `head` holds. */
export function readBlocks(head: Layer, block: number, blockCount: number, into: Uint8Array): void {
  let doneBlocks = 0;
  while (doneBlocks < blockCount) {
    const chunk = Math.floor((block + doneBlocks) / chunkBlocks);
    const start = block + doneBlocks - chunk * chunkBlocks;
    const past = Math.min(chunkBlocks, start + blockCount - doneBlocks);
    // Where byte 0 of the chunk would lie in `into`, maybe before its start.
    readChunk(head, chunk, start, past, into, (doneBlocks - start) * head.arena.blockSizeBytes);
    doneBlocks += past - start;
  }
}

/** Positional, as is `fillZeros`: this runs for every chunk read. */
function readChunk(
  head: Layer,
  chunk: number,
  start: number,
  past: number,
  into: Uint8Array,
  originBytes: number,
): void {
  const { blockSizeBytes, medium } = head.arena;
  let missingLow = rangeLow(start, past);
  let missingHigh = rangeHigh(start, past);
  for (let layer: Layer | undefined = head; layer !== undefined; layer = layer.parent) {
    const record = layer.find(chunk);
    if (record === undefined) continue;
    const low = record.mappedLow & missingLow;
    const high = record.mappedHigh & missingHigh;
    for (let from = nextSet(low, high, 0); from < chunkBlocks; ) {
      const to = nextClear(low, high, from);
      const fromBytes = from * blockSizeBytes;
      const toBytes = to * blockSizeBytes;
      const run =
        toBytes - fromBytes === into.length
          ? into
          : into.subarray(originBytes + fromBytes, originBytes + toBytes);
      medium.read(record.slot!, fromBytes, run);
      from = nextSet(low, high, to);
    }
    const zeroLow = record.zeroLow & missingLow;
    const zeroHigh = record.zeroHigh & missingHigh;
    fillZeros(zeroLow, zeroHigh, blockSizeBytes, originBytes, into);
    missingLow &= ~(low | zeroLow);
    missingHigh &= ~(high | zeroHigh);
    if ((missingLow | missingHigh) === 0) return;
  }
  fillZeros(missingLow, missingHigh, blockSizeBytes, originBytes, into);
}

function fillZeros(
  low: number,
  high: number,
  blockSizeBytes: number,
  originBytes: number,
  into: Uint8Array,
): void {
  for (let from = nextSet(low, high, 0); from < chunkBlocks; ) {
    const to = nextClear(low, high, from);
    into.fill(0, originBytes + from * blockSizeBytes, originBytes + to * blockSizeBytes);
    from = nextSet(low, high, to);
  }
}

/**
 * Zeroes what the chain holds from block `blockCount` on.
 *
 * Blocks that hold no data are left alone: they read as zeros anyway, and were not changed.
 */
export function dropBlocksFrom(head: Layer, blockCount: number): void {
  const firstChunk = Math.floor(blockCount / chunkBlocks);
  const start = blockCount - firstChunk * chunkBlocks;
  const chunks = new Set<number>();
  for (let layer: Layer | undefined = head; layer !== undefined; layer = layer.parent) {
    for (const [chunk, record] of layer.records) {
      if (chunk >= firstChunk && record.slot !== undefined) chunks.add(chunk);
    }
  }
  for (const chunk of chunks) {
    const from = chunk === firstChunk ? start : 0;
    let dropLow = 0;
    let dropHigh = 0;
    let missingLow = rangeLow(from, chunkBlocks);
    let missingHigh = rangeHigh(from, chunkBlocks);
    for (let layer: Layer | undefined = head; layer !== undefined; layer = layer.parent) {
      const record = layer.find(chunk);
      if (record === undefined) continue;
      dropLow |= record.mappedLow & missingLow;
      dropHigh |= record.mappedHigh & missingHigh;
      missingLow &= ~(record.mappedLow | record.zeroLow);
      missingHigh &= ~(record.mappedHigh | record.zeroHigh);
    }
    if ((dropLow | dropHigh) !== 0) head.zeroInChunk(chunk, dropLow, dropHigh);
  }
}

/** Blocks of the chain under `head` that hold data. O(records × depth). */
export function allocatedBlockCount(head: Layer): number {
  let blockCount = 0;
  for (let layer: Layer | undefined = head; layer !== undefined; layer = layer.parent) {
    for (const [chunk, record] of layer.records) {
      let low = record.mappedLow;
      let high = record.mappedHigh;
      for (let above: Layer = head; above !== layer && (low | high) !== 0; above = above.parent!) {
        const nearer = above.find(chunk);
        if (nearer === undefined) continue;
        low &= ~(nearer.mappedLow | nearer.zeroLow);
        high &= ~(nearer.mappedHigh | nearer.zeroHigh);
      }
      blockCount += bitCount(low, high);
    }
  }
  return blockCount;
}

/**
 * Merges a layer into its only child, which takes its place. The smaller of the two is walked.
 *
 * Bytes are copied only where both have a slot, and the fewer of the two. Until the next commit the metadata
 * on stable media still knows both slots; what it reads there is unchanged, but for blocks of the child that
 * were not committed yet and now show in the layer below. For a head that is a write that survived.
 *
 * @returns The identity that is free now.
 */
export function mergeIntoChild(layer: Layer, child: Layer): number {
  let goneId = layer.id;
  if (layer.records.size > child.records.size) {
    goneId = child.id;
    overlayRecords(layer, child);
    child.id = layer.id;
    child.zeroedIsDirty = true;
  } else {
    underlayRecords(layer, child);
    if (!layer.zeroed.isEmpty) child.zeroedIsDirty = true;
  }
  child.zeroed.addAll(layer.zeroed);
  child.revision++;
  child.parent = layer.parent;
  layer.parent?.children.delete(layer);
  layer.parent?.children.add(child);
  return goneId;
}

/** Frees all that a layer without children holds, and takes it off its parent. */
export function freeLayer(layer: Layer): void {
  for (const record of layer.records.values()) {
    if (record.slot !== undefined) layer.arena.free(record.slot);
  }
  layer.adoptRecords(new Map());
  layer.parent?.children.delete(layer);
}

function underlayRecords(layer: Layer, child: Layer): void {
  if (!layer.zeroed.isEmpty) {
    for (const [chunk, upper] of child.records) {
      if (layer.records.has(chunk) || !layer.zeroed.has(chunk)) continue;
      zeroUndefined(upper);
      child.touch(chunk);
    }
  }
  for (const [chunk, lower] of layer.records) {
    const upper = child.records.get(chunk);
    if (upper !== undefined) {
      combine(upper, lower, child.arena);
      child.touch(chunk);
    } else if (child.zeroed.has(chunk)) {
      if (lower.slot !== undefined) child.arena.free(lower.slot);
    } else {
      child.setRecord(chunk, lower);
    }
  }
}

function overlayRecords(layer: Layer, child: Layer): void {
  for (const [first, past] of child.zeroed.ranges()) layer.removeRecords(first, past);
  for (const [chunk, upper] of child.records) {
    const lower = layer.records.get(chunk);
    if (lower !== undefined) combine(upper, lower, child.arena);
    else if (layer.zeroed.has(chunk)) zeroUndefined(upper);
    layer.setRecord(chunk, upper);
  }
  // The child now goes by the layer's identity, under which only the layer's changes count.
  child.dirtyChunks?.clear();
  for (const chunk of layer.dirtyChunks ?? []) child.dirtyChunks?.add(chunk);
  child.adoptRecords(layer.records);
}

/** Makes `upper` define also what only `lower` defines, and disposes of the lower slot. */
function combine(upper: ChunkRecord, lower: ChunkRecord, arena: Arena): void {
  const openLow = ~(upper.mappedLow | upper.zeroLow);
  const openHigh = ~(upper.mappedHigh | upper.zeroHigh);
  const low = lower.mappedLow & openLow;
  const high = lower.mappedHigh & openHigh;
  if (lower.slot !== undefined) {
    if (upper.slot === undefined) {
      if ((low | high) !== 0) upper.slot = lower.slot;
      else arena.free(lower.slot);
    } else if (bitCount(low, high) <= bitCount(upper.mappedLow, upper.mappedHigh)) {
      copyBlocks(arena, lower.slot, upper.slot, low, high);
      arena.free(lower.slot);
    } else {
      copyBlocks(arena, upper.slot, lower.slot, upper.mappedLow, upper.mappedHigh);
      arena.free(upper.slot);
      upper.slot = lower.slot;
    }
  }
  upper.mappedLow |= low;
  upper.mappedHigh |= high;
  upper.zeroLow |= lower.zeroLow & openLow;
  upper.zeroHigh |= lower.zeroHigh & openHigh;
}

function zeroUndefined(record: ChunkRecord): void {
  record.zeroLow |= ~record.mappedLow;
  record.zeroHigh |= ~record.mappedHigh;
}

function copyBlocks(arena: Arena, fromSlot: number, toSlot: number, low: number, high: number): void {
  const { blockSizeBytes, medium } = arena;
  for (let from = nextSet(low, high, 0); from < chunkBlocks; ) {
    const to = nextClear(low, high, from);
    const bytes = new Uint8Array((to - from) * blockSizeBytes);
    medium.read(fromSlot, from * blockSizeBytes, bytes);
    medium.write(toSlot, from * blockSizeBytes, bytes);
    from = nextSet(low, high, to);
  }
}
