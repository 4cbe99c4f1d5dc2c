/**
 * Small workloads for tests: few blocks, so that each has many versions soon.
 *
 * @packageDocumentation
 */
import { Kernel } from "../../src/generators/kernel.ts";
import { SnapshotCall } from "../../src/model/snapshot-call.ts";
import type { SnapshotRecord } from "../../src/model/snapshot-record.ts";
import type { Tracker } from "../../src/model/tracker.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { effectOf, type Operation, positionOf } from "../../src/selectors/operations.ts";
import { Workload, type WorkloadShape } from "../../src/selectors/workload.ts";

export const smallShape: WorkloadShape = {
  geometry: new Geometry({ blockSizeBytes: 4096, volumeBlocks: [5 * 128 + 40], extentBlocks: 128 }),
  window: { windowSize: 3, slideAfterRepeats: 4 },
  operations: {
    batches: { min: 1, max: 2 },
    operationsPerBatch: { min: 1, max: 3 },
    blocksPerOperation: { min: 1, max: 40 },
    weights: {
      write: 10,
      writeFua: 1,
      writeZeroes: 2,
      deallocate: 2,
      deallocateTail: 1,
      deallocateExtent: 1,
      flush: 1,
    },
    edgeBlocks: [64, 32],
  },
  control: {
    every: 20,
    keep: 3,
    far: { numerator: 1, denominator: 2 },
    withoutBase: { numerator: 1, denominator: 2 },
    deletedBase: { numerator: 1, denominator: 2 },
  },
  content: {
    order: "ascending",
    weights: { incompressible: 2, compressible: 1, text: 1 },
    compressionRatio: 2,
  },
};

export const smallWorkload = (seed: bigint, shape: WorkloadShape = smallShape): Workload =>
  new Workload(new Kernel({ memoryBytes: 4 * 2 ** 20 }), seed, shape);

/** What each block of a volume holds after each lts, by doing what the visits say: the oracle of the reconciler. */
export class Replay {
  readonly states: Float64Array;
  readonly #workload: Workload;
  #next = 0;

  constructor(workload: Workload) {
    this.#workload = workload;
    this.states = new Float64Array(workload.geometry.volumeBlocks[0]!);
  }

  /** Performs the visits up to an lts; those that `skip` names leave no trace. */
  upTo(ltsMax: number, skip: (position: number, operation: Operation) => boolean = () => false): this {
    for (; this.#next <= ltsMax; this.#next++) {
      const { extent, operations } = this.#workload.visit(this.#next);
      for (const operation of operations) {
        const position = positionOf(this.#next, operation.operationId);
        const effect = effectOf(operation.kind);
        if (effect === "none" || skip(position, operation)) continue;
        const first = extent.firstBlock + operation.firstBlock;
        this.states.fill(effect === "data" ? position : -position, first, first + operation.blockCount);
      }
    }
    return this;
  }
}

/** Tells a tracker that all visits up to an lts went well, but for the outcomes given; what is in doubt is fenced. */
export function completeAll(
  tracker: Tracker,
  workload: Workload,
  ltsMax: number,
  outcomes: ReadonlyMap<number, "failed" | "unknown"> = new Map(),
): void {
  for (let lts = tracker.ltsCompleteMax + 1; lts <= ltsMax; lts++) {
    tracker.beginLts(lts);
    for (const { operationId } of workload.visit(lts).operations) {
      const position = positionOf(lts, operationId);
      tracker.submit(position);
      const outcome = outcomes.get(position) ?? "ok";
      tracker.complete(position, outcome);
      if (outcome === "unknown") tracker.fence(position);
    }
    tracker.endLts(lts);
  }
}

/** A snapshot of volume 0, taken while nothing is under way. */
export function coldSnapshot(tracker: Tracker, snapshot: number): SnapshotRecord {
  const about = { snapshot, volume: 0, name: `s${snapshot}`, lts: tracker.ltsCompleteMax };
  const record = new SnapshotCall(tracker).completed(about);
  tracker.addSnapshot(record);
  return record;
}
