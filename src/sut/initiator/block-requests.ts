/**
 * Calls of a block device as commands: one request object per call, however many commands it takes.
 *
 * A call is split where the controller's limits demand it. Its outcome sums up its commands: as long as one
 * of them may have changed blocks, a failure of another is `unknown`.
 *
 * @packageDocumentation
 */
import {
  deallocateAttribute,
  deallocateRangeLengthBytes,
  fuse,
  nvmOpcode,
  writeCdw,
  writeFuse,
  writeNlb,
  writeSlba,
  writeSqe,
} from "../nvme/commands.ts";
import type { Slab } from "../nvme/slab.ts";
import { parseStatus } from "../nvme/status.ts";
import { type BlockRange, type Outcome, ok } from "../port.ts";
import { type CommandSlot, type Loss, type QueueRequest, transferDirection } from "./command-slot.ts";
import { outcomeOfStatus } from "./outcomes.ts";
import { counted } from "../wording.ts";

/** What all commands of a call have in common. */
export interface CallContext {
  /** Asked when a command is written: the NSID may have changed while the call waited for a connection. */
  readonly device: { readonly identity: { readonly name: string }; readonly nsid: number };
  readonly timeoutTicks: number;
  /** Called once. */
  readonly settle: (outcome: Outcome, request: BlockRequest) => void;
}

/** A call: collects the results of its commands and settles once. */
export abstract class BlockRequest implements QueueRequest {
  readonly slotsAtOnce: number = 1;
  readonly timeoutTicks: number;
  waitDeadlineTick = 0;
  protected readonly context: CallContext;
  #inFlightCount = 0;
  #succeededCount = 0;
  /** The first result that is not success. */
  #problem: Outcome | undefined = undefined;
  #hasUnknown = false;
  #isSettled = false;

  constructor(context: CallContext) {
    this.context = context;
    this.timeoutTicks = context.timeoutTicks;
  }

  /** Commands are left to write. */
  protected abstract get hasCommandsLeft(): boolean;
  /** An error may leave blocks changed. */
  protected abstract readonly changesBlocks: boolean;
  protected abstract writeCommand(slot: CommandSlot, slab: Slab, at: number): void;
  /** The call in words. */
  protected abstract describe(): string;

  get hasMore(): boolean {
    return this.#problem === undefined && this.hasCommandsLeft;
  }

  writeNext(slot: CommandSlot, slab: Slab, at: number): void {
    this.#inFlightCount += 1;
    this.writeCommand(slot, slab, at);
  }

  onCompletion(_slot: CommandSlot, status: number): void {
    this.#inFlightCount -= 1;
    if (status === 0) this.#succeededCount += 1;
    else this.#note(outcomeOfStatus(parseStatus(status), this.changesBlocks, this.#where()));
    this.#settleIfDone();
  }

  onLost(_slot: CommandSlot, loss: Loss): void {
    this.#inFlightCount -= 1;
    this.#note({ kind: "unknown", code: loss.code, message: `${this.#where()}: ${loss.message}` });
    this.#settleIfDone();
  }

  onDetached(slot: CommandSlot): void {
    this.onLost(slot, abortLoss);
  }

  onNeverSent(loss: Loss): void {
    this.#note({
      kind: "failed",
      code: loss.code,
      message: `${this.#where()}: not sent, ${loss.message}`,
    });
    this.#settleIfDone();
  }

  /** Sends nothing more, and settles at once if nothing is in flight; else it needs `detach` on its queues. */
  abort(): void {
    this.onNeverSent(abortLoss);
  }

  #where(): string {
    return `${this.describe()} on ${this.context.device.identity.name}`;
  }

  #note(outcome: Outcome): void {
    if (outcome.kind === "unknown" && !this.#hasUnknown) {
      this.#hasUnknown = true;
      this.#problem = outcome;
    }
    this.#problem ??= outcome;
  }

  #settleIfDone(): void {
    if (this.#inFlightCount > 0 || this.hasMore || this.#isSettled) return;
    this.#isSettled = true;
    this.context.settle(this.summary(this.#problem, this.#succeededCount), this);
  }

  /** The outcome of the call from the first problem of its commands. */
  protected summary(problem: Outcome | undefined, succeededCount: number): Outcome {
    if (problem === undefined) return ok;
    if (problem.kind === "failed" && this.changesBlocks && succeededCount > 0) {
      return {
        ...problem,
        kind: "unknown",
        message: `${problem.message}; another part of the call succeeded`,
      };
    }
    return problem;
  }
}

const abortLoss: Loss = { code: "ERR_ABORTED", message: "the call was aborted" };

/** Read, write, compare or write zeroes. */
export interface TransferCall extends BlockRange {
  readonly name: "read" | "write" | "compare" | "write zeroes";
  /** Bits of CDW12. */
  readonly control: number;
  /** `blockCount` blocks; `undefined` for write zeroes. */
  readonly data: Uint8Array | undefined;
  readonly blockSizeBytes: number;
  /** Most blocks per command. */
  readonly commandBlocksMax: number;
  /** Commands end at multiples of this; 0 for no boundary. */
  readonly boundaryBlocks: number;
}

const transferOpcode = {
  read: nvmOpcode.read,
  write: nvmOpcode.write,
  compare: nvmOpcode.compare,
  "write zeroes": nvmOpcode.writeZeroes,
} as const;

export class TransferRequest extends BlockRequest {
  protected readonly changesBlocks: boolean;
  readonly #call: TransferCall;
  #issuedBlocks = 0;

  constructor(context: CallContext, call: TransferCall) {
    super(context);
    this.#call = call;
    this.changesBlocks = call.name === "write" || call.name === "write zeroes";
  }

  protected get hasCommandsLeft(): boolean {
    return this.#issuedBlocks < this.#call.blockCount;
  }

  protected writeCommand(slot: CommandSlot, slab: Slab, at: number): void {
    const { name, control, data, blockSizeBytes, commandBlocksMax, boundaryBlocks } = this.#call;
    const block = this.#call.block + this.#issuedBlocks;
    let blockCount = Math.min(commandBlocksMax, this.#call.blockCount - this.#issuedBlocks);
    if (boundaryBlocks > 0) blockCount = Math.min(blockCount, boundaryBlocks - (block % boundaryBlocks));
    writeSqe(slab, at, transferOpcode[name], slot.cid, this.context.device.nsid);
    writeSlba(slab, at, block);
    writeNlb(slab, at, blockCount, control);
    if (data !== undefined) {
      const direction = name === "read" ? transferDirection.toHost : transferDirection.toController;
      slot.setData(direction, data, this.#issuedBlocks * blockSizeBytes, blockCount * blockSizeBytes);
    }
    this.#issuedBlocks += blockCount;
  }

  protected describe(): string {
    return `${this.#call.name} of ${counted(this.#call.blockCount, "block")} at ${this.#call.block}`;
  }
}

export class FlushRequest extends BlockRequest {
  protected readonly changesBlocks = true;
  protected hasCommandsLeft = true;

  protected writeCommand(slot: CommandSlot, slab: Slab, at: number): void {
    writeSqe(slab, at, nvmOpcode.flush, slot.cid, this.context.device.nsid);
    this.hasCommandsLeft = false;
  }

  protected describe(): string {
    return "flush";
  }
}

/** Dataset Management with the deallocate attribute. */
export class DeallocateRequest extends BlockRequest {
  protected readonly changesBlocks = true;
  readonly #list: Uint8Array;
  readonly #rangesPerCommand: number;
  #issuedBytes = 0;

  /** @param list - Ranges as they are sent, 16 bytes each. */
  constructor(context: CallContext, list: Uint8Array, rangesPerCommand: number) {
    super(context);
    this.#list = list;
    this.#rangesPerCommand = rangesPerCommand;
  }

  protected get hasCommandsLeft(): boolean {
    return this.#issuedBytes < this.#list.length;
  }

  protected writeCommand(slot: CommandSlot, slab: Slab, at: number): void {
    const lengthMax = this.#rangesPerCommand * deallocateRangeLengthBytes;
    const lengthBytes = Math.min(lengthMax, this.#list.length - this.#issuedBytes);
    writeSqe(slab, at, nvmOpcode.datasetManagement, slot.cid, this.context.device.nsid);
    writeCdw(slab, at, 10, lengthBytes / deallocateRangeLengthBytes - 1);
    writeCdw(slab, at, 11, deallocateAttribute);
    slot.setData(transferDirection.toController, this.#list, this.#issuedBytes, lengthBytes);
    this.#issuedBytes += lengthBytes;
  }

  protected describe(): string {
    return `deallocate of ${this.#list.length / deallocateRangeLengthBytes} ranges`;
  }
}

export interface CompareAndWriteCall extends BlockRange {
  readonly expected: Uint8Array;
  readonly from: Uint8Array;
}

/** A fused pair: compare first, write second, back to back on one queue. */
export class CompareAndWriteRequest extends BlockRequest {
  override readonly slotsAtOnce = 2;
  protected readonly changesBlocks = true;
  readonly #call: CompareAndWriteCall;
  #issuedCount = 0;
  #isWriteDone = false;
  #write: CommandSlot | undefined = undefined;

  constructor(context: CallContext, call: CompareAndWriteCall) {
    super(context);
    this.#call = call;
  }

  protected get hasCommandsLeft(): boolean {
    return this.#issuedCount < 2;
  }

  protected writeCommand(slot: CommandSlot, slab: Slab, at: number): void {
    const { block, blockCount, expected, from } = this.#call;
    const isWrite = this.#issuedCount === 1;
    const data = isWrite ? from : expected;
    writeSqe(slab, at, isWrite ? nvmOpcode.write : nvmOpcode.compare, slot.cid, this.context.device.nsid);
    writeFuse(slab, at, isWrite ? fuse.second : fuse.first);
    writeSlba(slab, at, block);
    writeNlb(slab, at, blockCount, 0);
    slot.setData(transferDirection.toController, data, 0, data.length);
    if (isWrite) this.#write = slot;
    this.#issuedCount += 1;
  }

  override onCompletion(slot: CommandSlot, status: number): void {
    if (slot === this.#write) this.#isWriteDone = status === 0;
    super.onCompletion(slot, status);
  }

  protected override summary(problem: Outcome | undefined, succeededCount: number): Outcome {
    // One command of the pair fails because of the other: that alone does not make the outcome unknown.
    if (problem?.kind === "failed" && !this.#isWriteDone) return problem;
    return super.summary(problem, succeededCount);
  }

  protected describe(): string {
    return `compare and write of ${counted(this.#call.blockCount, "block")} at ${this.#call.block}`;
  }
}
