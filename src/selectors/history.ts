/**
 * A history: what is done at each lts, and after it. Drawn from a seed (`workload.ts`), or written by hand
 * (`written-history.ts`); model and runner do not ask which.
 *
 * Everything is a pure function of the lts. Asking about an lts that is not reached yet is fine.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import type { CloneVisit } from "./clone-selector.ts";
import type { ControlStep } from "./control-schedule.ts";
import type { Extent, Geometry } from "./geometry.ts";
import { effectOf, type Operation, positionOf } from "./operations.ts";
import type { Read } from "./read-selector.ts";

/** All that happens at one lts. */
export interface Visit {
  readonly lts: number;
  readonly extent: Extent;
  /** None if the extent does not exist yet. */
  readonly operations: readonly Operation[];
}

export interface History {
  readonly geometry: Geometry;
  /** Seed and format of the content, and the kernels that know them. */
  readonly run: RunKernel;
  readonly window: VisitOrder;
  readonly sizes: Sizes;
  readonly control: Control;
  visit(lts: number): Visit;
  /** The operation of an lts that names a block, counted from the start of the lts's extent; if any does. */
  operationOn(lts: number, block: number): Operation | undefined;
  /** The operation at a position, of either sign, with its extent; absent if the history has none there. */
  operationOf(position: number): { readonly extent: Extent; readonly operation: Operation } | undefined;
  /** One of the extents reached by an lts, drawn anew for each lts and number. */
  sampleExtent(lts: number, number: number): Extent;
  /** Reads to be in flight together with the operations of an lts. */
  readsAt(lts: number): readonly Read[];
  /** Whether the blocks of an operation are read just before it. */
  preRead(lts: number, operationId: number): boolean;
  /** What is written to a clone of a snapshot that was taken after `snapshotLts`. */
  cloneVisits(clone: number, snapshotLts: number): readonly CloneVisit[];
  /** The volume whose number the clone's own content carries; see {@link CloneVisit}. */
  cloneVolume(clone: number): number;
}

/** Which extent is visited when. */
export interface VisitOrder {
  pd(lts: number): number;
  /** First visit of an extent. */
  firstLts(pd: number): number;
  /** Last visit of an extent at or before an lts, which may be −1; `undefined` if there was none yet. */
  lastLts(pd: number, ltsMax: number): number | undefined;
  /** The visit after this one of the same extent; infinite if there is none. */
  nextLts(lts: number): number;
  prevLts(lts: number): number | undefined;
  /** How many different extents the visits 0 to lts have reached; 0 for a negative lts. */
  reachedCount(lts: number): number;
  /** The extent that was reached as number `index`, from 0. */
  reachedPd(index: number): number;
}

/** How large the volumes are. */
export interface Sizes {
  /** Resizes that come before the visit of an lts. */
  stepCountAt(lts: number): number;
  blockCountAt(volume: number, lts: number): number;
  hasExtent(extent: Extent, lts: number): boolean;
}

interface Control {
  /** What the control plane is asked, and what befalls the target, after an lts, in order. */
  stepsAfter(lts: number): readonly ControlStep[];
}

/** Positions of the changes that were begun, or may have been, when nobody was there any more to see them end. */
export function* openChanges(
  history: Pick<History, "visit">,
  { ltsComplete, ltsReserved }: { readonly ltsComplete: number; readonly ltsReserved: number },
): Generator<number> {
  for (let lts = ltsComplete + 1; lts <= ltsReserved; lts++)
    for (const { kind, operationId } of history.visit(lts).operations)
      if (effectOf(kind) !== "none") yield positionOf(lts, operationId);
}
