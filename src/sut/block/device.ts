/**
 * A block device over an open file or Linux block device.
 *
 * Bytes go from and to the caller's buffers. Past the page cache nothing is locked: requests in flight on the same
 * blocks reach the kernel as they come, so that it is the device that orders them, and overlapping ones may mix.
 * Through it, reads and writes of the same blocks wait for each other (`read-write-order.ts`). Linux has no compare
 * command; it is emulated where each request is one step of this process, and else not offered.
 *
 * After a flush or a durable write that failed, Linux counts the pages that it could not write back as clean, and
 * the next flush succeeds although they are lost. So from the first such failure on no flush is `ok` here.
 *
 * The size is that at opening, or follows a resize of the block device that is used as a whole.
 *
 * @packageDocumentation
 */
import { close } from "node:fs";
import {
  type BlockDevice,
  type BlockRange,
  type CallOptions,
  type DeviceCapabilities,
  type DeviceIdentity,
  type Outcome,
  ok,
} from "../port.ts";
import { pageAligned } from "./aligned-memory.ts";
import {
  type ByteRange,
  type DescriptorIo,
  type Descriptors,
  type IoResult,
  pieceBytesMax,
} from "./descriptor-io.ts";
import { abortFailure, outcomeOf } from "./errno.ts";
import type { RangeCommands } from "./range-commands.ts";
import { ReadWriteOrder } from "./read-write-order.ts";
import { type BufferRules, bufferRefusal, failed, rangeRefusal } from "./request-rules.ts";
import { synced, type Zeroing } from "./zeroing.ts";

/** Ranges of one call, as of one Dataset Management command. */
const rangeCountMax = 256;
/** How long disposing waits for system calls. */
const disposeDeadlineMs = 10_000;
const okPromise = Promise.resolve(ok);

export interface OpenedFile {
  /** Real path. */
  readonly path: string;
  readonly identity: DeviceIdentity;
  readonly lastingId: string;
  readonly descriptors: Descriptors;
  readonly io: DescriptorIo;
  readonly zeroing: Zeroing;
  /** Disposed with the device. */
  readonly commands: RangeCommands;
  readonly blockSizeBytes: number;
  /** Asked whenever the size matters. */
  readonly blockCount: () => number;
  /** What buffers of O_DIRECT start at a multiple of, in bytes; 1 without it. */
  readonly bufferAlignment: number;
  /** Writes that have settled may be lost with the power. */
  readonly volatileWriteCache: boolean;
  /** By the page cache. */
  readonly isCached: boolean;
  readonly deallocate: boolean;
  readonly deallocatedReads: DeviceCapabilities["deallocatedReads"];
}

export class FileDevice implements BlockDevice {
  readonly identity: DeviceIdentity;
  readonly capabilities: DeviceCapabilities;
  /** Tells the file or disk from others that may be at the same path another time. */
  readonly lastingId: string;
  readonly #path: string;
  readonly #descriptors: Descriptors;
  readonly #io: DescriptorIo;
  readonly #zeroing: Zeroing;
  readonly #commands: RangeCommands;
  readonly #order: ReadWriteOrder | undefined;
  readonly #blockSizeBytes: number;
  readonly #sizeNow: () => number;
  /** As large as it was when that was last looked at. */
  #blockCount: number;
  readonly #buffers: BufferRules;
  /** The failure after which a flush promises nothing any more. */
  #durabilityLoss: string | undefined;
  #found: Uint8Array | undefined;
  #inFlightCount = 0;
  #onIdle: (() => void) | undefined;
  #disposed: Promise<void> | undefined;

  constructor(file: OpenedFile) {
    const { io, blockSizeBytes, volatileWriteCache, deallocate, deallocatedReads } = file;
    this.identity = file.identity;
    this.lastingId = file.lastingId;
    this.#path = file.path;
    this.#descriptors = file.descriptors;
    this.#io = io;
    this.#zeroing = file.zeroing;
    this.#commands = file.commands;
    this.#order = file.isCached && !io.isOneStep ? new ReadWriteOrder() : undefined;
    this.#blockSizeBytes = blockSizeBytes;
    this.#sizeNow = file.blockCount;
    this.#blockCount = file.blockCount();
    this.#buffers = { path: file.path, blockSizeBytes, bufferAlignment: file.bufferAlignment };
    const transferBlocksMax = pieceBytesMax / blockSizeBytes;
    this.capabilities = {
      blockSizeBytes,
      transferBlocksMax,
      // Linux promises no more, and for a block longer than the disk's sector not even that after a power failure.
      atomicWriteBlocks: 1,
      atomicWriteBlocksPowerFail: 1,
      volatileWriteCache,
      deallocatedReads,
      writeZeroes: true,
      deallocate,
      compare: io.isOneStep,
      compareAndWriteBlocksMax: io.isOneStep ? transferBlocksMax : 0,
    };
  }

  get blockCount(): number {
    this.#blockCount = this.#sizeNow();
    return this.#blockCount;
  }

  read(request: BlockRange & { readonly into: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    const { into } = request;
    const refusal = this.#refusalOf(request, into, options);
    if (refusal !== undefined) return Promise.resolve(refusal);
    const { signal } = options ?? {};
    const result = this.#ordered(request, true, signal, () =>
      this.#io.read(into, request.block * this.#blockSizeBytes, signal),
    );
    return this.#settled(result, "read", request);
  }

  write(
    request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { from, fua = false } = request;
    const refusal = this.#refusalOf(request, from, options);
    if (refusal !== undefined) return Promise.resolve(refusal);
    const { signal } = options ?? {};
    const result = this.#ordered(request, false, signal, () =>
      this.#io.write(from, request.block * this.#blockSizeBytes, fua, signal),
    );
    return this.#settled(result, fua ? "write with FUA" : "write", request);
  }

  writeZeroes(
    request: BlockRange & { readonly deallocate?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const refusal = this.#refusalOf(request, undefined, options);
    if (refusal !== undefined) return Promise.resolve(refusal);
    const { deallocate: mayUnmap = false } = request;
    const { signal } = options ?? {};
    const result = this.#ordered(request, false, signal, () =>
      this.#zeroing.zero(this.#bytesOf(request), { mayUnmap }, signal),
    );
    return this.#settled(result, "write zeroes", request);
  }

  async deallocate(
    request: { readonly ranges: readonly BlockRange[] },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { ranges } = request;
    if (!this.capabilities.deallocate)
      return failed("ERR_UNSUPPORTED", `deallocate: ${this.#path} has no discard (queue/discard_max_bytes)`);
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
        const { signal } = options ?? {};
        const result = this.#ordered(range, false, signal, () =>
          this.#zeroing.deallocate(this.#bytesOf(range), signal),
        );
        const outcome = await this.#settled(result, "deallocate", range);
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
    this.#inFlightCount += 1;
    try {
      while (this.#zeroing.isBusy) await this.#zeroing.idle();
      // From here on it is one step, which no other process of ours comes between.
      if (options?.signal?.aborted === true)
        return failed("ERR_ABORTED", "the call was aborted before it began");
      const compared = this.#compare(request);
      if (compared.kind !== "ok") return compared;
      const result = this.#io.write(from, request.block * this.#blockSizeBytes, false, undefined);
      return await this.#settled(result, "compare and write", request);
    } finally {
      this.#returned();
    }
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

  #ordered(
    range: BlockRange,
    isRead: boolean,
    signal: AbortSignal | undefined,
    work: () => IoResult | Promise<IoResult>,
  ): IoResult | Promise<IoResult> {
    if (this.#order === undefined) return work();
    return this.#order.inOrder(range, isRead, async () =>
      signal?.aborted === true ? abortFailure(0) : work(),
    );
  }

  #bytesOf({ block, blockCount }: BlockRange): ByteRange {
    return { position: block * this.#blockSizeBytes, byteCount: blockCount * this.#blockSizeBytes };
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
          `the ${blockCount} blocks at block ${block} of ${this.#path} differ from those expected`,
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
    if (failure.losesWrites === true || (what === "write with FUA" && outcome.kind === "unknown"))
      this.#durabilityLoss ??= `${this.#describe(what, range)}: ${failure.text}`;
    return outcome;
  }

  #flushed(failure: IoResult): Outcome {
    const name = this.#path;
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
    return `${what} of ${blockCount} ${blockCount === 1 ? "block" : "blocks"} at ${block} on ${this.#path}`;
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
    if (this.#disposed !== undefined) return failed("ERR_CLOSED", `${this.#path} is closed`);
    if (options?.signal?.aborted === true)
      return failed("ERR_ABORTED", "the call was aborted before it began");
    const end = block + blockCount;
    const reachBlocks = end > this.#blockCount ? this.blockCount : this.#blockCount;
    return (
      rangeRefusal({ block, blockCount }, reachBlocks, this.#path) ??
      (bytes === undefined ? undefined : bufferRefusal(bytes, blockCount, this.#buffers))
    );
  }

  async #dispose(): Promise<void> {
    if (this.#inFlightCount > 0 && !(await this.#idle()))
      throw new Error(
        `${this.#path}: ${this.#inFlightCount} calls did not return within ${disposeDeadlineMs / 1000} s; the device is closed when they do`,
      );
    await this.#close();
  }

  async #close(): Promise<void> {
    await this.#commands.dispose();
    await closeBoth(this.#descriptors);
  }

  /** @returns False when the deadline passes; what is open is then closed by the last call that returns. */
  #idle(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#onIdle = () => void this.#close();
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

/** An error of close(2) says that earlier writes failed, which nobody asked to be durable. */
async function closeBoth({ plain, durable }: Descriptors): Promise<void> {
  for (const descriptor of new Set([plain, durable]))
    await new Promise<void>((resolve) => close(descriptor, () => resolve()));
}
