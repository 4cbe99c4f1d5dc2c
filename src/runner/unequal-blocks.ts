/**
 * Blocks of which a volume and its second one need not agree: an operation failed on one of them, or may have.
 *
 * @packageDocumentation
 */
import type { Extent } from "../selectors/geometry.ts";
import { effectOf, type Operation } from "../selectors/operations.ts";

export class UnequalBlocks {
  /** By volume. */
  readonly #blocks: readonly Set<number>[];

  constructor(volumeCount: number) {
    this.#blocks = Array.from({ length: volumeCount }, () => new Set());
  }

  has(volume: number, block: number): boolean {
    return this.#blocks[volume]!.has(block);
  }

  /** One of the two may have an operation that the other has not. */
  add(extent: Extent, operation: Operation): void {
    for (const block of blocksOf(extent, operation)) this.#blocks[extent.volume]!.add(block);
  }

  /** Both have taken an operation: whatever was there before is gone. */
  delete(extent: Extent, operation: Operation): void {
    const blocks = this.#blocks[extent.volume]!;
    if (blocks.size === 0) return;
    for (const block of blocksOf(extent, operation)) blocks.delete(block);
  }
}

function* blocksOf(extent: Extent, { kind, firstBlock, blockCount }: Operation): Generator<number> {
  if (effectOf(kind) === "none") return;
  const first = extent.firstBlock + firstBlock;
  for (let block = first; block < first + blockCount; block++) yield block;
}
