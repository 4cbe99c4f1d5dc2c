/**
 * How large each volume is at an lts: volumes may start small and grow in steps to their full size.
 *
 * Step k, from 1, follows the lts k·every. It takes every volume the k-th part of the way from its start to its
 * full size, in whole extents, so a volume ends within an extent only when it is complete. An extent exists at
 * the lts after the step that made it, and for good.
 *
 * @packageDocumentation
 */
import type { Ratio } from "./draws.ts";
import type { Extent, Geometry } from "./geometry.ts";

export interface GrowthOptions {
  /** Part of its extents that a volume has at first, above 0 and up to 1; rounded up, so never none. */
  readonly start: Ratio;
  /** lts between two steps; 0 has every volume complete from the start. */
  readonly every: number;
  /** Steps until every volume is complete, at least 1. */
  readonly steps: number;
}

/** Volumes grow to these numbers of blocks; some may have as many already. */
export interface ResizeStep {
  readonly kind: "resize";
  /** From 1. */
  readonly step: number;
  readonly blockCounts: readonly number[];
}

export class SizeSchedule {
  readonly #geometry: Geometry;
  readonly #growth: GrowthOptions;
  /** Extents of each volume, once complete and at first. */
  readonly #extentCounts: readonly number[];
  readonly #startCounts: readonly number[];

  constructor(geometry: Geometry, growth: GrowthOptions = fullFromTheStart) {
    const { start, every, steps } = growth;
    if (!(start.numerator > 0 && start.numerator <= start.denominator))
      throw new RangeError(
        `volumes that start at ${start.numerator}/${start.denominator} of their size: expected more than 0, at most 1`,
      );
    if (every > 0 && !(steps >= 1)) throw new RangeError(`growth in ${steps} steps: expected 1 or more`);
    this.#geometry = geometry;
    this.#growth = growth;
    this.#extentCounts = geometry.volumeBlocks.map((count) => Math.ceil(count / geometry.extentBlocks));
    this.#startCounts =
      every === 0
        ? this.#extentCounts
        : this.#extentCounts.map((count) => Math.ceil((count * start.numerator) / start.denominator));
  }

  /** Steps that come before the visit of an lts, and thus before a snapshot that follows it. */
  stepCountAt(lts: number): number {
    const { every, steps } = this.#growth;
    return every === 0 || lts < 1 ? 0 : Math.min(steps, Math.floor((lts - 1) / every));
  }

  /** Whole extents that a volume has when an lts is visited. */
  extentsAt(volume: number, lts: number): number {
    return this.#extentsAfter(volume, this.stepCountAt(lts));
  }

  /** Blocks that a volume has when an lts is visited. */
  blockCountAt(volume: number, lts: number): number {
    return this.#blocksAfter(volume, this.stepCountAt(lts));
  }

  /** Whether an extent exists when an lts is visited. */
  hasExtent({ volume, firstBlock }: Extent, lts: number): boolean {
    return firstBlock < this.blockCountAt(volume, lts);
  }

  /** An extent that exists at an lts: the one asked for, or else one of the same volume in its stead. */
  existingExtent(pd: number, lts: number): Extent {
    const extent = this.#geometry.extent(pd);
    const [volume, index] = this.#geometry.keys.inflate(pd);
    const count = this.extentsAt(volume, lts);
    return index < count
      ? extent
      : this.#geometry.extent(this.#geometry.keys.deflate([volume, index % count]));
  }

  /** The step that follows an lts, unless there is none, or it leaves every volume as it was. */
  stepAfter(lts: number): ResizeStep | undefined {
    const step = this.stepCountAt(lts + 1);
    const before = this.stepCountAt(lts);
    if (step === before) return undefined;
    const volumes = [...this.#extentCounts.keys()];
    if (volumes.every((volume) => this.#extentsAfter(volume, step) === this.#extentsAfter(volume, before)))
      return undefined;
    return { kind: "resize", step, blockCounts: volumes.map((volume) => this.#blocksAfter(volume, step)) };
  }

  #extentsAfter(volume: number, step: number): number {
    const start = this.#startCounts[volume]!;
    const missing = this.#extentCounts[volume]! - start;
    return missing === 0 ? start : start + Math.floor((missing * step) / this.#growth.steps);
  }

  #blocksAfter(volume: number, step: number): number {
    const { extentBlocks, volumeBlocks } = this.#geometry;
    return Math.min(volumeBlocks[volume]!, this.#extentsAfter(volume, step) * extentBlocks);
  }
}

const fullFromTheStart: GrowthOptions = { start: { numerator: 1, denominator: 1 }, every: 0, steps: 1 };
