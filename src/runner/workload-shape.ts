/**
 * From a configuration to the workload that it describes, and how much of it is in flight together.
 *
 * @packageDocumentation
 */
import { chunkBlocks } from "../generators/keys.ts";
import { Geometry } from "../selectors/geometry.ts";
import type { WorkloadShape } from "../selectors/workload.ts";
import type { Config } from "./config/schema.ts";

/** The transfer limit of most targets, at which requests are split. */
const transferBytes = 128 * 1024;

export function workloadShape(config: Config): WorkloadShape {
  const { volumes, volumeSize, blockSize, extentSize } = config.geometry;
  const geometry = new Geometry({
    blockSizeBytes: blockSize,
    volumeBlocks: Array.from({ length: volumes }, () => volumeSize / blockSize),
    extentBlocks: extentSize / blockSize,
  });
  const { operations, snapshots, faults, reads } = config;
  return {
    geometry,
    window: { windowSize: config.window.size, slideAfterRepeats: config.window.slideAfterRepeats },
    operations: {
      batches: operations.batches,
      operationsPerBatch: operations.perBatch,
      blocksPerOperation: operations.blocks,
      compareAndWriteBlocksMax: operations.compareAndWriteBlocksMax,
      weights: operations.weights,
      edgeBlocks: [chunkBlocks, transferBytes / blockSize],
    },
    control: {
      every: snapshots.every,
      keep: snapshots.keep,
      far: snapshots.far,
      withoutBase: snapshots.withoutBase,
      deletedBase: snapshots.deletedBase,
      hot: snapshots.hot,
      clones: snapshots.clones,
      rollback: snapshots.rollback,
      syncEvery: snapshots.syncEvery,
      faults: defined(faults),
    },
    reads,
    ...(config.geometry.growth === undefined ? {} : { growth: config.geometry.growth }),
    content: config.content,
  };
}

/** Most lts in flight together, over all stages. */
export function depthOf({ runner }: Config): number {
  const stages = runner.stages ?? [runner];
  return Math.max(...stages.map(({ kind, depth }) => (kind === "sequential" ? 1 : depth)));
}

/** An object without what is undefined in it. */
function defined<Value extends object>(value: Value): { [K in keyof Value]: Exclude<Value[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as {
    [K in keyof Value]: Exclude<Value[K], undefined>;
  };
}
