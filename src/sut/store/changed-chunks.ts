/**
 * Which blocks were touched between two layers: the diff of two snapshots.
 *
 * The layers' sorted chunk numbers are merged on the way, from any offset, so that the cost of a page is that
 * of its chunks times the number of layers, whatever the size of the volume.
 *
 * @packageDocumentation
 */
import { rangeHigh, rangeLow } from "./bitmap.ts";
import type { Layer } from "./layer.ts";
import { type ChangedChunk, type ChangedChunks, chunkBlocks } from "./port.ts";

/**
 * Layers above the newest common ancestor of the two, of either branch; without `base` the whole chain.
 */
export function layersBetween(base: Layer | undefined, layer: Layer): readonly Layer[] {
  const baseChain = new Set<Layer>();
  for (let at = base; at !== undefined; at = at.parent) baseChain.add(at);
  const between: Layer[] = [];
  let ancestor: Layer | undefined = layer;
  for (; ancestor !== undefined && !baseChain.has(ancestor); ancestor = ancestor.parent) {
    between.push(ancestor);
  }
  for (let at = base; at !== undefined && at !== ancestor; at = at.parent) between.push(at);
  return between;
}

/** @param request.offsetLba - Rounded down to a chunk. */
export function changedChunks(request: {
  readonly layers: readonly Layer[];
  readonly blockCount: number;
  readonly offsetLba: number;
  readonly chunkCountMax: number;
}): ChangedChunks {
  const { layers, blockCount, chunkCountMax } = request;
  const pastChunk = Math.ceil(blockCount / chunkBlocks);
  const firstChunk = Math.floor(request.offsetLba / chunkBlocks);
  const cursors = layers.map((layer) => lowerBound(layer.sortedChunks, firstChunk));
  const chunks: ChangedChunk[] = [];
  let chunk = nextChunk(layers, cursors, firstChunk);
  while (chunk !== undefined && chunk < pastChunk) {
    const changed = changedChunk(layers, chunk, blockCount);
    if (changed !== undefined) {
      // One more was found than may be told, so the end is not reached.
      if (chunks.length === chunkCountMax) return { chunks, nextOffsetLba: chunk * chunkBlocks };
      chunks.push(changed);
    }
    chunk = nextChunk(layers, cursors, chunk + 1);
  }
  return { chunks, nextOffsetLba: 0 };
}

/** Moves the cursors on, and says which chunk at or after `from` is the first that a layer defines. */
function nextChunk(layers: readonly Layer[], cursors: number[], from: number): number | undefined {
  let next: number | undefined;
  for (let index = 0; index < layers.length; index++) {
    const layer = layers[index]!;
    const sorted = layer.sortedChunks;
    let cursor = cursors[index]!;
    while (cursor < sorted.length && sorted[cursor]! < from) cursor++;
    cursors[index] = cursor;
    const recorded = sorted[cursor];
    if (recorded !== undefined && (next === undefined || recorded < next)) next = recorded;
    const zeroed = layer.zeroed.next(from);
    if (zeroed !== undefined && (next === undefined || zeroed < next)) next = zeroed;
  }
  return next;
}

function changedChunk(layers: readonly Layer[], chunk: number, blockCount: number): ChangedChunk | undefined {
  let low = 0;
  let high = 0;
  for (const layer of layers) {
    const record = layer.find(chunk);
    if (record === undefined) continue;
    low |= record.mappedLow | record.zeroLow;
    high |= record.mappedHigh | record.zeroHigh;
  }
  const lbaStart = chunk * chunkBlocks;
  const past = Math.min(chunkBlocks, blockCount - lbaStart);
  low &= rangeLow(0, past);
  high &= rangeHigh(0, past);
  return (low | high) === 0 ? undefined : { lbaStart, low: low >>> 0, high: high >>> 0 };
}

function lowerBound(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
