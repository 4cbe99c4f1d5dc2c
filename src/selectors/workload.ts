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
import { type ControlOptions, ControlSchedule } from "./control-schedule.ts";
import { ExtentWindow, type WindowOptions } from "./extent-window.ts";
import type { Extent, Geometry } from "./geometry.ts";
import type { Operation } from "./operations.ts";

/** What a workload is made from, beside its seed. */
export interface WorkloadShape {
  readonly geometry: Geometry;
  readonly window: Pick<WindowOptions, "windowSize" | "slideAfterRepeats">;
  readonly operations: Omit<BlockSelectorOptions, "run">;
  readonly control: Omit<ControlOptions, "run">;
  readonly content: Omit<ContentOptions, "seed">;
}

/** All that happens at one lts. */
export interface Visit {
  readonly lts: number;
  readonly extent: Extent;
  readonly operations: readonly Operation[];
}

export class Workload {
  readonly geometry: Geometry;
  readonly window: ExtentWindow;
  readonly control: ControlSchedule;
  readonly run: RunKernel;
  readonly #blocks: BlockSelector;

  /** @param seed - 64 bits; mixed first, so that near seeds give histories that have nothing in common. */
  constructor(kernel: Kernel, seed: bigint, shape: WorkloadShape) {
    const { geometry } = shape;
    this.geometry = geometry;
    this.run = new RunKernel(kernel, contentFormat({ ...shape.content, seed: mix(seed) }));
    this.window = new ExtentWindow({ ...shape.window, seed: mix(seed), extentCount: geometry.extentCount });
    this.#blocks = new BlockSelector({ ...shape.operations, run: this.run });
    this.control = new ControlSchedule({ ...shape.control, run: this.run });
  }

  visit(lts: number): Visit {
    const extent = this.geometry.extent(this.window.pd(lts));
    return { lts, extent, operations: this.#blocks.operations(lts, extent.blockCount) };
  }

  /** The operation of an lts that touches a block, counted from the start of the lts's extent; if any does. */
  operationOn(lts: number, block: number): Operation | undefined {
    const extent = this.geometry.extent(this.window.pd(lts));
    return this.#blocks.operationOn(lts, block, extent.blockCount);
  }

  /** One of the extents reached by an lts, drawn anew for each lts and number. */
  sampleExtent(lts: number, number: number): Extent {
    const index = this.run.draw(lts + 1, purposes.sampleExtent, number, this.window.reachedCount(lts));
    return this.geometry.extent(this.window.reachedPd(index));
  }
}
