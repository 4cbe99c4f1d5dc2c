/**
 * A history that was written, not drawn: its visits and steps are given, and kept in memory.
 *
 * A visit without operations is one at which nothing is done to its extent: it carries reads, or what follows it.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import { volumeCountMax } from "../generators/streams.ts";
import type { BlockSpan } from "./block-selector.ts";
import { type CloneVisit, cloneVisitsMax } from "./clone-selector.ts";
import type { ControlStep } from "./control-schedule.ts";
import type { Extent, Geometry } from "./geometry.ts";
import type { History, Sizes, Visit, VisitOrder } from "./history.ts";
import { type Operation, operationAt } from "./operations.ts";
import type { Read } from "./read-selector.ts";

/** What is done at an lts. The place in the list of visits is the lts. */
export interface WrittenVisit {
  /** Number of the extent. */
  readonly pd: number;
  /** By operation number; disjoint but for flushes. */
  readonly operations: readonly Operation[];
  /** In flight together with the operations. */
  readonly reads?: readonly WrittenRead[];
  /** What follows it. */
  readonly steps?: readonly ControlStep[];
}

/** A read beside the operations. */
export interface WrittenRead extends BlockSpan {
  /** Number of its extent; left out for that of the visit. */
  readonly pd?: number;
}

/** What is written to a clone, by extent. */
export interface WrittenCloneVisit {
  readonly pd: number;
  readonly operations: readonly Operation[];
}

export interface WrittenHistoryOptions {
  readonly run: RunKernel;
  readonly geometry: Geometry;
  readonly visits: readonly WrittenVisit[];
  /** By number of the clone, as its steps have it; at most four extents each. */
  readonly clones?: ReadonlyMap<number, readonly WrittenCloneVisit[]>;
  /** Extents that each volume has at first; all of them if left out. Steps of kind `resize` make more. */
  readonly startExtents?: readonly number[];
}

export class WrittenHistory implements History {
  readonly run: RunKernel;
  readonly geometry: Geometry;
  readonly window: VisitOrder;
  readonly sizes: Sizes;
  readonly control: { readonly stepsAfter: (lts: number) => readonly ControlStep[] };
  readonly #visits: readonly WrittenVisit[];
  readonly #clones: ReadonlyMap<number, readonly WrittenCloneVisit[]>;

  /** @throws {RangeError} If a visit or a read is to an extent that the geometry has not. */
  constructor({ run, geometry, visits, clones = new Map(), startExtents }: WrittenHistoryOptions) {
    const expectExtent = (pd: number, what: string): void => {
      if (pd >= 0 && pd < geometry.extentCount) return;
      throw new RangeError(
        `${what} extent ${pd}: expected 0 to ${geometry.extentCount - 1}, the extents of the geometry`,
      );
    };
    for (const [lts, { pd, reads = [] }] of visits.entries()) {
      expectExtent(pd, `lts ${lts} visits`);
      for (const read of reads) expectExtent(read.pd ?? pd, `lts ${lts} reads`);
    }
    this.run = run;
    this.geometry = geometry;
    this.#visits = visits;
    this.#clones = clones;
    this.window = new WrittenOrder(visits);
    this.sizes = new WrittenSizes(geometry, visits, startExtents);
    this.control = { stepsAfter: (lts) => visits[lts]?.steps ?? [] };
  }

  /** How many lts there are. */
  get ltsCount(): number {
    return this.#visits.length;
  }

  visit(lts: number): Visit {
    const extent = this.geometry.extent(this.window.pd(lts));
    return { lts, extent, operations: this.#visits[lts]?.operations ?? [] };
  }

  operationOn(lts: number, block: number): Operation | undefined {
    return this.#visits[lts]?.operations.find(
      ({ firstBlock, blockCount }) => block >= firstBlock && block < firstBlock + blockCount,
    );
  }

  operationOf(position: number): { readonly extent: Extent; readonly operation: Operation } | undefined {
    const { lts, operationId } = operationAt(position);
    const { extent, operations } = this.visit(lts);
    const operation = operations.find((one) => one.operationId === operationId);
    return operation === undefined ? undefined : { extent, operation };
  }

  sampleExtent(lts: number, number: number): Extent {
    const reached = this.window.reachedCount(lts);
    return this.geometry.extent(this.window.reachedPd(number % Math.max(1, reached)));
  }

  readsAt(lts: number): readonly Read[] {
    const visit = this.#visits[lts];
    if (visit?.reads === undefined) return [];
    return visit.reads.map(({ pd = visit.pd, firstBlock, blockCount }) => ({
      ...{ extent: this.geometry.extent(pd), firstBlock, blockCount },
    }));
  }

  preRead(): boolean {
    return false;
  }

  cloneVisits(clone: number): readonly CloneVisit[] {
    const visits = this.#clones.get(clone) ?? [];
    return visits.slice(0, cloneVisitsMax).map(({ pd, operations }, place) => ({
      extent: this.geometry.extent(pd),
      operations,
      lts: clone * cloneVisitsMax + place,
    }));
  }

  cloneVolume(clone: number): number {
    const volumeCount = this.geometry.volumeBlocks.length;
    return volumeCount + (clone % (volumeCountMax - volumeCount));
  }
}

/** Visits by extent. */
class WrittenOrder implements VisitOrder {
  readonly #pds: readonly number[];
  /** Ascending. */
  readonly #ltsOf = new Map<number, number[]>();
  /** Visits before of the same extents, by lts: chains of them are followed often. */
  readonly #prevs: (number | undefined)[] = [];
  readonly #reached: number[] = [];
  /** How many extents had been reached, by lts. */
  readonly #reachedCounts: number[] = [];

  constructor(visits: readonly WrittenVisit[]) {
    this.#pds = visits.map(({ pd }) => pd);
    for (const [lts, pd] of this.#pds.entries()) {
      const all = this.#ltsOf.get(pd);
      this.#prevs.push(all?.at(-1));
      if (all === undefined) {
        this.#ltsOf.set(pd, [lts]);
        this.#reached.push(pd);
      } else all.push(lts);
      this.#reachedCounts.push(this.#reached.length);
    }
  }

  /** Beyond its end a history goes on with the extent that it began with. */
  pd(lts: number): number {
    return this.#pds[lts] ?? this.#pds[0] ?? 0;
  }

  firstLts(pd: number): number {
    return this.#ltsOf.get(pd)?.[0] ?? Number.POSITIVE_INFINITY;
  }

  lastLts(pd: number, ltsMax: number): number | undefined {
    return this.#ltsOf.get(pd)?.findLast((lts) => lts <= ltsMax);
  }

  nextLts(lts: number): number {
    return this.#ltsOf.get(this.pd(lts))?.find((other) => other > lts) ?? Number.POSITIVE_INFINITY;
  }

  prevLts(lts: number): number | undefined {
    if (lts < this.#pds.length) return this.#prevs[lts];
    return this.#ltsOf.get(this.pd(lts))?.at(-1);
  }

  reachedCount(lts: number): number {
    return lts < 0 ? 0 : (this.#reachedCounts[lts] ?? this.#reached.length);
  }

  reachedPd(index: number): number {
    return this.#reached[index]!;
  }
}

/** Sizes as the resizes among the steps leave them. */
class WrittenSizes implements Sizes {
  readonly #startBlocks: readonly number[];
  /** Ascending by the lts that each follows. */
  readonly #resizes: { readonly afterLts: number; readonly blockCounts: readonly number[] }[] = [];

  constructor(
    { volumeBlocks, extentBlocks }: Geometry,
    visits: readonly WrittenVisit[],
    startExtents: readonly number[] | undefined,
  ) {
    this.#startBlocks = volumeBlocks.map((blocks, volume) =>
      Math.min(blocks, (startExtents?.[volume] ?? Number.POSITIVE_INFINITY) * extentBlocks),
    );
    for (const [afterLts, { steps = [] }] of visits.entries())
      for (const step of steps)
        if (step.kind === "resize") this.#resizes.push({ afterLts, blockCounts: step.blockCounts });
  }

  stepCountAt(lts: number): number {
    return this.#resizes.filter(({ afterLts }) => afterLts < lts).length;
  }

  blockCountAt(volume: number, lts: number): number {
    const count = this.stepCountAt(lts);
    return count === 0 ? this.#startBlocks[volume]! : this.#resizes[count - 1]!.blockCounts[volume]!;
  }

  hasExtent({ volume, firstBlock }: Extent, lts: number): boolean {
    return firstBlock < this.blockCountAt(volume, lts);
  }
}
