/**
 * What a volume holds, and when it was touched: the model that a driver's answers are compared with.
 *
 * @packageDocumentation
 */
import type { BlockRange } from "../../sut/port.ts";
import { type ByteRanges, joined } from "./byte-ranges.ts";

/** A snapshot of the scene, and what it holds. */
export interface KnownSnapshot {
  readonly id: string;
  /** What it is called in messages. */
  readonly label: string;
  readonly sizeBytes: number;
  /** Version by block; a block that is not in it reads as zeros. */
  readonly versions: ReadonlyMap<number, number>;
  /** Blocks that were written or made zero since the snapshot before it. */
  readonly touched: ReadonlySet<number>;
  readonly previous: KnownSnapshot | undefined;
}

/** What an answer must and may report, in bytes. */
export interface Expectation {
  readonly must: ByteRanges;
  readonly may: ByteRanges;
}

/** The content of one volume, block by block. */
export class VolumeImage {
  readonly #blockSizeBytes: number;
  readonly #versions = new Map<number, number>();
  #touched = new Set<number>();
  #last: KnownSnapshot | undefined;
  sizeBytes: number;

  constructor(blockSizeBytes: number, sizeBytes: number) {
    this.#blockSizeBytes = blockSizeBytes;
    this.sizeBytes = sizeBytes;
  }

  /** @param version - Names the content; 0 for zeros. */
  set({ block, blockCount }: BlockRange, version: number): void {
    for (let at = block; at < block + blockCount; at++) {
      if (version === 0) this.#versions.delete(at);
      else this.#versions.set(at, version);
      this.#touched.add(at);
    }
  }

  snapshot(id: string, label: string): KnownSnapshot {
    const { sizeBytes } = this;
    const [versions, touched, previous] = [new Map(this.#versions), this.#touched, this.#last];
    this.#touched = new Set();
    return (this.#last = { id, label, sizeBytes, versions, touched, previous });
  }

  /** @param base - An older snapshot of the same volume, or nothing for what is allocated. */
  expectation(target: KnownSnapshot, base: KnownSnapshot | undefined): Expectation {
    const may = new Set<number>();
    for (let at: KnownSnapshot | undefined = target; at !== undefined && at !== base; at = at.previous)
      for (const block of at.touched) may.add(block);
    const must = [...may].filter((block) => target.versions.get(block) !== base?.versions.get(block));
    return { must: this.#bytes(must), may: this.#bytes(may) };
  }

  #bytes(blocks: Iterable<number>): ByteRanges {
    const size = this.#blockSizeBytes;
    return joined([...blocks].map((block) => ({ start: block * size, end: (block + 1) * size })));
  }
}

/** Content that differs in each 16 bytes with version and block. */
export function content(
  version: number,
  { block, blockCount }: BlockRange,
  blockSizeBytes: number,
): Uint8Array {
  const words = new BigUint64Array((blockCount * blockSizeBytes) / 8);
  const perBlock = blockSizeBytes / 8;
  for (let index = 0; index < words.length; index += 2) {
    words[index] = BigInt(version);
    words[index + 1] = BigInt(block + Math.floor(index / perBlock));
  }
  return new Uint8Array(words.buffer);
}
