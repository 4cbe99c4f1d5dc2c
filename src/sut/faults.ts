/**
 * Faults on purpose: a block device and a volume service that lie as a plan tells them.
 *
 * The plans are functions, asked for every read, write, zeroing and diff page; a plan that wants to lie once,
 * or at some blocks only, says so itself. Everything that no plan touches is passed on. Made for tests of the
 * checkers and for demonstrations: over any adapter, the memory one first.
 *
 * @packageDocumentation
 */
import {
  type BlockDevice,
  type BlockRange,
  type CallOptions,
  type DiffPage,
  type DiffRange,
  type Outcome,
  ok,
  type VolumeService,
} from "./port.ts";
import { replaced } from "./replaced.ts";

/** What becomes of a write that the caller is told went well. */
type WriteFault =
  | { readonly kind: "drop" }
  /** Lands on `block` and the blocks after it instead; what falls off the end is lost. */
  | { readonly kind: "redirect"; readonly block: number }
  /** Only the first `lengthBytes` bytes land, at any byte. */
  | { readonly kind: "tear"; readonly lengthBytes: number }
  /** A copy of the bytes lands, altered in place. */
  | { readonly kind: "alter"; readonly alter: (bytes: Uint8Array) => void };

export interface DeviceFaults {
  /** Alters the bytes of a read that succeeded, in place. */
  readonly read?: (range: BlockRange, bytes: Uint8Array) => void;
  readonly write?: (range: BlockRange) => WriteFault | undefined;
  /** Whether a zeroing or deallocation of this range is skipped. */
  readonly dropsZeroes?: (range: BlockRange) => boolean;
}

/** Whose diff it is. */
type DiffRequest = Parameters<VolumeService["diff"]>[0];

export interface ServiceFaults {
  /** Faults of a volume's device, asked when it is opened. */
  readonly volume?: (uuid: string) => DeviceFaults | undefined;
  /** Faults of a snapshot's device, asked when it is opened. */
  readonly snapshot?: (uuid: string) => DeviceFaults | undefined;
  /** Gives the page that is told instead. */
  readonly diffPage?: (page: DiffPage, request: DiffRequest) => DiffPage;
}

/** Changes the ranges of one page; made by the functions below. */
export type RangesFault = (ranges: readonly DiffRange[]) => readonly DiffRange[];

/** Leaves out the ranges that `isDropped` names. */
export function dropRanges(isDropped: (range: DiffRange) => boolean): RangesFault {
  return (ranges) => ranges.filter((range) => !isDropped(range));
}

/** Adds ranges that were not changed, in order of their addresses. */
export function addRanges(...added: readonly DiffRange[]): RangesFault {
  return (ranges) => [...ranges, ...added].sort((a, b) => a.lbaStart - b.lbaStart);
}

/** Moves every range by a number of blocks. */
export function shiftRanges(blockCount: number): RangesFault {
  return (ranges) => ranges.map(({ lbaStart, bitmap }) => ({ lbaStart: lbaStart + blockCount, bitmap }));
}

/** Makes a page fault of ranges faults, applied from left to right to every page. */
export function diffPageFault(...faults: readonly RangesFault[]): (page: DiffPage) => DiffPage {
  return (page) => ({ ...page, ranges: faults.reduce((ranges, fault) => fault(ranges), page.ranges) });
}

/** Joins plans: reads are altered by all of them, a write by the first that has something to say. */
export function joinFaults(...plans: readonly DeviceFaults[]): DeviceFaults {
  return {
    read: (range, bytes) => {
      for (const plan of plans) plan.read?.(range, bytes);
    },
    write: (range) => {
      for (const plan of plans) {
        const fault = plan.write?.(range);
        if (fault !== undefined) return fault;
      }
      return undefined;
    },
    dropsZeroes: (range) => plans.some((plan) => plan.dropsZeroes?.(range) === true),
  };
}

/** Wraps a device, which is disposed with the wrapper. */
export function withDeviceFaults(device: BlockDevice, faults: DeviceFaults): BlockDevice {
  return new FaultyDevice(device, faults);
}

/** Wraps a service, which is disposed with the wrapper, and the devices that it opens. */
export function withServiceFaults(service: VolumeService, faults: ServiceFaults): VolumeService {
  const wrap = (device: BlockDevice, plan: DeviceFaults | undefined): BlockDevice =>
    plan === undefined ? device : withDeviceFaults(device, plan);
  return replaced(service, {
    async *diff(request, options) {
      for await (const page of service.diff(request, options)) {
        yield faults.diffPage === undefined ? page : faults.diffPage(page, request);
      }
    },
    async openVolume(uuid, options) {
      return wrap(await service.openVolume(uuid, options), faults.volume?.(uuid));
    },
    async openSnapshot(uuid, options) {
      return wrap(await service.openSnapshot(uuid, options), faults.snapshot?.(uuid));
    },
  });
}

class FaultyDevice implements BlockDevice {
  readonly identity: BlockDevice["identity"];
  readonly capabilities: BlockDevice["capabilities"];
  readonly #device: BlockDevice;
  readonly #faults: DeviceFaults;

  constructor(device: BlockDevice, faults: DeviceFaults) {
    this.#device = device;
    this.#faults = faults;
    this.identity = device.identity;
    this.capabilities = device.capabilities;
  }

  get blockCount(): number {
    return this.#device.blockCount;
  }

  async read(request: BlockRange & { readonly into: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    const outcome = await this.#device.read(request, options);
    if (outcome.kind === "ok") this.#faults.read?.(request, request.into);
    return outcome;
  }

  async write(
    request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    const fault = this.#faults.write?.(request);
    return fault === undefined
      ? this.#device.write(request, options)
      : this.#writeWrongly(request, fault, options);
  }

  async writeZeroes(
    request: BlockRange & { readonly deallocate?: boolean },
    options?: CallOptions,
  ): Promise<Outcome> {
    return this.#faults.dropsZeroes?.(request) === true ? ok : this.#device.writeZeroes(request, options);
  }

  async deallocate(
    request: { readonly ranges: readonly BlockRange[] },
    options?: CallOptions,
  ): Promise<Outcome> {
    const ranges = request.ranges.filter((range) => this.#faults.dropsZeroes?.(range) !== true);
    return ranges.length === 0 ? ok : this.#device.deallocate({ ranges }, options);
  }

  compare(request: BlockRange & { readonly expected: Uint8Array }, options?: CallOptions): Promise<Outcome> {
    return this.#device.compare(request, options);
  }

  async compareAndWrite(
    request: BlockRange & { readonly expected: Uint8Array; readonly from: Uint8Array },
    options?: CallOptions,
  ): Promise<Outcome> {
    const fault = this.#faults.write?.(request);
    if (fault === undefined) return this.#device.compareAndWrite(request, options);
    const compared = await this.#device.compare(request, options);
    return compared.kind === "ok" ? this.#writeWrongly(request, fault, options) : compared;
  }

  flush(options?: CallOptions): Promise<Outcome> {
    return this.#device.flush(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#device[Symbol.asyncDispose]();
  }

  async #writeWrongly(
    request: BlockRange & { readonly from: Uint8Array; readonly fua?: boolean },
    fault: WriteFault,
    options: CallOptions | undefined,
  ): Promise<Outcome> {
    const { from } = request;
    const { blockSizeBytes } = this.capabilities;
    switch (fault.kind) {
      case "drop":
        return ok;
      case "redirect": {
        const blockCount = Math.min(request.blockCount, this.blockCount - fault.block);
        if (blockCount <= 0) return ok;
        const landing = from.subarray(0, blockCount * blockSizeBytes);
        return this.#device.write({ ...request, block: fault.block, blockCount, from: landing }, options);
      }
      case "tear": {
        const torn = new Uint8Array(from.length);
        const outcome = await this.#device.read({ ...request, into: torn }, options);
        if (outcome.kind !== "ok") return outcome;
        torn.set(from.subarray(0, fault.lengthBytes));
        return this.#device.write({ ...request, from: torn }, options);
      }
      case "alter": {
        const altered = from.slice();
        fault.alter(altered);
        return this.#device.write({ ...request, from: altered }, options);
      }
      default:
        return unreachable(fault);
    }
  }
}

function unreachable(fault: never): never {
  throw new TypeError(`unknown fault: ${JSON.stringify(fault)}`);
}
