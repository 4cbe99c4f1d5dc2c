/**
 * One layer of a thin volume: what was written and zeroed between two snapshots.
 *
 * A layer defines a block if the block was written ("mapped", its bytes lie in the chunk's slot) or zeroed.
 * What a layer leaves undefined is defined by its parent, and reads as zeros if no ancestor defines it. A bit
 * once set is never cleared without the other being set, so the defined blocks of a layer are the blocks that
 * were touched while it was the head. Reading and merging along a chain is in `chain.ts`.
 *
 * @packageDocumentation
 */
import { rangeHigh, rangeLow } from "./bitmap.ts";
import { ChunkRanges } from "./chunk-ranges.ts";
import type { Arena } from "./medium.ts";
import { chunkBlocks } from "./port.ts";

/** Zeroing this many whole chunks at once is kept as a range, not chunk by chunk. */
const rangeChunkCountMin = 32;

/** State of one chunk in one layer; bitmaps as in `bitmap.ts`, never both set for one block. */
export interface ChunkRecord {
  /** Present if and only if a block is mapped. */
  slot: number | undefined;
  mappedLow: number;
  mappedHigh: number;
  zeroLow: number;
  zeroHigh: number;
}

const wholeZero: Readonly<ChunkRecord> = Object.freeze({
  slot: undefined,
  mappedLow: 0,
  mappedHigh: 0,
  zeroLow: -1,
  zeroHigh: -1,
});

export class Layer {
  /** Identity in the metadata; a merge may hand it on to the child. */
  id: number;
  parent: Layer | undefined;
  readonly children = new Set<Layer>();
  /** A volume's head, a snapshot that can be used, or something whose removal is not yet durable. */
  isHeld = true;
  readonly arena: Arena;
  /** Records by chunk number. A record under a range of `zeroed` counts alone, and defines every block. */
  records = new Map<number, ChunkRecord>();
  readonly zeroed = new ChunkRanges();
  /** Chunks whose record differs from the metadata on stable media; absent if nothing is kept there. */
  readonly dirtyChunks: Set<number> | undefined;
  zeroedIsDirty = false;
  /** Changes whenever a bit does. */
  revision = 0;
  #sortedChunks: Float64Array | undefined;

  constructor(options: {
    readonly id: number;
    readonly parent: Layer | undefined;
    readonly arena: Arena;
    readonly isTracked: boolean;
  }) {
    this.id = options.id;
    this.parent = options.parent;
    this.arena = options.arena;
    this.dirtyChunks = options.isTracked ? new Set() : undefined;
    options.parent?.children.add(this);
  }

  /** What the layer says of a chunk, if anything. */
  find(chunk: number): Readonly<ChunkRecord> | undefined {
    const record = this.records.get(chunk);
    if (record !== undefined || this.zeroed.isEmpty) return record;
    return this.zeroed.has(chunk) ? wholeZero : undefined;
  }

  /** Numbers of the chunks that have a record, ascending. Kept until the layer changes. */
  get sortedChunks(): Float64Array {
    this.#sortedChunks ??= Float64Array.from(this.records.keys()).sort();
    return this.#sortedChunks;
  }

  write(block: number, blockCount: number, from: Uint8Array): void {
    const { blockSizeBytes, medium } = this.arena;
    let doneBlocks = 0;
    while (doneBlocks < blockCount) {
      const chunk = Math.floor((block + doneBlocks) / chunkBlocks);
      const start = block + doneBlocks - chunk * chunkBlocks;
      const past = Math.min(chunkBlocks, start + blockCount - doneBlocks);
      const bytes =
        past - start === blockCount
          ? from
          : from.subarray(doneBlocks * blockSizeBytes, (doneBlocks + past - start) * blockSizeBytes);
      const known = this.records.get(chunk);
      const slot = known?.slot ?? this.arena.allocate();
      try {
        medium.write(slot, start * blockSizeBytes, bytes);
      } catch (error) {
        if (known?.slot === undefined) this.arena.free(slot);
        throw error;
      }
      const record = known ?? this.#add(chunk);
      record.slot = slot;
      this.#map(record, chunk, rangeLow(start, past), rangeHigh(start, past));
      doneBlocks += past - start;
    }
  }

  zero(block: number, blockCount: number): void {
    const past = block + blockCount;
    const firstWhole = Math.ceil(block / chunkBlocks);
    const pastWhole = Math.floor(past / chunkBlocks);
    if (pastWhole - firstWhole < rangeChunkCountMin) {
      this.#zeroByChunk(block, past);
      return;
    }
    this.#zeroByChunk(block, firstWhole * chunkBlocks);
    this.removeRecords(firstWhole, pastWhole);
    this.zeroed.add(firstWhole, pastWhole);
    this.zeroedIsDirty = true;
    this.#zeroByChunk(pastWhole * chunkBlocks, past);
  }

  /** Zeroes the blocks of a chunk that the bitmap names. */
  zeroInChunk(chunk: number, low: number, high: number): void {
    const known = this.records.get(chunk);
    if (known === undefined && this.zeroed.has(chunk)) return;
    const record = known ?? this.#add(chunk);
    record.zeroLow |= low;
    record.zeroHigh |= high;
    record.mappedLow &= ~low;
    record.mappedHigh &= ~high;
    if (record.slot !== undefined && (record.mappedLow | record.mappedHigh) === 0) {
      this.arena.free(record.slot);
      record.slot = undefined;
    }
    this.touch(chunk);
  }

  setRecord(chunk: number, record: ChunkRecord): void {
    this.records.set(chunk, record);
    this.#sortedChunks = undefined;
    this.touch(chunk);
  }

  /** Forgets the records of the chunks `first` to `past - 1` and frees their slots. */
  removeRecords(first: number, past: number): void {
    if (past - first < this.records.size) {
      for (let chunk = first; chunk < past; chunk++) this.#remove(chunk);
    } else {
      for (const chunk of this.records.keys()) if (chunk >= first && chunk < past) this.#remove(chunk);
    }
    this.revision++;
  }

  /** Marks a chunk's record as changed. */
  touch(chunk: number): void {
    this.dirtyChunks?.add(chunk);
    this.revision++;
  }

  /** Takes over the records of a layer that is about to go. */
  adoptRecords(records: Map<number, ChunkRecord>): void {
    this.records = records;
    this.#sortedChunks = undefined;
  }

  #add(chunk: number): ChunkRecord {
    const zeros = !this.zeroed.isEmpty && this.zeroed.has(chunk) ? -1 : 0;
    const record = { slot: undefined, mappedLow: 0, mappedHigh: 0, zeroLow: zeros, zeroHigh: zeros };
    this.setRecord(chunk, record);
    return record;
  }

  #map(record: ChunkRecord, chunk: number, low: number, high: number): void {
    if ((low & ~record.mappedLow) === 0 && (high & ~record.mappedHigh) === 0) return;
    record.mappedLow |= low;
    record.mappedHigh |= high;
    record.zeroLow &= ~low;
    record.zeroHigh &= ~high;
    this.touch(chunk);
  }

  #remove(chunk: number): void {
    const record = this.records.get(chunk);
    if (record === undefined) return;
    if (record.slot !== undefined) this.arena.free(record.slot);
    this.records.delete(chunk);
    this.#sortedChunks = undefined;
    this.dirtyChunks?.add(chunk);
  }

  #zeroByChunk(block: number, past: number): void {
    for (let at = block; at < past; ) {
      const chunk = Math.floor(at / chunkBlocks);
      const start = at - chunk * chunkBlocks;
      const end = Math.min(chunkBlocks, past - chunk * chunkBlocks);
      this.zeroInChunk(chunk, rangeLow(start, end), rangeHigh(start, end));
      at = chunk * chunkBlocks + end;
    }
  }
}
