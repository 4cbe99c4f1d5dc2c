/**
 * Gives the operations of one lts their blocks: first those that name them, then the others where there is room.
 *
 * @packageDocumentation
 */
import type { Choices } from "../generators/choices.ts";
import type { BlockSpan } from "./block-selector.ts";
import { HistoryError } from "./history-error.ts";
import type { Wish } from "./operation-group.ts";
import { type Operation, operationsPerLtsMax } from "./operations.ts";

export interface Placed {
  readonly kind: Wish["kind"];
  readonly span: BlockSpan;
}

export interface PlacementOptions {
  readonly choices: Choices;
  /** Of the extent. */
  readonly blockCount: number;
  readonly blockSizeBytes: number;
  readonly compareAndWriteBlocksMax: number;
}

/** Blocks that an operation takes whose length is drawn, at most. */
const drawnBlocksMax = 8;
/** Blocks of 512 bytes in what an update changes a part of. */
const pageBlocks = 8;

/** @returns In the order of the wishes. Reads may overlap, operations do not. */
export function placed(wishes: readonly Wish[], options: PlacementOptions): readonly Placed[] {
  if (wishes.length > operationsPerLtsMax)
    throw new HistoryError(
      `${wishes.length} operations of one lts: expected at most ${operationsPerLtsMax}`,
      wishes[0]!.line,
    );
  const placement = new Placement(options);
  const spans = new Map<Wish, BlockSpan>();
  for (const wish of wishes.filter(isGiven)) spans.set(wish, placement.span(wish, options.blockCount));
  const drawn = wishes.filter((wish) => !isGiven(wish));
  for (const [index, wish] of drawn.entries())
    spans.set(wish, placement.span(wish, Math.floor(placement.freeCount / (drawn.length - index))));
  return wishes.map((wish) => ({ kind: wish.kind, span: spans.get(wish)! }));
}

/** Those that are operations, numbered in their order. */
export function operationsOf(all: readonly Placed[]): Operation[] {
  const operations: Operation[] = [];
  for (const { kind, span } of all)
    if (kind !== "read") operations.push({ kind, operationId: operations.length, batch: 0, ...span });
  return operations;
}

/** Where the reads among them are. */
export function readsOf(all: readonly Placed[]): BlockSpan[] {
  return all.filter(({ kind }) => kind === "read").map(({ span }) => span);
}

function isGiven({ kind, block }: Wish): boolean {
  return kind === "deallocateExtent" || block !== undefined;
}

class Placement {
  readonly #options: PlacementOptions;
  /** Blocks that operations have taken. */
  readonly #taken: Uint8Array;

  constructor(options: PlacementOptions) {
    this.#options = options;
    this.#taken = new Uint8Array(options.blockCount);
  }

  get freeCount(): number {
    return this.#taken.reduce((sum, one) => sum + (one === 0 ? 1 : 0), 0);
  }

  /** @param share - Blocks that it may take if their number is drawn, so that others find room as well. */
  span(wish: Wish, share: number): BlockSpan {
    const { kind, line } = wish;
    if (kind === "flush") return { firstBlock: 0, blockCount: 0 };
    const most = this.#options.blockCount;
    const isRead = kind === "read";
    const firstBlock = this.#firstBlock(wish);
    const room = isRead ? most - firstBlock : this.#freeFrom(firstBlock);
    const blockCount = this.#length(wish, { firstBlock, room, share: isRead ? most : Math.max(1, share) });
    if (!(Number.isInteger(blockCount) && blockCount >= 1 && blockCount <= most - firstBlock))
      throw new HistoryError(
        `${kind} of ${blockCount} blocks at block ${firstBlock}: the extent has ${most} blocks`,
        line,
      );
    if (blockCount > room)
      throw new HistoryError(
        `${kind} of ${blockCount} blocks at block ${firstBlock}: block ${firstBlock + room} is another operation's of the same lts; use sequentially()`,
        line,
      );
    if (!isRead) this.#taken.fill(1, firstBlock, firstBlock + blockCount);
    return { firstBlock, blockCount };
  }

  #firstBlock({ kind, line, block = kind === "deallocateExtent" ? 0 : undefined }: Wish): number {
    const most = this.#options.blockCount;
    if (block !== undefined) {
      if (Number.isInteger(block) && block >= 0 && block < most) return block;
      throw new HistoryError(`block ${block}: the extent has ${most}, numbered from 0`, line);
    }
    const starts = [...this.#taken.keys()].filter((one) => kind === "read" || this.#taken[one] === 0);
    if (starts.length === 0)
      throw new HistoryError(
        `${kind}: no block of the extent is left for another operation of this lts`,
        line,
      );
    return starts[this.#options.choices.below(starts.length)]!;
  }

  #length(
    { kind, block, blocks, isUpdate = false, line }: Wish,
    {
      firstBlock,
      room,
      share,
    }: { readonly firstBlock: number; readonly room: number; readonly share: number },
  ): number {
    const { choices, blockCount: most, blockSizeBytes, compareAndWriteBlocksMax } = this.#options;
    if (kind === "deallocateExtent") return most;
    if (blocks === Number.POSITIVE_INFINITY) return room;
    if (kind === "deallocateTail") return blocks ?? most - firstBlock;
    if (kind === "compareAndWrite" || kind === "compareAndWriteMiss") {
      if (blocks === undefined || blocks <= compareAndWriteBlocksMax) return blocks ?? 1;
      throw new HistoryError(
        `a compare-and-write of ${blocks} blocks: expected at most ${compareAndWriteBlocksMax}`,
        line,
      );
    }
    if (blocks !== undefined) return block === undefined ? Math.min(blocks, room) : blocks;
    const isPart = isUpdate && blockSizeBytes === 512;
    const onPage = isPart ? Math.min(pageBlocks - 1, pageBlocks - (firstBlock % pageBlocks)) : 1;
    return 1 + choices.below(Math.min(room, share, isUpdate ? onPage : drawnBlocksMax));
  }

  /** Blocks that are free from one on. */
  #freeFrom(block: number): number {
    let free = 0;
    while (this.#taken[block + free] === 0) free++;
    return free;
  }
}
