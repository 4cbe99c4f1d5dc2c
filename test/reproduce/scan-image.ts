/**
 * Images of volumes that a history was performed on, to be damaged and scanned.
 *
 * @packageDocumentation
 */
import { type ContentFormat, contentFormat, inflateBlock } from "../../src/generators/content.ts";
import { Kernel } from "../../src/generators/kernel.ts";
import { mix } from "../../src/generators/mix.ts";
import { rng } from "../../src/generators/pcg.ts";
import { valueStream } from "../../src/generators/streams.ts";
import { surveyorBytes, type ReadableDevice } from "../../src/reproduce/scan/survey.ts";
import { type ScanOptions, type ScanReport, scan } from "../../src/reproduce/scan/scan.ts";
import { effectOf, positionOf } from "../../src/selectors/operations.ts";
import { Workload, type WorkloadShape } from "../../src/selectors/workload.ts";
import { ok, type Outcome } from "../../src/sut/port.ts";

export const workloadOf = (seed: bigint, shape: WorkloadShape): Workload =>
  new Workload(new Kernel({ memoryBytes: surveyorBytes + 2 ** 20 }), seed, shape);

/** Content as a run of another seed writes it. */
export const otherFormat = (seed: bigint, { content }: WorkloadShape) =>
  contentFormat({ ...content, seed: mix(seed) });

/** A volume in a buffer, as the visits up to an lts leave it. */
export class Image implements ReadableDevice {
  readonly identity = { name: "image", uuid: undefined, nsid: undefined };
  readonly capabilities: ReadableDevice["capabilities"];
  readonly bytes: Uint8Array;
  readonly workload: Workload;
  readonly volume: number;
  /** States that each block has been in, the newest first, 0 last. */
  readonly versions: readonly number[][];
  /** What reading a block comes to, in place of its bytes. */
  readonly outcomes = new Map<number, Outcome>();
  blockCount: number;

  constructor(workload: Workload, ltsMax: number, volume = 0) {
    const { blockSizeBytes, volumeBlocks } = workload.geometry;
    this.workload = workload;
    this.volume = volume;
    this.blockCount = volumeBlocks[volume]!;
    this.capabilities = { blockSizeBytes, deallocatedReads: "zeros" } as ReadableDevice["capabilities"];
    this.bytes = new Uint8Array(this.blockCount * blockSizeBytes);
    this.versions = Array.from({ length: this.blockCount }, () => [0]);
    for (let lts = 0; lts <= ltsMax; lts++) {
      const { extent, operations } = workload.visit(lts);
      if (extent.volume !== volume) continue;
      for (const { kind, operationId, firstBlock, blockCount } of operations) {
        const effect = effectOf(kind);
        if (effect === "none") continue;
        const position = positionOf(lts, operationId);
        for (let block = firstBlock; block < firstBlock + blockCount; block++)
          this.versions[extent.firstBlock + block]!.unshift(effect === "data" ? position : -position);
      }
    }
    for (const [block, [state]] of this.versions.entries()) this.put(block, state!);
  }

  due(block: number): number {
    return this.versions[block]![0]!;
  }

  /** Puts a state of a block in its place, or in another's. */
  put(block: number, state: number, of = block, volume = this.volume): void {
    this.of(block).set(this.contentOf(of, state, volume));
  }

  contentOf(
    block: number,
    state: number,
    volume = this.volume,
    { format }: { readonly format: ContentFormat } = this.workload.run,
  ): Uint8Array {
    const { blockSizeBytes, sectorsPerBlock: sectorCount } = this.workload.geometry;
    if (state <= 0) return new Uint8Array(blockSizeBytes);
    const vd = rng(format.seed, BigInt(state), valueStream(volume, block));
    return inflateBlock(format, { vd, volume, block, sectorCount });
  }

  of(block: number): Uint8Array {
    const { blockSizeBytes } = this.workload.geometry;
    return this.bytes.subarray(block * blockSizeBytes, (block + 1) * blockSizeBytes);
  }

  read({
    block,
    blockCount,
    into,
  }: {
    block: number;
    blockCount: number;
    into: Uint8Array;
  }): Promise<Outcome> {
    for (let index = 0; index < blockCount; index++) {
      const outcome = this.outcomes.get(block + index);
      if (outcome !== undefined) return Promise.resolve(outcome);
    }
    const { blockSizeBytes } = this.workload.geometry;
    into.set(this.bytes.subarray(block * blockSizeBytes, (block + blockCount) * blockSizeBytes));
    return Promise.resolve(ok);
  }

  scan(options: Partial<ScanOptions> = {}): Promise<ScanReport> {
    return scan({
      device: this,
      history: this.workload,
      depth: 1,
      limit: 10_000,
      signal: new AbortController().signal,
      ...options,
    });
  }
}
