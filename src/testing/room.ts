/**
 * The room that is left in an extent for further operations of one lts.
 *
 * @packageDocumentation
 */
interface Span {
  readonly block: number;
  readonly blocks: number;
}

/** The blocks of an extent that operations of one lts have left to others. */
export class Room {
  readonly #isFree: boolean[];

  constructor(blockCount: number) {
    this.#isFree = Array<boolean>(blockCount).fill(true);
  }

  /** Whether nothing is taken. */
  get isWhole(): boolean {
    return this.#isFree.every(Boolean);
  }

  /** A free block, counted among those, and as many after it as are free and wanted. */
  take({ block, blocks }: Span): Span | undefined {
    const starts = this.#isFree.flatMap((isFree, start) => (isFree ? [start] : []));
    const first = starts[block % Math.max(1, starts.length)];
    if (first === undefined) return undefined;
    let end = first + 1;
    while (end < first + blocks && this.#isFree[end] === true) end++;
    this.#isFree.fill(false, first, end);
    return { block: first, blocks: end - first };
  }

  /** From a block to the end of the extent, of what is free there. */
  takeTail(block: number): Span | undefined {
    const blockCount = this.#isFree.length;
    const least = this.#isFree.lastIndexOf(false) + 1;
    if (least === blockCount) return undefined;
    const first = least + (block % (blockCount - least));
    return this.take({ block: this.#freeBefore(first), blocks: blockCount - first });
  }

  /** For a read, which takes nothing. */
  span({ block, blocks }: Span): Span {
    const first = block % this.#isFree.length;
    return { block: first, blocks: Math.min(blocks, this.#isFree.length - first) };
  }

  #freeBefore(block: number): number {
    return this.#isFree.slice(0, block).filter(Boolean).length;
  }
}
