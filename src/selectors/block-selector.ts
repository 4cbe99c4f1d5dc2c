/**
 * What happens at an lts, within the extent that it visits.
 *
 * Operations of one lts touch disjoint blocks, so all of a batch may be in flight at once: one that would start
 * on a taken block draws again, a few times, then is left out; one that would run into a taken block is cut.
 * Sizes and starts are drawn with a bias to edges (chunks, transfer limits, ends of the extent), where block
 * stores have their bugs.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import { type Purpose, purposes } from "../generators/streams.ts";
import type { Range } from "./draws.ts";
import {
  type Operation,
  type OperationKind,
  operationKinds,
  operationsPerLtsMax,
  positionOf,
} from "./operations.ts";
import { type WeightedChoice, weightedChoice } from "./weighted.ts";

export interface BlockSelectorOptions {
  readonly run: RunKernel;
  /** Batches per lts, drawn evenly. */
  readonly batches: Range;
  /** Operations per batch, drawn evenly. */
  readonly operationsPerBatch: Range;
  /** Blocks per write, write zeroes or deallocate. */
  readonly blocksPerOperation: Range;
  /** Most blocks of a compare-and-write, 1 to the most of an operation; 1 if left out. */
  readonly compareAndWriteBlocksMax?: number;
  /** Relative weights of the kinds; 0 if left out. */
  readonly weights: Readonly<Partial<Record<OperationKind, number>>>;
  /** Lengths at whose multiples operations like to start and end: chunk, transfer limit, allocation unit. */
  readonly edgeBlocks: readonly number[];
}

/** Consecutive blocks, counted from the start of their extent. */
export interface BlockSpan {
  readonly firstBlock: number;
  /** At least 1. */
  readonly blockCount: number;
}

const attemptsMax = 4;

/**
 * First of the streams, one per attempt, from which the numbers of a selector come: who draws at the same lts must
 * not draw the same.
 */
export const firstStreams = { volume: 0, clone: attemptsMax, reads: 2 * attemptsMax } as const;

export class BlockSelector {
  readonly #options: BlockSelectorOptions;
  readonly #firstStream: number;
  readonly #compareAndWriteBlocks: Range;
  readonly #kinds: WeightedChoice<OperationKind>;
  /** Blocks of the extent that the operations so far have taken; scratch, cleared by each call. */
  #taken: Uint8Array;

  /** @param firstStream - One of {@link firstStreams}. */
  constructor(options: BlockSelectorOptions, firstStream: number = firstStreams.volume) {
    const most = options.batches.max * options.operationsPerBatch.max;
    if (most > operationsPerLtsMax)
      throw new RangeError(`${most} operations per lts: expected at most ${operationsPerLtsMax}`);
    const { compareAndWriteBlocksMax = 1, blocksPerOperation } = options;
    if (!(compareAndWriteBlocksMax >= 1 && compareAndWriteBlocksMax <= blocksPerOperation.max))
      throw new RangeError(
        `a compare-and-write of up to ${compareAndWriteBlocksMax} blocks: expected 1 to ${blocksPerOperation.max}, the most of any operation`,
      );
    this.#options = options;
    this.#firstStream = firstStream;
    this.#compareAndWriteBlocks = {
      min: Math.min(blocksPerOperation.min, compareAndWriteBlocksMax),
      max: compareAndWriteBlocksMax,
    };
    this.#kinds = weightedChoice(operationKinds, options.weights);
    this.#taken = new Uint8Array(0);
  }

  /** The operations of an lts on an extent of `extentBlocks` blocks, by batch and number. */
  operations(lts: number, extentBlocks: number): readonly Operation[] {
    const { batches, operationsPerBatch } = this.#options;
    if (this.#taken.length < extentBlocks) this.#taken = new Uint8Array(extentBlocks);
    else this.#taken.fill(0, 0, extentBlocks);
    const operations: Operation[] = [];
    const batchCount = this.#drawRange(purposes.batchCount, positionOf(lts, 0), batches);
    for (let batch = 0; batch < batchCount; batch++) {
      const count = this.#drawRange(purposes.operationCount, positionOf(lts, batch), operationsPerBatch);
      for (let index = 0; index < count; index++) {
        const operationId = batch * operationsPerBatch.max + index;
        const operation = this.#operation(lts, operationId, batch, extentBlocks);
        if (operation !== undefined) operations.push(operation);
      }
    }
    return operations;
  }

  /** The operation of an lts that touches a block of its extent, if any does. */
  operationOn(lts: number, block: number, extentBlocks: number): Operation | undefined {
    return this.operations(lts, extentBlocks).find(
      ({ firstBlock, blockCount }) => block >= firstBlock && block < firstBlock + blockCount,
    );
  }

  /** Blocks of an extent for something else than an operation; `number` tells several of one lts apart, 0 to 254. */
  span(lts: number, number: number, extentBlocks: number): BlockSpan {
    const position = positionOf(lts, number);
    const firstBlock = this.#firstBlock(position, 0, extentBlocks);
    const length = this.#length(position, 0, firstBlock, this.#options.blocksPerOperation);
    return { firstBlock, blockCount: Math.min(extentBlocks - firstBlock, length) };
  }

  #operation(lts: number, operationId: number, batch: number, extentBlocks: number): Operation | undefined {
    const position = positionOf(lts, operationId);
    const kind = this.#kinds.pick(this.#draw(purposes.operationKind, position, 0, this.#kinds.total));
    if (kind === "flush") return { kind, operationId, batch, firstBlock: 0, blockCount: 0 };
    const isFused = kind === "compareAndWrite" || kind === "compareAndWriteMiss";
    const range = isFused ? this.#compareAndWriteBlocks : this.#options.blocksPerOperation;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const firstBlock = kind === "deallocateExtent" ? 0 : this.#firstBlock(position, attempt, extentBlocks);
      if (this.#taken[firstBlock] !== 0) continue;
      const isWhole = kind === "deallocateExtent" || kind === "deallocateTail";
      const room = extentBlocks - firstBlock;
      const wanted = isWhole ? room : Math.min(room, this.#length(position, attempt, firstBlock, range));
      const blockCount = this.#freeFrom(firstBlock, wanted);
      this.#taken.fill(1, firstBlock, firstBlock + blockCount);
      return { kind, operationId, batch, firstBlock, blockCount };
    }
    return undefined;
  }

  /** Half of the starts are anywhere, half within a block of a multiple of an edge. */
  #firstBlock(position: number, attempt: number, extentBlocks: number): number {
    const { edgeBlocks } = this.#options;
    const anywhere = this.#draw(purposes.firstBlock, position, attempt, extentBlocks);
    const choice = this.#draw(purposes.firstBlockEdge, position, attempt, 2 * edgeBlocks.length);
    if (choice % 2 === 0) return anywhere;
    const edge = edgeBlocks[choice >> 1]!;
    const near = Math.round(anywhere / edge) * edge + (anywhere % 3) - 1;
    return Math.min(extentBlocks - 1, Math.max(0, near));
  }

  /** A quarter each: anything, the least, up to the next edge, an edge's own length give or take one. */
  #length(position: number, attempt: number, firstBlock: number, { min, max }: Range): number {
    if (min === max) return min;
    const { edgeBlocks } = this.#options;
    const anything = min + this.#draw(purposes.length, position, attempt, max - min + 1);
    const choice = this.#draw(purposes.lengthEdge, position, attempt, 4 * edgeBlocks.length);
    const edge = edgeBlocks[choice >> 2]!;
    switch (choice & 3) {
      case 0:
        return anything;
      case 1:
        return min;
      case 2:
        return Math.min(max, Math.max(min, edge - (firstBlock % edge)));
      default:
        return Math.min(max, Math.max(min, edge + (anything % 3) - 1));
    }
  }

  /** Blocks that are free from one on, up to as many as are wanted. */
  #freeFrom(block: number, wanted: number): number {
    const taken = this.#taken;
    let free = 0;
    while (free < wanted && taken[block + free] === 0) free++;
    return free;
  }

  /** A number from min to max; nothing is drawn where there is no choice. */
  #drawRange(purpose: Purpose, position: number, { min, max }: Range): number {
    return min === max ? min : min + this.#draw(purpose, position, 0, max - min + 1);
  }

  /** One stream per purpose and attempt, in which each operation has its place. */
  #draw(purpose: Purpose, position: number, attempt: number, bound: number): number {
    return this.#options.run.draw(position, purpose, this.#firstStream + attempt, bound);
  }
}
