/**
 * A volatile write cache: what is written stays in this process until a flush, and a crash loses it.
 *
 * Made to be crashed, not to be fast. Blocks leave it one by one in an order that the seed decides: one at
 * random when there is no room, and one at random with every so many blocks that come in, so that after a
 * crash some unflushed blocks are there and some are not, as with a drive. Nothing is kept of the order in
 * which blocks were written. What was written back is the store's to commit.
 *
 * One {@link VolatileCache} is the room that all volumes of a store share; a {@link VolumeCache} holds the
 * blocks of one volume.
 *
 * @packageDocumentation
 */
import { StoreError } from "./port.ts";

export interface VolatileCacheOptions {
  /** Room for unflushed blocks of all volumes together, in bytes, at least 4096; 1 MiB if absent. */
  readonly sizeBytesMax?: number;
  /** Decides which blocks are written back early, 0 to 2^32 - 1; 0 if absent. */
  readonly seed?: number;
}

/** The volume behind a cache. */
export interface CachedVolume {
  readonly blockSizeBytes: number;
  writeThrough(block: number, blockCount: number, from: Uint8Array): void;
  zeroThrough(block: number, blockCount: number): void;
  /** Has its cache write back one block, which nobody has flushed. */
  writeBackEarly(block: number, bytes: Uint8Array | undefined): void;
}

interface Entry {
  readonly owner: VolumeCache;
  readonly block: number;
  /** Absent if the block is zeroed. */
  bytes: Uint8Array | undefined;
  /** Where it stands among the entries of the store. */
  index: number;
}

/** One in so many blocks that come in sends another one out, though there is room. */
const blocksPerTrickle = 8;
/** Most blocks that are written back at once. */
const runBlocksMax = 64;

export class VolatileCache {
  readonly sizeBytesMax: number;
  readonly #entries: Entry[] = [];
  #sizeBytes = 0;
  #random: number;

  /** @throws {StoreError} `ERR_INVALID` if an option is out of range. */
  constructor({ sizeBytesMax = 2 ** 20, seed = 0 }: VolatileCacheOptions) {
    if (!Number.isSafeInteger(sizeBytesMax) || sizeBytesMax < 4096) {
      throw new StoreError("ERR_INVALID", `a cache of ${sizeBytesMax} bytes has no room for a block of 4096`);
    }
    if (!Number.isInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
      throw new StoreError("ERR_INVALID", `the cache's seed ${seed} is not an integer from 0 to 2^32 - 1`);
    }
    this.sizeBytesMax = sizeBytesMax;
    this.#random = seed;
  }

  /** Now and then sends a block out, before another comes in. */
  trickle(): void {
    if (this.#below(blocksPerTrickle) !== 0) return;
    const entry = this.#any();
    entry?.owner.writeBackEarly(entry.block, entry.bytes);
  }

  /** Sends blocks out until there is room for one more of that size. */
  makeRoom(blockSizeBytes: number): void {
    while (this.#sizeBytes + blockSizeBytes > this.sizeBytesMax) {
      const { owner, block } = this.#any()!;
      owner.writeBack(block, 1);
    }
  }

  add(owner: VolumeCache, block: number, bytes: Uint8Array | undefined): Entry {
    const entry = { owner, block, bytes, index: this.#entries.length };
    this.#entries.push(entry);
    this.#sizeBytes += owner.blockSizeBytes;
    return entry;
  }

  remove(entry: Entry): void {
    const last = this.#entries.pop()!;
    if (last !== entry) {
      this.#entries[entry.index] = last;
      last.index = entry.index;
    }
    this.#sizeBytes -= entry.owner.blockSizeBytes;
  }

  #any(): Entry | undefined {
    const { length } = this.#entries;
    return length === 0 ? undefined : this.#entries[this.#below(length)];
  }

  /** Next draw from [0, `limit`), by the generator known as mulberry32. */
  #below(limit: number): number {
    this.#random = (this.#random + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#random ^ (this.#random >>> 15), this.#random | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }
}

/** Ranges are checked by the volume. Errors are those of its medium; what could not be written back stays. */
export class VolumeCache {
  readonly #cache: VolatileCache;
  readonly #volume: CachedVolume;
  readonly #entries = new Map<number, Entry>();

  constructor(cache: VolatileCache, volume: CachedVolume) {
    this.#cache = cache;
    this.#volume = volume;
  }

  get blockSizeBytes(): number {
    return this.#volume.blockSizeBytes;
  }

  write(block: number, blockCount: number, from: Uint8Array): void {
    const { blockSizeBytes } = this;
    for (let index = 0; index < blockCount; index++) {
      // A copy, which `slice` of a Buffer would not be.
      const bytes = new Uint8Array(from.subarray(index * blockSizeBytes, (index + 1) * blockSizeBytes));
      this.#put(block + index, bytes);
    }
  }

  /** A zeroing for which there is not the room goes straight to the volume. */
  zero(block: number, blockCount: number): void {
    if (blockCount * this.blockSizeBytes <= this.#cache.sizeBytesMax) {
      for (let index = 0; index < blockCount; index++) this.#put(block + index, undefined);
      return;
    }
    this.#volume.zeroThrough(block, blockCount);
    for (const entry of this.#within(block, blockCount)) this.#remove(entry);
  }

  /** Puts what is cached over what was read from the volume. */
  overlay(block: number, blockCount: number, into: Uint8Array): void {
    if (this.#entries.size === 0) return;
    const { blockSizeBytes } = this;
    for (let index = 0; index < blockCount; index++) {
      const entry = this.#entries.get(block + index);
      if (entry === undefined) continue;
      const start = index * blockSizeBytes;
      if (entry.bytes === undefined) into.fill(0, start, start + blockSizeBytes);
      else into.set(entry.bytes, start);
    }
  }

  writeBackEarly(block: number, bytes: Uint8Array | undefined): void {
    this.#volume.writeBackEarly(block, bytes);
  }

  /** Writes back what is cached of a range. */
  writeBack(block: number, blockCount: number): void {
    const entries = this.#within(block, blockCount);
    for (let first = 0; first < entries.length; ) {
      let past = first + 1;
      while (
        past < entries.length &&
        past - first < runBlocksMax &&
        follows(entries[past - 1]!, entries[past]!)
      ) {
        past++;
      }
      this.#writeRunBack(entries.slice(first, past));
      first = past;
    }
  }

  #writeRunBack(run: readonly Entry[]): void {
    const { block, bytes } = run[0]!;
    if (bytes === undefined) this.#volume.zeroThrough(block, run.length);
    else {
      const from = run.length === 1 ? bytes : Buffer.concat(run.map((entry) => entry.bytes!));
      this.#volume.writeThrough(block, run.length, from);
    }
    for (const entry of run) this.#remove(entry);
  }

  #put(block: number, bytes: Uint8Array | undefined): void {
    this.#cache.trickle();
    const known = this.#entries.get(block);
    if (known !== undefined) {
      known.bytes = bytes;
      return;
    }
    this.#cache.makeRoom(this.blockSizeBytes);
    this.#entries.set(block, this.#cache.add(this, block, bytes));
  }

  #remove(entry: Entry): void {
    this.#entries.delete(entry.block);
    this.#cache.remove(entry);
  }

  /** Entries of a range by ascending block, at the cost of the smaller of the two. */
  #within(block: number, blockCount: number): readonly Entry[] {
    const entries: Entry[] = [];
    if (blockCount < this.#entries.size) {
      for (let at = block; at < block + blockCount; at++) {
        const entry = this.#entries.get(at);
        if (entry !== undefined) entries.push(entry);
      }
      return entries;
    }
    for (const entry of this.#entries.values()) {
      if (entry.block >= block && entry.block < block + blockCount) entries.push(entry);
    }
    return entries.sort((a, b) => a.block - b.block);
  }
}

/** Whether `next` can be written back in one go with `entry`. */
function follows(entry: Entry, next: Entry): boolean {
  return next.block === entry.block + 1 && (next.bytes === undefined) === (entry.bytes === undefined);
}
