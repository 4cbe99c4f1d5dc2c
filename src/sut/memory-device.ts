/**
 * A block device over a namespace of a thin-volume store in this process.
 *
 * Every call takes effect as one step, before it returns; its promise settles in a later microtask. So nothing
 * is ever torn, reordered or lost, and there is no volatile cache: this is the device that tests of checkers
 * start from, and `faults.ts` spoils.
 *
 * @packageDocumentation
 */
import {
  type BlockDevice,
  type BlockRange,
  type CallOptions,
  type DeviceCapabilities,
  type DeviceIdentity,
  type Outcome,
  type OutcomeCode,
  ok,
} from "./port.ts";
import { type Namespace, StoreError } from "./store/port.ts";

/** Longest request, as in NVMe's 16-bit block count. */
const transferBlocksMax = 65536;
/** Ranges of one Dataset Management command. */
const rangeCountMax = 256;

export class MemoryDevice implements BlockDevice {
  readonly identity: DeviceIdentity;
  readonly capabilities: DeviceCapabilities;
  readonly #namespace: Namespace;
  readonly #dispose: () => Promise<void>;
  #disposed: Promise<void> | undefined;

  /** @param options.dispose - Called once, when the device is disposed. */
  constructor(options: {
    readonly namespace: Namespace;
    readonly name: string;
    readonly dispose: () => Promise<void>;
  }) {
    const { namespace, name, dispose } = options;
    this.#namespace = namespace;
    this.#dispose = dispose;
    this.identity = { name, uuid: namespace.uuid, nsid: namespace.nsid };
    this.capabilities = {
      blockSizeBytes: namespace.blockSizeBytes,
      transferBlocksMax,
      atomicWriteBlocks: transferBlocksMax,
      atomicWriteBlocksPowerFail: transferBlocksMax,
      volatileWriteCache: false,
      deallocatedReads: "zeros",
      writeZeroes: true,
      deallocate: true,
      compare: true,
      compareAndWriteBlocksMax: transferBlocksMax,
    };
  }

  get blockCount(): number {
    return this.#namespace.blockCount;
  }

  async read(request: BlockRange & { readonly into: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    const { block, blockCount, into } = request;
    return (
      this.#refusal(request, into, options) ?? attempt(() => this.#namespace.read(block, blockCount, into))
    );
  }

  async write(
    request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { block, blockCount, from } = request;
    return (
      this.#refusal(request, from, options) ?? attempt(() => this.#namespace.write(block, blockCount, from))
    );
  }

  async writeZeroes(
    request: BlockRange & { readonly deallocate?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { block, blockCount } = request;
    return (
      this.#refusal(request, undefined, options) ?? attempt(() => this.#namespace.zero(block, blockCount))
    );
  }

  async deallocate(
    request: { readonly ranges: readonly BlockRange[] },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { ranges } = request;
    if (ranges.length > rangeCountMax) {
      return failed("ERR_INVALID_REQUEST", `${ranges.length} ranges, at most ${rangeCountMax} are possible`);
    }
    for (const range of ranges) {
      const refusal = this.#refusal(range, undefined, options, Number.POSITIVE_INFINITY);
      if (refusal !== undefined) return refusal;
    }
    return attempt(() => {
      for (const { block, blockCount } of ranges) this.#namespace.zero(block, blockCount);
    });
  }

  async compare(
    request: BlockRange & { readonly expected: Uint8Array },
    options?: CallOptions,
  ): Promise<Outcome> {
    return this.#refusal(request, request.expected, options) ?? this.#compare(request);
  }

  async compareAndWrite(
    request: BlockRange & { readonly expected: Uint8Array; readonly from: Uint8Array },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { block, blockCount, expected, from } = request;
    const refusal = this.#refusal(request, expected, options) ?? this.#refusal(request, from, options);
    if (refusal !== undefined) return refusal;
    const compared = this.#compare(request);
    return compared.kind === "ok" ? attempt(() => this.#namespace.write(block, blockCount, from)) : compared;
  }

  async flush(options?: CallOptions): Promise<Outcome> {
    const refusal = this.#refusal({ block: 0, blockCount: 0 }, undefined, options);
    if (refusal !== undefined) return refusal;
    try {
      await this.#namespace.flush();
      return ok;
    } catch (error) {
      return asOutcome(error);
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  #compare(request: BlockRange & { readonly expected: Uint8Array }): Outcome {
    const { block, blockCount, expected } = request;
    const found = new Uint8Array(expected.length);
    const outcome = attempt(() => this.#namespace.read(block, blockCount, found));
    if (outcome.kind !== "ok" || Buffer.compare(found, expected) === 0) return outcome;
    return failed(
      "ERR_COMPARE_FAILED",
      `the ${blockCount} blocks at block ${block} differ from those expected`,
    );
  }

  #refusal(
    range: BlockRange,
    bytes: Uint8Array | undefined,
    options: CallOptions | undefined,
    blocksMax = transferBlocksMax,
  ): Outcome | undefined {
    const { block, blockCount } = range;
    if (this.#disposed !== undefined) return failed("ERR_CLOSED", "the device is closed");
    if (options?.signal?.aborted === true)
      return failed("ERR_ABORTED", "the call was aborted before it began");
    if (!(block >= 0 && blockCount >= 0 && block + blockCount <= this.blockCount)) {
      return failed(
        "ERR_OUT_OF_RANGE",
        `${blockCount} blocks at block ${block} exceed the ${this.blockCount} blocks of ${this.identity.name}`,
      );
    }
    if (blockCount > blocksMax) {
      return failed("ERR_INVALID_REQUEST", `${blockCount} blocks, at most ${blocksMax} are possible at once`);
    }
    if (bytes !== undefined && bytes.length !== blockCount * this.capabilities.blockSizeBytes) {
      return failed(
        "ERR_INVALID_REQUEST",
        `a buffer of ${bytes.length} bytes does not hold ${blockCount} blocks`,
      );
    }
    return undefined;
  }
}

function attempt(act: () => void): Outcome {
  try {
    act();
    return ok;
  } catch (error) {
    return asOutcome(error);
  }
}

function asOutcome(error: unknown): Outcome {
  if (!(error instanceof StoreError)) throw error;
  if (error.code === "ERR_NOT_FOUND") return failed("ERR_NAMESPACE_GONE", error.message);
  // Part of the request may have been done.
  return { kind: "unknown", code: "ERR_TARGET", message: error.message };
}

function failed(code: OutcomeCode, message: string): Outcome {
  return { kind: "failed", code, message };
}
