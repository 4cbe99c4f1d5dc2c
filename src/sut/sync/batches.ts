/**
 * Runs of blocks in batches: as much as one buffer holds, so that many short runs are under way together.
 *
 * @packageDocumentation
 */
import type { BlockRange } from "../port.ts";

/** Runs of one batch: what is in flight stays bounded however short they are. */
const runCountMax = 32;

export interface Batch {
  /** Ascending; together at most as many blocks as a buffer has. */
  readonly runs: readonly BlockRange[];
  readonly blockCount: number;
}

/** @param runs - Each at most as long as a batch. */
export async function* batchesOf(
  runs: AsyncIterable<BlockRange>,
  blockCountMax: number,
): AsyncGenerator<Batch, void, undefined> {
  let batch: BlockRange[] = [];
  let blockCount = 0;
  for await (const run of runs) {
    if (blockCount + run.blockCount > blockCountMax || batch.length === runCountMax) {
      yield { runs: batch, blockCount };
      [batch, blockCount] = [[], 0];
    }
    batch.push(run);
    blockCount += run.blockCount;
  }
  if (batch.length > 0) yield { runs: batch, blockCount };
}
