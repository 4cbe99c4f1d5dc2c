/**
 * A block device over an open file or Linux block device.
 *
 * Bytes go from and to the caller's buffers. Nothing is locked: requests in flight on the same blocks reach the
 * kernel as they come, so that it is the device that orders them, and overlapping ones may mix. Linux has no
 * compare command; it is emulated where each request is one step of this process, and else not offered.
 *
 * After a flush or a durable write that failed, Linux counts the pages that it could not write back as clean, and
 * the next flush succeeds although they are lost. So from the first such failure on no flush is `ok` here.
 *
 * The size is that at opening: a device that was resized has to be opened again.
 *
 * @packageDocumentation
 */
import { close, fdatasync } from "node:fs";
import {
  type BlockDevice,
  type BlockRange,
  type CallOptions,
  type DeviceCapabilities,
  type DeviceIdentity,
  type Outcome,
  type OutcomeCode,
  ok,
} from "../port.ts";
import { pageAligned } from "./aligned-memory.ts";
import { type DescriptorIo, type Descriptors, type IoResult, pieceBytesMax } from "./descriptor-io.ts";
import { failureOf, type IoFailure, outcomeOf } from "./errno.ts";

/** Ranges of one call, as of one Dataset Management command. */
const rangeCountMax = 256;
/** How long disposing waits for system calls. */
const disposeDeadlineMs = 10_000;
const okPromise = Promise.resolve(ok);

export interface OpenedFile {
  /** Real path. */
  readonly name: string;
  readonly descriptors: Descriptors;
  readonly io: DescriptorIo;
  readonly blockSizeBytes: number;
  readonly blockCount: number;
  /** What buffers of O_DIRECT start at a multiple of, in bytes; 1 without it. */
  readonly bufferAlignment: number;
  /** Writes that have settled may be lost with the power. */
  readonly volatileWriteCache: boolean;
}

export class FileDevice implements BlockDevice {
  readonly identity: DeviceIdentity;
  readonly capabilities: DeviceCapabilities;
  readonly blockCount: number;
  readonly #descriptors: Descriptors;
  readonly #io: DescriptorIo;
  readonly #blockSizeBytes: number;
  readonly #bufferAlignment: number;
  /** The failure after which a flush promises nothing any more. */
  #durabilityLoss: string | undefined;
  #found: Uint8Array | undefined;
  #inFlightCount = 0;
  #onIdle: (() => void) | undefined;
  #disposed: Promise<void> | undefined;

  constructor(file: OpenedFile) {
    const { name, descriptors, io, blockSizeBytes, blockCount, bufferAlignment, volatileWriteCache } = file;
    this.identity = { name, uuid: undefined, nsid: undefined };
    this.blockCount = blockCount;
    this.#descriptors = descriptors;
    this.#io = io;
    this.#blockSizeBytes = blockSizeBytes;
    this.#bufferAlignment = bufferAlignment;
    const transferBlocksMax = pieceBytesMax / blockSizeBytes;
    this.capabilities = {
      blockSizeBytes,
      transferBlocksMax,
      // Linux promises no more, and for a block longer than the disk's sector not even that after a power failure.
      atomicWriteBlocks: 1,
      atomicWriteBlocksPowerFail: 1,
      volatileWriteCache,
      deallocatedReads: "zeros",
      writeZeroes: true,
      deallocate: true,
      compare: io.isOneStep,
      compareAndWriteBlocksMax: io.isOneStep ? transferBlocksMax : 0,
    };
  }

  read(request: BlockRange & { readonly into: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    const { into } = request;
    const refusal = this.#refusalOf(request, into, options);
    if (refusal !== undefined) return Promise.resolve(refusal);
    const result = this.#io.read(into, request.block * this.#blockSizeBytes, options?.signal);
    return this.#settled(result, "read", request);
  }

  write(
    request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { from, fua = false } = request;
    const refusal = this.#refusalOf(request, from, options);
    if (refusal !== undefined) return Promise.resolve(refusal);
    const result = this.#io.write(from, request.block * this.#blockSizeBytes, fua, options?.signal);
    return this.#settled(result, fua ? "write with FUA" : "write", request);
  }

  writeZeroes(
    request: BlockRange & { readonly deallocate?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const refusal = this.#refusalOf(request, undefined, options);
    if (refusal !== undefined) return Promise.resolve(refusal);
    return this.#settled(this.#zero(request, options), "write zeroes", request);
  }

  async deallocate(
    request: { readonly ranges: readonly BlockRange[] },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { ranges } = request;
    if (ranges.length > rangeCountMax)
      return failed("ERR_INVALID_REQUEST", `${ranges.length} ranges, at most ${rangeCountMax} are possible`);
    for (const range of ranges) {
      const refusal = this.#refusalOf(range, undefined, options);
      if (refusal !== undefined) return refusal;
    }
    // The device stays open between two ranges.
    this.#inFlightCount += 1;
    try {
      for (const [index, range] of ranges.entries()) {
        const outcome = await this.#settled(this.#zero(range, options), "deallocate", range);
        if (outcome.kind === "ok") continue;
        return index === 0 ? outcome : { ...outcome, kind: "unknown" };
      }
      return ok;
    } finally {
      this.#returned();
    }
  }

  async compare(
    request: BlockRange & { readonly expected: Uint8Array },
    options?: CallOptions,
  ): Promise<Outcome> {
    return (
      this.#compareRefusal("compare") ??
      this.#refusalOf(request, request.expected, options) ??
      this.#compare(request)
    );
  }

  async compareAndWrite(
    request: BlockRange & { readonly expected: Uint8Array; readonly from: Uint8Array },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { blockCount, expected, from } = request;
    const blocksMax = this.capabilities.compareAndWriteBlocksMax;
    const refusal =
      this.#compareRefusal("compare and write") ??
      this.#refusalOf(request, expected, options) ??
      this.#refusalOf(request, from, options);
    if (refusal !== undefined) return refusal;
    if (blockCount > blocksMax)
      return failed(
        "ERR_INVALID_REQUEST",
        `compare and write of ${blockCount} blocks, at most ${blocksMax} are possible at once`,
      );
    const compared = this.#compare(request);
    if (compared.kind !== "ok") return compared;
    const result = this.#io.write(from, request.block * this.#blockSizeBytes, false, undefined);
    return this.#settled(result, "compare and write", request);
  }

  flush(options?: CallOptions): Promise<Outcome> {
    const refusal = this.#refusalOf({ block: 0, blockCount: 0 }, undefined, options);
    if (refusal !== undefined) return Promise.resolve(refusal);
    return this.#later(synced(this.#descriptors.plain), (failure) => this.#flushed(failure));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  #zero({ block, blockCount }: BlockRange, options: CallOptions | undefined): IoResult | Promise<IoResult> {
    const size = this.#blockSizeBytes;
    return this.#io.zero({ position: block * size, byteCount: blockCount * size }, options?.signal);
  }

  /** One step: only for an `io` that does each call before it returns. */
  #compare(request: BlockRange & { readonly expected: Uint8Array }): Outcome {
    const { block, blockCount, expected } = request;
    this.#found ??= pageAligned(pieceBytesMax);
    for (let at = 0; at < expected.length; at += pieceBytesMax) {
      const piece = expected.subarray(at, at + pieceBytesMax);
      const found = this.#found.subarray(0, piece.length);
      const failure = this.#io.read(found, block * this.#blockSizeBytes + at, undefined) as IoResult;
      if (failure !== undefined) return outcomeOf(failure, false, this.#describe("compare", request));
      if (Buffer.compare(found, piece) !== 0)
        return failed(
          "ERR_COMPARE_FAILED",
          `the ${blockCount} blocks at block ${block} of ${this.identity.name} differ from those expected`,
        );
    }
    return ok;
  }

  /** The outcome of a transfer, for one in a single step without anything being made. */
  #settled(result: IoResult | Promise<IoResult>, what: Operation, range: BlockRange): Promise<Outcome> {
    if (result === undefined) return okPromise;
    if (!(result instanceof Promise)) return Promise.resolve(this.#outcomeOf(result, what, range));
    return this.#later(result, (failure) => this.#outcomeOf(failure, what, range));
  }

  #outcomeOf(failure: IoResult, what: Operation, range: BlockRange): Outcome {
    if (failure === undefined) return ok;
    const outcome = outcomeOf(failure, what !== "read", this.#describe(what, range));
    if (what === "write with FUA" && outcome.kind === "unknown") this.#durabilityLoss ??= outcome.message;
    return outcome;
  }

  #flushed(failure: IoResult): Outcome {
    const { name } = this.identity;
    if (failure !== undefined) {
      const outcome = outcomeOf({ ...failure, isRefusal: false }, true, `flush of ${name}`);
      this.#durabilityLoss ??= outcome.kind === "ok" ? undefined : outcome.message;
      return outcome;
    }
    if (this.#durabilityLoss === undefined) return ok;
    const message = `flush of ${name}: promises nothing since an earlier failure (${this.#durabilityLoss}): open the device again`;
    return { kind: "unknown", code: "ERR_MEDIA", message };
  }

  async #later(pending: Promise<IoResult>, outcome: (result: IoResult) => Outcome): Promise<Outcome> {
    this.#inFlightCount += 1;
    try {
      return outcome(await pending);
    } finally {
      this.#returned();
    }
  }

  #returned(): void {
    this.#inFlightCount -= 1;
    if (this.#inFlightCount === 0) this.#onIdle?.();
  }

  #describe(what: Operation | "compare", { block, blockCount }: BlockRange): string {
    return `${what} of ${blockCount} ${blockCount === 1 ? "block" : "blocks"} at ${block} on ${this.identity.name}`;
  }

  #compareRefusal(what: string): Outcome | undefined {
    if (this.capabilities.compare) return undefined;
    const why = `${what}: a file or Linux block device has none, and it is emulated only with io: "sync"`;
    return failed("ERR_UNSUPPORTED", why);
  }

  #refusalOf(
    { block, blockCount }: BlockRange,
    bytes: Uint8Array | undefined,
    options: CallOptions | undefined,
  ): Outcome | undefined {
    if (this.#disposed !== undefined) return failed("ERR_CLOSED", `${this.identity.name} is closed`);
    if (options?.signal?.aborted === true)
      return failed("ERR_ABORTED", "the call was aborted before it began");
    if (!(Number.isSafeInteger(block) && Number.isSafeInteger(blockCount) && block >= 0 && blockCount >= 0))
      return failed("ERR_INVALID_REQUEST", `${blockCount} blocks at block ${block} are no range of blocks`);
    if (block + blockCount > this.blockCount)
      return failed(
        "ERR_OUT_OF_RANGE",
        `${blockCount} blocks at block ${block} exceed the ${this.blockCount} blocks of ${this.identity.name}`,
      );
    if (bytes === undefined) return undefined;
    if (bytes.length !== blockCount * this.#blockSizeBytes)
      return failed(
        "ERR_INVALID_REQUEST",
        `a buffer of ${bytes.length} bytes does not hold ${blockCount} blocks of ${this.#blockSizeBytes} bytes`,
      );
    if (bytes.byteOffset % this.#bufferAlignment !== 0)
      return failed(
        "ERR_INVALID_REQUEST",
        `the buffer lies ${bytes.byteOffset % this.#bufferAlignment} bytes past a multiple of ${this.#bufferAlignment}: ${this.identity.name} was opened with O_DIRECT, which wants aligned buffers`,
      );
    return undefined;
  }

  async #dispose(): Promise<void> {
    if (this.#inFlightCount > 0 && !(await this.#idle()))
      throw new Error(
        `${this.identity.name}: ${this.#inFlightCount} calls did not return within ${disposeDeadlineMs / 1000} s; the device is closed when they do`,
      );
    await closeBoth(this.#descriptors);
  }

  /** @returns False when the deadline passes; what is open is then closed by the last call that returns. */
  #idle(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#onIdle = () => void closeBoth(this.#descriptors);
        resolve(false);
      }, disposeDeadlineMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
  }
}

type Operation = "read" | "write" | "write with FUA" | "write zeroes" | "deallocate" | "compare and write";

function failed(code: OutcomeCode, message: string): Outcome {
  return { kind: "failed", code, message };
}

/** Always on the thread pool: what a hop costs is nothing beside a flush. */
function synced(descriptor: number): Promise<IoFailure | undefined> {
  return new Promise((resolve, reject) => {
    fdatasync(descriptor, (error) => {
      try {
        resolve(error === null ? undefined : failureOf(error, 0));
      } catch (bug) {
        reject(bug);
      }
    });
  });
}

/** An error of close(2) says that earlier writes failed, which nobody asked to be durable. */
async function closeBoth({ plain, durable }: Descriptors): Promise<void> {
  for (const descriptor of new Set([plain, durable]))
    await new Promise<void>((resolve) => close(descriptor, () => resolve()));
}
