/**
 * What is read beside the operations, to be checked while they are in flight.
 *
 * Reads go to the extents of the window, where the writes are; one of eight goes to any extent reached so far.
 * Starts and lengths have the bias of the operations'.
 *
 * @packageDocumentation
 */
import { purposes } from "../generators/streams.ts";
import { BlockSelector, type BlockSelectorOptions, type BlockSpan, firstStreams } from "./block-selector.ts";
import { drawChance, drawRange, type Range, type Ratio } from "./draws.ts";
import type { ExtentWindow } from "./extent-window.ts";
import type { Extent } from "./geometry.ts";
import { operationsPerLtsMax, positionOf } from "./operations.ts";
import type { SizeSchedule } from "./size-schedule.ts";

export interface ReadOptions {
  /** Reads per lts, drawn evenly, up to 255; none if left out. */
  readonly perLts?: Range;
  /** Chance that the blocks of an operation are read before it; none if left out. */
  readonly preRead?: Ratio;
}

/** Blocks to read, counted from the start of the extent. */
export interface Read extends BlockSpan {
  readonly extent: Extent;
}

const anywhereOneOf = 8;

export class ReadSelector {
  readonly #options: ReadOptions;
  readonly #operations: BlockSelectorOptions;
  readonly #window: ExtentWindow;
  readonly #sizes: SizeSchedule;
  readonly #blocks: BlockSelector;

  constructor({
    reads,
    operations,
    window,
    sizes,
  }: {
    readonly reads: ReadOptions;
    readonly operations: BlockSelectorOptions;
    readonly window: ExtentWindow;
    readonly sizes: SizeSchedule;
  }) {
    const most = reads.perLts?.max ?? 0;
    if (most > operationsPerLtsMax)
      throw new RangeError(`${most} reads per lts: expected at most ${operationsPerLtsMax}`);
    this.#options = reads;
    this.#operations = operations;
    this.#window = window;
    this.#sizes = sizes;
    this.#blocks = new BlockSelector(operations, firstStreams.reads);
  }

  /** Reads to be in flight together with the operations of an lts; they may overlap these and one another. */
  readsAt(lts: number): readonly Read[] {
    const { perLts } = this.#options;
    if (perLts === undefined) return [];
    const count = drawRange(this.#operations.run, { position: lts + 1, purpose: purposes.readCount }, perLts);
    return Array.from({ length: count }, (_, number) => {
      const extent = this.#extent(lts, number);
      return { extent, ...this.#blocks.span(lts, number, extent.blockCount) };
    });
  }

  /** Whether the blocks of an operation are read just before it. */
  preRead(lts: number, operationId: number): boolean {
    const position = positionOf(lts, operationId);
    return drawChance(this.#operations.run, { position, purpose: purposes.preRead }, this.#options.preRead);
  }

  #extent(lts: number, number: number): Extent {
    const { run } = this.#operations;
    const position = positionOf(lts, number);
    const isAnywhere = run.draw(position, purposes.readExtent, 0, anywhereOneOf) === 0;
    const bound = isAnywhere ? this.#window.reachedCount(lts) : this.#window.windowSize;
    const drawn = run.draw(position, purposes.readExtent, 1, bound);
    const pd = isAnywhere ? this.#window.reachedPd(drawn) : this.#window.pdInWindow(lts, drawn);
    return this.#sizes.existingExtent(pd, lts);
  }
}
