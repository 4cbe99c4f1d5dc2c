/**
 * The content of the suite's blocks: how to write it, and how to recognise it.
 *
 * @packageDocumentation
 */
import { contentFormat } from "../../generators/content.ts";
import { type Region as Buffer, Kernel, RunKernel } from "../../generators/kernel.ts";
import { mix } from "../../generators/mix.ts";
import { readEvidence } from "../../model/block-evidence.ts";
import type { FaultClass } from "../../model/violation.ts";
import type { BlockRange } from "../../sut/port.ts";
import type { BlockVersions } from "./block-versions.ts";

/** Bytes of one transfer. */
export const transferBytes = 2 ** 20;
/** Transfers in flight together. */
const transfersInFlight = 8;
/** Number of the volume that the content carries. */
const contentVolume = 0;

/** A block that does not hold its version. */
export interface WrongBlock {
  readonly block: number;
  readonly class: FaultClass;
  readonly text: string;
}

export class Content {
  /** One for each transfer in flight. */
  readonly buffers: readonly Buffer[];
  readonly blockSizeBytes: number;
  readonly #run: RunKernel;
  readonly #positions: { readonly address: number; readonly values: Float64Array };
  readonly #verdicts: Buffer;

  constructor({ seed, blockSizeBytes }: { readonly seed: bigint; readonly blockSizeBytes: number }) {
    const blocks = transferBytes / blockSizeBytes;
    const kernel = new Kernel({ memoryBytes: (transfersInFlight + 4) * transferBytes });
    this.blockSizeBytes = blockSizeBytes;
    this.buffers = Array.from({ length: transfersInFlight }, () => kernel.allocate(transferBytes));
    this.#positions = kernel.allocateFloat64(blocks);
    this.#verdicts = kernel.allocate(blocks);
    const weights = { incompressible: 1, compressible: 0, text: 0 };
    this.#run = new RunKernel(
      kernel,
      contentFormat({ seed: mix(seed), order: "ascending", weights, compressionRatio: 1 }),
    );
  }

  /** Fills a buffer with the content of blocks at a version. */
  inflate({ block, blockCount }: BlockRange, into: Buffer, version: number): void {
    this.#run.inflate(this.#at({ block, blockCount }), into.address, version);
  }

  /** The first block of a buffer that does not hold its version; of which nobody knows it, is passed over. */
  firstWrong(range: BlockRange, from: Buffer, versions: BlockVersions): WrongBlock | undefined {
    const { block, blockCount } = range;
    const expected = this.#positions.values.subarray(0, blockCount);
    versions.read(block, expected);
    const wrong = this.#run.verify(
      this.#at(range),
      from.address,
      this.#positions.address,
      this.#verdicts.address,
    );
    if (wrong === 0) return undefined;
    for (let index = 0; index < blockCount; index++) {
      if (this.#verdicts.bytes[index] === 0 || Number.isNaN(expected[index])) continue;
      const bytes = from.bytes.subarray(index * this.blockSizeBytes, (index + 1) * this.blockSizeBytes);
      return this.#named(block + index, expected[index]!, bytes);
    }
    return undefined;
  }

  #at({ block, blockCount }: BlockRange) {
    return { volume: contentVolume, block, blockCount, sectorCount: this.blockSizeBytes / 512 };
  }

  #named(block: number, expected: number, bytes: Uint8Array): WrongBlock {
    const evidence = readEvidence(this.#run.format, bytes);
    const first = evidence.find(({ kind }) => kind !== "zeros") ?? evidence[0];
    const should = expected > 0 ? `what write ${expected} put there` : "zeros";
    const is = (name: FaultClass, what: string): WrongBlock => ({
      block,
      class: name,
      text: `block ${block} should hold ${should}, and holds ${what}`,
    });
    switch (first?.kind) {
      case "zeros":
        return is("zeroed", "zeros");
      case "ours":
        if (first.source.address.block !== block)
          return is("misdirected", `what belongs to block ${first.source.address.block}`);
        return first.differingBits > 0
          ? is("bit-flip", `data of its own with ${first.differingBits} wrong bits in a sector`)
          : is("stale", "what another write put there");
      case "foreign":
        return is("foreign", "another run's data");
      default:
        return is("garbage", "something that harrow has not written");
    }
  }
}
