/**
 * The space that a workload works on: volumes cut into extents, extents into blocks.
 *
 * @packageDocumentation
 */

import { sectorBytes } from "../generators/content.ts";
import { type KeyBijection, partitionKeys } from "../generators/keys.ts";
import { blockCountMax, volumeCountMax } from "../generators/streams.ts";

/** Consecutive blocks of one volume. */
export interface Extent {
  /** Partition descriptor, 0 to extent count − 1. */
  readonly pd: number;
  readonly volume: number;
  readonly firstBlock: number;
  readonly blockCount: number;
}

export class Geometry {
  /** Bytes per block: 512 or 4096. */
  readonly blockSizeBytes: number;
  /** Blocks of each volume. */
  readonly volumeBlocks: readonly number[];
  /** Blocks of an extent; the last of a volume may be shorter. */
  readonly extentBlocks: number;
  /** pd → [volume, extent]. */
  readonly keys: KeyBijection;

  constructor(options: {
    readonly blockSizeBytes: number;
    readonly volumeBlocks: readonly number[];
    readonly extentBlocks: number;
  }) {
    const { blockSizeBytes, volumeBlocks, extentBlocks } = options;
    if (blockSizeBytes % sectorBytes !== 0)
      throw new RangeError(`blocks of ${blockSizeBytes} bytes are no whole sectors`);
    if (volumeBlocks.length === 0 || volumeBlocks.length > volumeCountMax)
      throw new RangeError(`${volumeBlocks.length} volumes: expected 1 to ${volumeCountMax}`);
    for (const count of volumeBlocks)
      if (!(count >= 1 && count <= blockCountMax))
        throw new RangeError(`a volume of ${count} blocks: expected 1 to ${blockCountMax}`);
    this.blockSizeBytes = blockSizeBytes;
    this.volumeBlocks = volumeBlocks;
    this.extentBlocks = extentBlocks;
    this.keys = partitionKeys(volumeBlocks.map((count) => Math.ceil(count / extentBlocks)));
  }

  get extentCount(): number {
    return this.keys.count;
  }

  get sectorsPerBlock(): number {
    return this.blockSizeBytes / sectorBytes;
  }

  extent(pd: number): Extent {
    const [volume, index] = this.keys.inflate(pd);
    const firstBlock = index * this.extentBlocks;
    return {
      pd,
      volume,
      firstBlock,
      blockCount: Math.min(this.extentBlocks, this.volumeBlocks[volume]! - firstBlock),
    };
  }

  /** The extent that a block of a volume lies in. */
  pdOf(volume: number, block: number): number {
    return this.keys.deflate([volume, Math.floor(block / this.extentBlocks)]);
  }
}
