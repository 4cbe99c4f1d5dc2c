/**
 * Chunk slots in memory, paged.
 *
 * A slot takes memory by the page of 4096 bytes, so a single block written into an untouched chunk costs one
 * page. Pages come from slabs of 16 MiB. Slots backed by address space of their own, to be committed lazily
 * by the operating system, would be simpler, but V8 counts address space as memory in use: 100,000 random
 * blocks would look like 25 GiB, and the garbage collector runs all the time.
 *
 * Freed pages are used again, never given back to the operating system.
 *
 * @packageDocumentation
 */
import type { ChunkMedium } from "./medium.ts";
import { StoreError } from "./port.ts";

const pageShift = 12;
const pageBytes = 1 << pageShift;
const slabPageShift = 12;
const slabPageMask = (1 << slabPageShift) - 1;
const slabBytes = pageBytes << slabPageShift;

export class MemoryMedium implements ChunkMedium {
  readonly #pagesPerSlot: number;
  readonly #slabs: Uint8Array[] = [];
  /** Page number + 1 by slot and page of the slot; 0 if there is none yet. */
  #pages = new Int32Array(1024);
  #freePages: number[] = [];
  #pageCount = 0;

  /** @param chunkBytes - Bytes of a slot, a multiple of 4096. */
  constructor(chunkBytes: number) {
    this.#pagesPerSlot = chunkBytes / pageBytes;
  }

  read(slot: number, offsetBytes: number, into: Uint8Array): void {
    const lengthBytes = into.length;
    let doneBytes = 0;
    while (doneBytes < lengthBytes) {
      const at = offsetBytes + doneBytes;
      const first = slot * this.#pagesPerSlot + (at >>> pageShift);
      const runBytes = this.#contiguousBytes(first, at, lengthBytes - doneBytes);
      const page = this.#pages[first]! - 1;
      const slab = this.#slabs[page >>> slabPageShift]!;
      const start = ((page & slabPageMask) << pageShift) + (at & (pageBytes - 1));
      into.set(slab.subarray(start, start + runBytes), doneBytes);
      doneBytes += runBytes;
    }
  }

  write(slot: number, offsetBytes: number, from: Uint8Array): void {
    const lengthBytes = from.length;
    this.#commitPages(slot, offsetBytes, lengthBytes);
    let doneBytes = 0;
    while (doneBytes < lengthBytes) {
      const at = offsetBytes + doneBytes;
      const first = slot * this.#pagesPerSlot + (at >>> pageShift);
      const runBytes = this.#contiguousBytes(first, at, lengthBytes - doneBytes);
      const page = this.#pages[first]! - 1;
      const slab = this.#slabs[page >>> slabPageShift]!;
      const start = ((page & slabPageMask) << pageShift) + (at & (pageBytes - 1));
      slab.set(runBytes === lengthBytes ? from : from.subarray(doneBytes, doneBytes + runBytes), start);
      doneBytes += runBytes;
    }
  }

  release(slot: number): void {
    const first = slot * this.#pagesPerSlot;
    const past = Math.min(first + this.#pagesPerSlot, this.#pages.length);
    // Backwards, so that pages are taken again in ascending order and lie side by side.
    for (let index = past - 1; index >= first; index--) {
      const page = this.#pages[index]!;
      if (page !== 0) this.#freePages.push(page - 1);
      this.#pages[index] = 0;
    }
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.#slabs.length = 0;
    this.#pages = new Int32Array(0);
    this.#freePages = [];
  }

  /** Bytes from `at` on, at most `lengthBytesMax`, that lie side by side in one slab. */
  #contiguousBytes(first: number, at: number, lengthBytesMax: number): number {
    let runBytes = pageBytes - (at & (pageBytes - 1));
    for (let index = first; runBytes < lengthBytesMax; index++) {
      const next = this.#pages[index]! + 1;
      // Entries are page + 1, so `next - 1` is the page that would follow.
      if (this.#pages[index + 1] !== next || ((next - 1) & slabPageMask) === 0) break;
      runBytes += pageBytes;
    }
    return Math.min(runBytes, lengthBytesMax);
  }

  #commitPages(slot: number, offsetBytes: number, lengthBytes: number): void {
    const base = slot * this.#pagesPerSlot;
    if (base + this.#pagesPerSlot > this.#pages.length) this.#growTable(base + this.#pagesPerSlot);
    const last = base + ((offsetBytes + lengthBytes - 1) >>> pageShift);
    for (let index = base + (offsetBytes >>> pageShift); index <= last; index++) {
      if (this.#pages[index] === 0) this.#pages[index] = this.#takePage() + 1;
    }
  }

  #growTable(entryCount: number): void {
    try {
      const grown = new Int32Array(Math.max(entryCount, this.#pages.length * 2));
      grown.set(this.#pages);
      this.#pages = grown;
    } catch (cause) {
      throw outOfMemory(cause);
    }
  }

  #takePage(): number {
    const free = this.#freePages.pop();
    if (free !== undefined) return free;
    if (this.#pageCount >>> slabPageShift === this.#slabs.length) {
      try {
        this.#slabs.push(new Uint8Array(slabBytes));
      } catch (cause) {
        throw outOfMemory(cause);
      }
    }
    return this.#pageCount++;
  }
}

function outOfMemory(cause: unknown): StoreError {
  return new StoreError(
    "ERR_IO",
    "no memory left for the volumes' data; use smaller volumes, or a store in a directory",
    { cause },
  );
}
