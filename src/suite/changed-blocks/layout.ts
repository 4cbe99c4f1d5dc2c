/**
 * Where on the volumes the tests of the suite work: places in MiB as they are published, moved and made smaller on
 * request.
 *
 * @packageDocumentation
 */
import type { BlockRange } from "../../sut/port.ts";

export const mebibyte = 2 ** 20;

/** Blocks with the words for them. */
export interface Region extends BlockRange {
  /** As a person would point at it, such as `200–250 MB`. */
  readonly name: string;
}

export interface LayoutOptions {
  readonly blockSizeBytes: number;
  /** Blocks that every place is a multiple of: a chunk of the diff, or more if more are reported together. */
  readonly unitBlocks: number;
  /** Added to every place, in bytes. */
  readonly offsetBytes: number;
  /** What lengths and places are multiplied by; 1 for 2 GiB volumes, at most 1. */
  readonly scale: number;
}

/** Regions at equal distances. */
export interface Places {
  /** In MiB, as the length and the stride. */
  readonly at: number;
  readonly length: number;
  readonly stride: number;
  readonly count: number;
}

/** Highest byte that any test touches at scale 1, in MiB. */
const footprintMebibytes = 1776;
/** Shortest region that lies right beside another, in MiB at scale 1. */
const shortestNeighbour = 10;

export class Layout {
  readonly blockSizeBytes: number;
  readonly unitBlocks: number;
  readonly scale: number;
  readonly #firstBlock: number;

  /** @throws {RangeError} If regions that must not overlap would. */
  constructor({ blockSizeBytes, unitBlocks, offsetBytes, scale }: LayoutOptions) {
    this.blockSizeBytes = blockSizeBytes;
    this.unitBlocks = unitBlocks;
    this.scale = scale;
    const unitBytes = unitBlocks * blockSizeBytes;
    const scaleMin = unitBytes / (shortestNeighbour * mebibyte);
    if (!(scale >= scaleMin && scale <= 1))
      throw new RangeError(
        `scale ${scale}: expected ${scaleMin} to 1, so that no region is less than a chunk`,
      );
    this.#firstBlock = Math.ceil(offsetBytes / unitBytes) * unitBlocks;
  }

  /** Blocks that the whole suite needs, from the start of the volume. */
  get blockCount(): number {
    const { block, blockCount } = this.region(footprintMebibytes - 1, 1);
    return block + blockCount;
  }

  /** A place and a length in MiB; scaled, and then whole units. What is side by side at scale 1 always is. */
  region(at: number, length: number): Region {
    const [first, end] = [this.#units(at), this.#units(at + length)];
    return this.#named(first * this.unitBlocks, Math.max(1, end - first) * this.unitBlocks);
  }

  /** As many as there is room for with a unit between them. */
  places({ at, length, stride, count }: Places): readonly Region[] {
    const units = Math.max(2, this.#units(stride));
    const written = Math.max(1, Math.min(this.#units(length), units - 1));
    const fitting = Math.max(2, Math.min(count, Math.floor(this.#units(count * stride) / units)));
    const first = this.#units(at);
    return Array.from({ length: fitting }, (_, index) =>
      this.#named((first + index * units) * this.unitBlocks, written * this.unitBlocks),
    );
  }

  /** What lies between a region and the next. */
  gap(region: BlockRange, next: BlockRange): Region {
    const block = region.block + region.blockCount;
    return this.#named(block - this.#firstBlock, next.block - block);
  }

  /** Blocks that need not begin or end with a unit, counted from the place of a region. */
  within({ block }: BlockRange, firstBlock: number, blockCount: number): Region {
    return { block: block + firstBlock, blockCount, name: `LBA ${block + firstBlock} for ${blockCount}` };
  }

  bytesOf({ blockCount }: BlockRange): number {
    return blockCount * this.blockSizeBytes;
  }

  #units(mebibytes: number): number {
    return Math.floor((mebibytes * this.scale * mebibyte) / (this.unitBlocks * this.blockSizeBytes) + 1e-9);
  }

  /** @param fromFirst - Block, counted from the first that may be used. */
  #named(fromFirst: number, blockCount: number): Region {
    const block = this.#firstBlock + fromFirst;
    const places = [block, block + blockCount].map((one) => {
      const inMebibytes = (one * this.blockSizeBytes) / mebibyte;
      return Number.isInteger(inMebibytes) ? String(inMebibytes) : inMebibytes.toFixed(2);
    });
    return { block, blockCount, name: `${places.join("–")} MB` };
  }
}

/** As the suite writes amounts: MB are MiB, as published. */
export function megabytes(bytes: number): string {
  return bytes >= mebibyte / 10 ? `${(bytes / mebibyte).toFixed(1)} MB` : `${bytes / 1024} KB`;
}

export function rangeText({ block, blockCount }: BlockRange): string {
  return blockCount === 1 ? `block ${block}` : `blocks ${block} to ${block + blockCount - 1}`;
}
