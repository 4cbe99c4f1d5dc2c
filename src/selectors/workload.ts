/**
 * A workload: everything that happens, and may be asked of it, as pure functions of seed, shape and lts.
 *
 * @packageDocumentation
 */
import { type ContentOptions, contentFormat } from "../generators/content.ts";
import { type Kernel, RunKernel } from "../generators/kernel.ts";
import { mix } from "../generators/mix.ts";
import { purposes } from "../generators/streams.ts";
import { BlockSelector, type BlockSelectorOptions } from "./block-selector.ts";
import { CloneSelector, type CloneVisit } from "./clone-selector.ts";
import { type ControlOptions, ControlSchedule } from "./control-schedule.ts";
import { ExtentWindow, type WindowOptions } from "./extent-window.ts";
import type { Extent, Geometry } from "./geometry.ts";
import type { History, Visit } from "./history.ts";
import { type Operation, operationAt } from "./operations.ts";
import { type Read, type ReadOptions, ReadSelector } from "./read-selector.ts";
import { type GrowthOptions, SizeSchedule } from "./size-schedule.ts";

/** What a workload is made from, beside its seed. */
export interface WorkloadShape {
  readonly geometry: Geometry;
  readonly window: Pick<WindowOptions, "windowSize" | "slideAfterRepeats">;
  readonly operations: Omit<BlockSelectorOptions, "run">;
  readonly control: Omit<ControlOptions, "run" | "sizes">;
  /** How the volumes grow to the geometry; complete from the start if left out. */
  readonly growth?: GrowthOptions;
  /** Reads beside the operations; none if left out. */
  readonly reads?: ReadOptions;
  readonly content: Omit<ContentOptions, "seed">;
}

export class Workload implements History {
  readonly geometry: Geometry;
  readonly window: ExtentWindow;
  readonly sizes: SizeSchedule;
  readonly control: ControlSchedule;
  readonly run: RunKernel;
  readonly #blocks: BlockSelector;
  readonly #clones: CloneSelector;
  readonly #reads: ReadSelector;

  /** @param seed - 64 bits; mixed first, so that near seeds give histories that have nothing in common. */
  constructor(kernel: Kernel, seed: bigint, shape: WorkloadShape) {
    const { geometry } = shape;
    const run = new RunKernel(kernel, contentFormat({ ...shape.content, seed: mix(seed) }));
    const window = new ExtentWindow({ ...shape.window, seed: mix(seed), extentCount: geometry.extentCount });
    const sizes = new SizeSchedule(geometry, shape.growth);
    const operations = { ...shape.operations, run };
    this.geometry = geometry;
    this.run = run;
    this.window = window;
    this.sizes = sizes;
    this.control = new ControlSchedule({ ...shape.control, run, sizes });
    this.#blocks = new BlockSelector(operations);
    this.#clones = new CloneSelector({ operations, geometry, window, sizes });
    this.#reads = new ReadSelector({ reads: shape.reads ?? {}, operations, window, sizes });
  }

  visit(lts: number): Visit {
    const extent = this.geometry.extent(this.window.pd(lts));
    const operations = this.sizes.hasExtent(extent, lts)
      ? this.#blocks.operations(lts, extent.blockCount)
      : [];
    return { lts, extent, operations };
  }

  /** The operation of an lts that names a block, counted from the start of the lts's extent; if any does. */
  operationOn(lts: number, block: number): Operation | undefined {
    const extent = this.geometry.extent(this.window.pd(lts));
    if (!this.sizes.hasExtent(extent, lts)) return undefined;
    return this.#blocks.operationOn(lts, block, extent.blockCount);
  }

  /** The operation at a position, of either sign, with its extent; absent if the history has none there. */
  operationOf(position: number): { readonly extent: Extent; readonly operation: Operation } | undefined {
    const { lts, operationId } = operationAt(position);
    const { extent, operations } = this.visit(lts);
    const operation = operations.find((one) => one.operationId === operationId);
    return operation === undefined ? undefined : { extent, operation };
  }

  /**
   * One of the extents reached by an lts, drawn anew for each lts and number; one that exists in its stead, if it
   * was reached before it existed.
   */
  sampleExtent(lts: number, number: number): Extent {
    const index = this.run.draw(lts + 1, purposes.sampleExtent, number, this.window.reachedCount(lts));
    return this.sizes.existingExtent(this.window.reachedPd(index), lts);
  }

  /** Reads to be in flight together with the operations of an lts. */
  readsAt(lts: number): readonly Read[] {
    return this.#reads.readsAt(lts);
  }

  /** Whether the blocks of an operation are read just before it. */
  preRead(lts: number, operationId: number): boolean {
    return this.#reads.preRead(lts, operationId);
  }

  /** What is written to a clone of a snapshot that was taken after `snapshotLts`: up to four extents of it. */
  cloneVisits(clone: number, snapshotLts: number): readonly CloneVisit[] {
    return this.#clones.visits(clone, snapshotLts);
  }

  /** The volume whose number the clone's own content carries; see {@link CloneVisit}. */
  cloneVolume(clone: number): number {
    return this.#clones.volume(clone);
  }
}
