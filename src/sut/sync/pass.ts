/**
 * One pass over what a diff reports: work on each run of blocks, several at a time, with buffers to do it in.
 *
 * @packageDocumentation
 */
import { pageAligned } from "../block/aligned-memory.ts";
import type { BlockDevice, BlockRange, VolumeService } from "../port.ts";
import { type Batch, batchesOf } from "./batches.ts";
import { type DiffCounts, diffRuns } from "./diff-runs.ts";
import { inLanes } from "./lanes.ts";

/** Longest transfer: its fixed cost does not count, and the caches hold it. */
const transferBytes = 2 ** 20;

export interface PassOptions {
  readonly service: VolumeService;
  readonly snapshotUuid: string;
  readonly baseSnapshotUuid?: string;
  /** The snapshot, for its size. */
  readonly from: Pick<BlockDevice, "blockCount" | "capabilities">;
  readonly firstBlock: number;
  readonly laneCount: number;
  readonly signal: AbortSignal;
}

export interface PassWork {
  /** Buffers that each run is given, as long as it is. */
  readonly bufferCount: number;
  readonly work: (run: BlockRange, buffers: readonly Uint8Array[], signal: AbortSignal) => Promise<void>;
  /** Called when some runs are done. */
  readonly onDone: () => Promise<void> | undefined;
}

export class Pass {
  readonly counts: DiffCounts = { pages: 0, ranges: 0 };
  /** Of the runs that are done. */
  bytes = 0;
  readonly #options: PassOptions;
  /** First blocks of what is being worked on. */
  readonly #underWay = new Set<number>();
  /** End of what was ever begun. */
  #begun: number;

  constructor(options: PassOptions) {
    this.#options = options;
    this.#begun = options.firstBlock;
  }

  /** Below this block the work is done. */
  get doneTo(): number {
    return Math.min(this.#begun, ...this.#underWay);
  }

  /** @throws {unknown} The first failure, or the signal's reason; no work is under way any more then. */
  async run({ bufferCount, work, onDone }: PassWork): Promise<void> {
    const { from, laneCount, signal } = this.#options;
    const { blockSizeBytes } = from.capabilities;
    const memory = pageAligned(laneCount * bufferCount * transferBytes);
    await inLanes<Batch>({
      items: (stopped) => this.#batches(stopped),
      laneCount,
      signal,
      work: async ({ runs, blockCount }, lane, { signal: stopped, fail }) => {
        let at = lane * bufferCount * transferBytes;
        const working = runs.map((run) => {
          const lengthBytes = run.blockCount * blockSizeBytes;
          const buffers = Array.from({ length: bufferCount }, (_, index) => {
            const start = at + index * transferBytes;
            return memory.subarray(start, start + lengthBytes);
          });
          at += lengthBytes;
          return work(run, buffers, stopped).catch(fail);
        });
        // The buffers are in use until the last of them has settled.
        await Promise.all(working);
        if (stopped.aborted) return;
        this.#underWay.delete(runs[0]!.block);
        this.bytes += blockCount * blockSizeBytes;
        await onDone();
      },
    });
  }

  async *#batches(signal: AbortSignal): AsyncGenerator<Batch, void, undefined> {
    const { service, snapshotUuid, baseSnapshotUuid, from, firstBlock } = this.#options;
    const { blockCount, capabilities } = from;
    if (firstBlock >= blockCount) return;
    const runBlocksMax = transferBytes / capabilities.blockSizeBytes;
    const { chunkBlocks } = service.diffCapabilities;
    const pages = service.diff(
      {
        snapshotUuid,
        ...(baseSnapshotUuid === undefined ? {} : { baseSnapshotUuid }),
        // Services round an offset down, or should: none is asked to.
        ...(firstBlock < chunkBlocks ? {} : { offsetLba: firstBlock - (firstBlock % chunkBlocks) }),
      },
      { signal },
    );
    const runs = diffRuns(pages, { firstBlock, blockCount, runBlocksMax }, this.counts);
    for await (const batch of batchesOf(runs, runBlocksMax)) {
      const last = batch.runs.at(-1)!;
      this.#underWay.add(batch.runs[0]!.block);
      this.#begun = last.block + last.blockCount;
      yield batch;
    }
    this.#begun = blockCount;
  }
}
