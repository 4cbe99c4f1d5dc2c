/**
 * A namespace as a block device.
 *
 * Ranges and lengths are checked here, before anything is sent; the rest is left to the target, whose answer
 * is passed on. The device follows its namespace: a new size, a new NSID, or its end.
 *
 * @packageDocumentation
 */
import {
  deallocateRangeLengthBytes,
  deallocateRangesMax,
  ioControl,
  writeDeallocateRange,
} from "../nvme/commands.ts";
import type {
  BlockDevice,
  BlockRange,
  CallOptions,
  DeviceCapabilities,
  DeviceIdentity,
  Outcome,
  OutcomeCode,
} from "../port.ts";
import {
  type BlockRequest,
  type CallContext,
  CompareAndWriteRequest,
  DeallocateRequest,
  FlushRequest,
  type TransferCall,
  TransferRequest,
} from "./block-requests.ts";
import type { QueueRequest } from "./command-slot.ts";
import type { NamespaceProperties } from "./namespace-properties.ts";
import { counted } from "./wording.ts";

/** What a device needs of its controller. */
export interface RequestCarrier {
  readonly timeoutTicks: number;
  readonly associationCount: number;
  submit(request: QueueRequest): void;
  /** Takes back the caller's buffers; see `QueueConnection.detach`. */
  detach(request: QueueRequest): void;
  /** Resolves when `promise` does, or after the deadline of a command. */
  withinDeadline(promise: Promise<void>): Promise<void>;
}

export class NamespaceDevice implements BlockDevice {
  readonly #carrier: RequestCarrier;
  readonly #onDisposed: () => void;
  readonly #requests = new Set<BlockRequest>();
  /** One listener per signal, however many calls share it. */
  readonly #watched = new Map<
    AbortSignal,
    { readonly requests: Set<BlockRequest>; readonly onAbort: () => void }
  >();
  #identity: DeviceIdentity;
  #nsid: number;
  #properties: NamespaceProperties;
  #isGone = false;
  #isClosed = false;
  #onIdle: (() => void) | undefined;

  constructor(
    carrier: RequestCarrier,
    identity: DeviceIdentity & { readonly nsid: number },
    properties: NamespaceProperties,
    onDisposed: () => void,
  ) {
    this.#carrier = carrier;
    this.#identity = identity;
    this.#nsid = identity.nsid;
    this.#properties = properties;
    this.#onDisposed = onDisposed;
  }

  get identity(): DeviceIdentity {
    return this.#identity;
  }

  get nsid(): number {
    return this.#nsid;
  }

  get capabilities(): DeviceCapabilities {
    return this.#properties.capabilities;
  }

  get blockCount(): number {
    return this.#properties.blockCount;
  }

  get association(): number {
    return this.#carrier.associationCount;
  }

  /** Takes what the controller now says about the namespace. */
  update(identity: DeviceIdentity & { readonly nsid: number }, properties: NamespaceProperties): void {
    if (properties.capabilities.blockSizeBytes !== this.capabilities.blockSizeBytes) {
      this.markGone();
      return;
    }
    this.#isGone = false;
    this.#identity = identity;
    this.#nsid = identity.nsid;
    this.#properties = properties;
  }

  /** The namespace is not there any more: its NSID may soon name another, so nothing more is sent to it. */
  markGone(): void {
    this.#isGone = true;
    const loss = { code: "ERR_NAMESPACE_GONE", message: "the namespace is gone" } as const;
    for (const request of this.#requests) if (request.hasMore) request.onNeverSent(loss);
  }

  read(request: BlockRange & { readonly into: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    return this.#transfer("read", request, request.into, 0, options);
  }

  write(
    request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const control = request.fua ? ioControl.forceUnitAccess : 0;
    return this.#transfer("write", request, request.from, control, options);
  }

  compare(request: BlockRange & { readonly expected: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    if (!this.capabilities.compare) return this.#unsupported("compare");
    return this.#transfer("compare", request, request.expected, 0, options);
  }

  writeZeroes(
    request: BlockRange & { readonly deallocate?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    if (!this.capabilities.writeZeroes) return this.#unsupported("write zeroes");
    const deallocates = request.deallocate && this.#properties.deallocatesInWriteZeroes;
    return this.#transfer(
      "write zeroes",
      request,
      undefined,
      deallocates ? ioControl.deallocate : 0,
      options,
    );
  }

  deallocate(request: { readonly ranges: readonly BlockRange[] }, options?: CallOptions): Promise<Outcome> {
    if (!this.capabilities.deallocate) return this.#unsupported("deallocate");
    const { ranges } = request;
    if (ranges.length < 1 || ranges.length > deallocateRangesMax) {
      const message = `deallocate of ${counted(ranges.length, "range")}, 1 to ${deallocateRangesMax} are possible`;
      return this.#refuse("ERR_INVALID_REQUEST", message);
    }
    for (const range of ranges) {
      const problem = this.#rangeProblem("deallocate", range);
      if (problem !== undefined) return problem;
    }
    const { rangeBlocksMax, rangesPerDeallocate } = this.#properties;
    const list = rangeList(ranges, rangeBlocksMax);
    return this.#call((context) => new DeallocateRequest(context, list, rangesPerDeallocate), options);
  }

  compareAndWrite(
    request: BlockRange & { readonly expected: Uint8Array; readonly from: Uint8Array },
    options?: CallOptions,
  ): Promise<Outcome> {
    const { compareAndWriteBlocksMax } = this.capabilities;
    if (compareAndWriteBlocksMax === 0) return this.#unsupported("compare and write");
    const { blockCount, expected, from } = request;
    const name = "compare and write";
    const problem =
      this.#rangeProblem(name, request) ??
      this.#lengthProblem(name, blockCount, expected) ??
      this.#lengthProblem(name, blockCount, from);
    if (problem !== undefined) return problem;
    if (blockCount > compareAndWriteBlocksMax) {
      const message = `${name} of ${counted(blockCount, "block")}, at most ${compareAndWriteBlocksMax} are possible`;
      return this.#refuse("ERR_INVALID_REQUEST", message);
    }
    return this.#call((context) => new CompareAndWriteRequest(context, request), options);
  }

  flush(options?: CallOptions): Promise<Outcome> {
    return this.#call((context) => new FlushRequest(context), options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    if (this.#requests.size > 0) {
      const idle = new Promise<void>((resolve) => {
        const previous = this.#onIdle;
        this.#onIdle = () => {
          previous?.();
          resolve();
        };
      });
      await this.#carrier.withinDeadline(idle);
    }
    this.#onDisposed();
  }

  #transfer(
    name: TransferCall["name"],
    range: BlockRange,
    data: Uint8Array | undefined,
    control: number,
    options: CallOptions | undefined,
  ): Promise<Outcome> {
    const { block, blockCount } = range;
    const problem =
      this.#rangeProblem(name, range) ??
      (data === undefined ? undefined : this.#lengthProblem(name, blockCount, data));
    if (problem !== undefined) return problem;
    const { capabilities, boundaryBlocks, writeZeroesBlocksMax } = this.#properties;
    const { transferBlocksMax, atomicWriteBlocks, blockSizeBytes } = capabilities;
    const call: TransferCall = {
      name,
      block,
      blockCount,
      control,
      data,
      blockSizeBytes,
      commandBlocksMax: name === "write zeroes" ? writeZeroesBlocksMax : transferBlocksMax,
      // A write that is promised to be atomic stays one command; the boundary is only a matter of speed.
      boundaryBlocks: blockCount <= atomicWriteBlocks ? 0 : boundaryBlocks,
    };
    return this.#call((context) => new TransferRequest(context, call), options);
  }

  #call(make: (context: CallContext) => BlockRequest, options: CallOptions | undefined): Promise<Outcome> {
    if (this.#isClosed) return this.#refuse("ERR_CLOSED", "the device is closed");
    if (this.#isGone) return this.#refuse("ERR_NAMESPACE_GONE", "the namespace is gone");
    const signal = options?.signal;
    if (signal?.aborted) return this.#refuse("ERR_ABORTED", "the signal had fired before the call");
    return new Promise((resolve) => {
      const request = make({
        device: this,
        timeoutTicks: this.#carrier.timeoutTicks,
        settle: (outcome, settled) => {
          this.#requests.delete(settled);
          if (signal !== undefined) this.#unwatch(signal, settled);
          resolve(outcome);
          if (this.#requests.size === 0) this.#onIdle?.();
        },
      });
      this.#requests.add(request);
      if (signal !== undefined) this.#watch(signal, request);
      this.#carrier.submit(request);
    });
  }

  #watch(signal: AbortSignal, request: BlockRequest): void {
    const watched = this.#watched.get(signal);
    if (watched !== undefined) {
      watched.requests.add(request);
      return;
    }
    const requests = new Set([request]);
    const onAbort = () => {
      for (const each of requests) {
        each.abort();
        this.#carrier.detach(each);
      }
    };
    this.#watched.set(signal, { requests, onAbort });
    signal.addEventListener("abort", onAbort, { once: true });
  }

  #unwatch(signal: AbortSignal, request: BlockRequest): void {
    const watched = this.#watched.get(signal);
    if (watched === undefined) return;
    watched.requests.delete(request);
    if (watched.requests.size > 0) return;
    signal.removeEventListener("abort", watched.onAbort);
    this.#watched.delete(signal);
  }

  #rangeProblem(name: string, { block, blockCount }: BlockRange): Promise<Outcome> | undefined {
    if (!Number.isSafeInteger(block) || !Number.isSafeInteger(blockCount) || blockCount < 1) {
      const message = `${name} of ${counted(blockCount, "block")} at ${block}: whole numbers from 1 and 0 on are expected`;
      return this.#refuse("ERR_INVALID_REQUEST", message);
    }
    if (block < 0 || block + blockCount > this.blockCount) {
      const size = `the device has ${counted(this.blockCount, "block")}`;
      const message = `${name} of ${counted(blockCount, "block")} at ${block}: ${size}`;
      return this.#refuse("ERR_OUT_OF_RANGE", message);
    }
    return undefined;
  }

  #lengthProblem(name: string, blockCount: number, data: Uint8Array): Promise<Outcome> | undefined {
    const expected = blockCount * this.capabilities.blockSizeBytes;
    if (data.length === expected) return undefined;
    const range = `${name} of ${counted(blockCount, "block")}`;
    const message = `${range} needs a buffer of ${expected} bytes, got ${data.length}`;
    return this.#refuse("ERR_INVALID_REQUEST", message);
  }

  #unsupported(name: string): Promise<Outcome> {
    return this.#refuse("ERR_UNSUPPORTED", `the controller does not support ${name}`);
  }

  #refuse(code: OutcomeCode, message: string): Promise<Outcome> {
    return Promise.resolve({ kind: "failed", code, message: `${this.#identity.name}: ${message}` });
  }
}

/** Ranges as they are sent, each cut to the length that the controller takes. */
function rangeList(ranges: readonly BlockRange[], rangeBlocksMax: number): Uint8Array {
  const pieces: BlockRange[] = [];
  for (const { block, blockCount } of ranges) {
    for (let done = 0; done < blockCount; done += rangeBlocksMax) {
      pieces.push({ block: block + done, blockCount: Math.min(rangeBlocksMax, blockCount - done) });
    }
  }
  const list = new Uint8Array(pieces.length * deallocateRangeLengthBytes);
  const view = new DataView(list.buffer);
  pieces.forEach((piece, index) => void writeDeallocateRange(view, 0, index, piece));
  return list;
}
