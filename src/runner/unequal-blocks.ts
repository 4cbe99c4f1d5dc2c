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

  readonly #onAdded: () => void;

  /**
   * @param options.known - Blocks by volume, as {@link UnequalBlocks.toJSON} gave them.
   * @param options.onAdded - Called when blocks have been added.
   */
  constructor(
    volumeCount: number,
    {
      known = [],
      onAdded = () => {},
    }: { readonly known?: readonly (readonly number[])[]; readonly onAdded?: () => void } = {},
  ) {
    this.#onAdded = onAdded;
    this.#blocks = Array.from({ length: volumeCount }, (_, volume) => new Set(known[volume]));
  }

  toJSON(): readonly (readonly number[])[] {
    return this.#blocks.map((blocks) => [...blocks]);
  }

  has(volume: number, block: number): boolean {
    return this.#blocks[volume]!.has(block);
  }

  /** One of the two may have an operation that the other has not. */
  add(extent: Extent, operation: Operation): void {
    for (const block of blocksOf(extent, operation)) this.#blocks[extent.volume]!.add(block);
    this.#onAdded();
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
