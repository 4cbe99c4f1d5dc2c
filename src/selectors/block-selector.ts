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
    const batchCount = this.#drawRange(purposes.batchCount, { lts, operationId: 0 }, batches);
    for (let batch = 0; batch < batchCount; batch++) {
      const count = this.#drawRange(purposes.operationCount, { lts, operationId: batch }, operationsPerBatch);
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
    const at = { lts, operationId: number };
    const firstBlock = this.#firstBlock(at, extentBlocks);
    const { blocksPerOperation } = this.#options;
    return { firstBlock, blockCount: this.#length(at, { firstBlock, extentBlocks, blocksPerOperation }) };
  }

  #operation(lts: number, operationId: number, batch: number, extentBlocks: number): Operation | undefined {
    const kind = this.#kinds.pick(
      this.#draw(purposes.operationKind, { lts, operationId }, this.#kinds.total),
    );
    if (kind === "flush") return { kind, operationId, batch, firstBlock: 0, blockCount: 0 };
    const isFused = kind === "compareAndWrite" || kind === "compareAndWriteMiss";
    const blocksPerOperation = isFused ? this.#compareAndWriteBlocks : this.#options.blocksPerOperation;
    for (let attempt = 0; attempt < attemptsMax; attempt++) {
      const at = { lts, operationId, attempt };
      const firstBlock = kind === "deallocateExtent" ? 0 : this.#firstBlock(at, extentBlocks);
      const free = this.#freeFrom(firstBlock, extentBlocks);
      if (free === 0) continue;
      const whole = kind === "deallocateExtent" || kind === "deallocateTail";
      const blockCount = whole
        ? free
        : Math.min(free, this.#length(at, { firstBlock, extentBlocks, blocksPerOperation }));
      this.#taken.fill(1, firstBlock, firstBlock + blockCount);
      return { kind, operationId, batch, firstBlock, blockCount };
    }
    return undefined;
  }

  /** Half of the starts are anywhere, half within a block of a multiple of an edge. */
  #firstBlock(at: Draw, extentBlocks: number): number {
    const { edgeBlocks } = this.#options;
    const anywhere = this.#draw(purposes.firstBlock, at, extentBlocks);
    const choice = this.#draw(purposes.firstBlockEdge, at, 2 * edgeBlocks.length);
    if (choice % 2 === 0) return anywhere;
    const edge = edgeBlocks[choice >> 1]!;
    const near = Math.round(anywhere / edge) * edge + (anywhere % 3) - 1;
    return Math.min(extentBlocks - 1, Math.max(0, near));
  }

  /** A quarter each: anything, the least, up to the next edge, an edge's own length give or take one. */
  #length(
    at: Draw,
    {
      firstBlock,
      extentBlocks,
      blocksPerOperation,
    }: { firstBlock: number; extentBlocks: number; blocksPerOperation: Range },
  ): number {
    const { edgeBlocks } = this.#options;
    const anything = this.#drawRange(purposes.length, at, blocksPerOperation);
    const choice = this.#draw(purposes.lengthEdge, at, 4 * edgeBlocks.length);
    const edge = edgeBlocks[choice >> 2]!;
    const drawn = [anything, blocksPerOperation.min, edge - (firstBlock % edge), edge + (anything % 3) - 1][
      choice & 3
    ]!;
    const length = Math.min(blocksPerOperation.max, Math.max(blocksPerOperation.min, drawn));
    return Math.min(length, extentBlocks - firstBlock);
  }

  #freeFrom(block: number, extentBlocks: number): number {
    const next = this.#taken.subarray(0, extentBlocks).indexOf(1, block);
    return (next === -1 ? extentBlocks : next) - block;
  }

  #drawRange(purpose: Purpose, at: Draw, { min, max }: Range): number {
    return min + this.#draw(purpose, at, max - min + 1);
  }

  /** One stream per purpose and attempt, in which each operation has its place. */
  #draw(purpose: Purpose, { lts, operationId, attempt = 0 }: Draw, bound: number): number {
    return this.#options.run.draw(positionOf(lts, operationId), purpose, this.#firstStream + attempt, bound);
  }
}

/** Whose number is drawn. */
interface Draw {
  readonly lts: number;
  readonly operationId: number;
  readonly attempt?: number;
}
