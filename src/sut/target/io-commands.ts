/**
 * Commands of one I/O queue.
 *
 * Data calls of the store return at once, so most commands are answered while they are being parsed. The
 * others wait in a slot: for data after an R2T, for the other half of a fused pair, for a flush, or for the
 * host to read what was sent. A write touches the volume once, when all its bytes are here.
 *
 * Inside, a step returns the status to fail its command with, or `undefined` if it has taken care of it.
 *
 * @see NVM Express NVM Command Set Specification.
 * @packageDocumentation
 */
import {
  deallocateAttribute,
  deallocateRangeLengthBytes,
  fuse,
  ioControl,
  nsidBroadcast,
  nvmOpcode,
  readBlockCount,
  readCdw,
  readCid,
  readControl,
  readFuse,
  readNsid,
  readOpcode,
  readSglLength,
  readSlba,
} from "../nvme/commands.ts";
import { fatalErrorStatus, PduError } from "../nvme/pdu.ts";
import type { Slab } from "../nvme/slab.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import { flushBlocks } from "../store/partial-flush.ts";
import type { Namespace } from "../store/port.ts";
import type { CommandSlot, SlotState } from "./command-slots.ts";
import type { Controller } from "./controller.ts";
import { FusedPairs } from "./fused-pairs.ts";
import { c2hDataLengthMax } from "./options.ts";
import type { Queue } from "./queue.ts";
import { dataInProblem, dataOutProblem } from "./sgl.ts";
import type { Target } from "./target.ts";
import { Transfers } from "./transfers.ts";
import type { VolumeCalls } from "./volume-calls.ts";

/** Unsent bytes above which reads wait for the host to catch up. */
export const backlogLengthMax = 1024 * 1024;

/** The command that is being executed, as the reader holds it: its SQE, and what came in the capsule. */
export interface Capsule {
  readonly view: DataView;
  /** Where the SQE starts in `view`. */
  readonly at: number;
  /** In-capsule data, from offset 0 on. */
  readonly data: Slab;
  dataLengthBytes: number;
  isDataIntact: boolean;
}

/** What happens outside of parsing. */
export interface IoConnection {
  /** Sends what has been written. */
  flushSoon(): void;
  /** Ends the connection after an error. */
  fault(error: unknown): void;
}

export class IoCommands {
  readonly #target: Target;
  readonly #volumes: VolumeCalls;
  readonly #queue: Queue;
  readonly #controller: Controller;
  readonly #connection: IoConnection;
  readonly #transfers: Transfers;
  readonly #pairs: FusedPairs;
  /** Reads that wait for room, oldest first. */
  readonly #postponed: CommandSlot[] = [];

  constructor(target: Target, queue: Queue, controller: Controller, connection: IoConnection) {
    this.#target = target;
    this.#volumes = target.volumes;
    this.#queue = queue;
    this.#controller = controller;
    this.#connection = connection;
    this.#transfers = new Transfers(queue, target.transferPool);
    this.#pairs = new FusedPairs({
      finish: (slot, failure) => this.#finish(slot, failure),
      lose: (slot, failure) => this.#lose(slot, failure),
      apply: (slot) => this.#apply(slot),
    });
  }

  /** @throws {PduError} The host has more commands in flight than its queue has entries. */
  execute(capsule: Capsule): void {
    const { view, at } = capsule;
    const cid = readCid(view, at);
    const isFused = this.#pairs.isExpecting || readFuse(view, at) !== fuse.none;
    const isFusedHalf = isFused && this.#pairs.begin(view, at);
    const failure = isFusedHalf ? this.#executeHalf(cid, capsule) : this.#executeWhole(cid, capsule);
    if (failure === undefined) return;
    if (isFusedHalf) this.#pairs.refused(view, at);
    this.#queue.fail(cid, failure);
  }

  /** All data of a transfer is here; `slot.failure` is set if it cannot be used. */
  transferred(slot: CommandSlot): void {
    if (this.#pairs.transferred(slot)) return;
    this.#finish(slot, slot.failure ?? this.#apply(slot));
  }

  /** The socket has taken a batch: reads that waited may go. True if none waits any more. */
  resume(): boolean {
    while (this.#postponed.length > 0 && this.#queue.outbox.backlogBytes <= backlogLengthMax) {
      this.#sendPostponed(this.#postponed.shift()!);
    }
    return this.#postponed.length === 0;
  }

  /** Takes a command out that waits and has nothing on the way; true if there was one. */
  abort(cid: number): boolean {
    const slot = this.#queue.slots.find(cid);
    if (slot === undefined || slot.partner !== undefined) return false;
    if (slot.state !== "buffer" && slot.state !== "partner") return false;
    this.#pairs.forget(slot);
    this.#lose(slot, statusCode.abortRequested);
    return true;
  }

  /** The connection is gone: transfers are dropped, nothing of them is applied. */
  close(): void {
    this.#transfers.close();
    this.#postponed.length = 0;
  }

  #executeWhole(cid: number, capsule: Capsule): StatusCode | undefined {
    const { view, at } = capsule;
    if (!this.#controller.isReady) return statusCode.commandSequenceError;
    if (!capsule.isDataIntact) return statusCode.transientTransportError;
    switch (readOpcode(view, at)) {
      case nvmOpcode.read:
        return this.#read(cid, view, at);
      case nvmOpcode.write:
        return this.#write(cid, capsule);
      case nvmOpcode.flush:
        return this.#flush(cid, readNsid(view, at));
      case nvmOpcode.writeZeroes:
        return this.#writeZeroes(cid, view, at);
      case nvmOpcode.datasetManagement:
        return this.#datasetManagement(cid, capsule);
      case nvmOpcode.compare:
        return this.#compare(cid, capsule);
      default:
        return statusCode.invalidOpcode;
    }
  }

  #read(cid: number, view: DataView, at: number): StatusCode | undefined {
    const nsid = readNsid(view, at);
    const block = readSlba(view, at);
    const blockCount = readBlockCount(view, at);
    const namespace = this.#volumes.namespace(nsid);
    const problem =
      this.#volumes.transferProblem(namespace, block, blockCount) ??
      dataInProblem(view, at, blockCount * namespace!.blockSizeBytes);
    if (problem !== undefined) return problem;
    const isForced = (readControl(view, at) & ioControl.forceUnitAccess) !== 0;
    if (isForced && this.#target.configuration.volatileWriteCache) {
      const slot = this.#take(cid, "store", nvmOpcode.read, nsid, block, blockCount);
      const flushed = flushBlocks(namespace!, block, blockCount);
      this.#whenFlushed(slot, flushed, () => this.#sendPostponed(slot));
      return undefined;
    }
    if (this.#queue.outbox.backlogBytes <= backlogLengthMax) {
      return this.#sendRead(cid, namespace!, block, blockCount);
    }
    this.#postponed.push(this.#take(cid, "room", nvmOpcode.read, nsid, block, blockCount));
    return undefined;
  }

  /** Sends a read that has waited: the namespace may have shrunk or gone meanwhile. */
  #sendPostponed(slot: CommandSlot): void {
    const { cid, nsid, block, blockCount } = slot;
    this.#queue.slots.release(slot);
    const namespace = this.#volumes.namespace(nsid);
    const failure =
      this.#volumes.transferProblem(namespace, block, blockCount) ??
      this.#sendRead(cid, namespace!, block, blockCount);
    if (failure !== undefined) this.#queue.fail(cid, failure);
  }

  /** Reads from the volume straight into what is sent. */
  #sendRead(cid: number, namespace: Namespace, block: number, blockCount: number): StatusCode | undefined {
    const { blockSizeBytes } = namespace;
    const blocksPerPdu = c2hDataLengthMax / blockSizeBytes;
    for (let done = 0; done < blockCount; ) {
      const count = Math.min(blockCount - done, blocksPerPdu);
      const lengthBytes = count * blockSizeBytes;
      const start = this.#queue.openData(lengthBytes);
      const into = this.#queue.outbox.slab.bytes.subarray(start, start + lengthBytes);
      const failure = this.#volumes.read(namespace, block + done, count, into);
      if (failure !== undefined) {
        this.#queue.abandonData();
        return failure;
      }
      this.#queue.closeData(cid, done * blockSizeBytes, lengthBytes, done + count === blockCount);
      done += count;
    }
    this.#volumes.statistics.readCommands++;
    return undefined;
  }

  #write(cid: number, capsule: Capsule): StatusCode | undefined {
    const problem = this.#dataOutProblem(capsule);
    if (problem !== undefined) return problem;
    if (capsule.dataLengthBytes === 0) return this.#request(cid, capsule);
    const { view, at } = capsule;
    const namespace = this.#volumes.namespace(readNsid(view, at))!;
    const from = capsule.data.bytes.subarray(0, capsule.dataLengthBytes);
    const block = readSlba(view, at);
    const blockCount = readBlockCount(view, at);
    const failure = this.#volumes.write(namespace, block, blockCount, from);
    return failure ?? this.#acknowledge(cid, namespace, readControl(view, at), block, blockCount);
  }

  #compare(cid: number, capsule: Capsule): StatusCode | undefined {
    const problem = this.#dataOutProblem(capsule);
    if (problem !== undefined) return problem;
    if (capsule.dataLengthBytes === 0) return this.#request(cid, capsule);
    const { view, at } = capsule;
    const namespace = this.#volumes.namespace(readNsid(view, at))!;
    const expected = capsule.data.bytes.subarray(0, capsule.dataLengthBytes);
    const failure = this.#volumes.compare(namespace, readSlba(view, at), readBlockCount(view, at), expected);
    if (failure === undefined) this.#queue.succeed(cid);
    return failure;
  }

  #writeZeroes(cid: number, view: DataView, at: number): StatusCode | undefined {
    const block = readSlba(view, at);
    const blockCount = readBlockCount(view, at);
    const namespace = this.#volumes.namespace(readNsid(view, at));
    const failure =
      this.#volumes.rangeProblem(namespace, block, blockCount) ??
      this.#volumes.zero(namespace!, block, blockCount);
    return failure ?? this.#acknowledge(cid, namespace!, readControl(view, at), block, blockCount);
  }

  #datasetManagement(cid: number, capsule: Capsule): StatusCode | undefined {
    const { view, at } = capsule;
    const namespace = this.#volumes.namespace(readNsid(view, at));
    if (namespace === undefined) return statusCode.invalidNamespace;
    const rangeCount = (readCdw(view, at, 10) & 0xff) + 1;
    // Linux sends 4096 bytes whatever the number of ranges.
    const lengthMin = rangeCount * deallocateRangeLengthBytes;
    const lengthMax = this.#target.configuration.transferLengthMax;
    const problem = dataOutProblem(view, at, lengthMin, lengthMax, capsule.dataLengthBytes);
    if (problem !== undefined) return problem;
    if (capsule.dataLengthBytes === 0) return this.#request(cid, capsule);
    const failure = this.#volumes.deallocate(namespace, capsule.data.view, deallocatedCount(view, at));
    return failure ?? this.#acknowledge(cid, namespace, 0, 0, 0);
  }

  #flush(cid: number, nsid: number): StatusCode | undefined {
    const namespace = this.#volumes.namespace(nsid);
    if (namespace === undefined && nsid !== nsidBroadcast) return statusCode.invalidNamespace;
    const slot = this.#take(cid, "store", nvmOpcode.flush, nsid, 0, 0);
    this.#whenFlushed(slot, namespace?.flush() ?? this.#volumes.flushAll());
    return undefined;
  }

  /** Holds half of a fused pair until both halves have their data. */
  #executeHalf(cid: number, capsule: Capsule): StatusCode | undefined {
    const { view, at } = capsule;
    const problem = this.#controller.isReady
      ? this.#pairs.problem(view, at)
      : statusCode.commandSequenceError;
    if (problem !== undefined) return problem;
    if (!capsule.isDataIntact) return statusCode.transientTransportError;
    const dataProblem = this.#dataOutProblem(capsule);
    if (dataProblem !== undefined) return dataProblem;
    const slot = this.#takeTransfer(cid, view, at);
    this.#pairs.hold(slot);
    if (capsule.dataLengthBytes === 0) this.#transfers.request(slot);
    else {
      this.#transfers.keep(slot, capsule.data.bytes.subarray(0, capsule.dataLengthBytes));
      this.transferred(slot);
    }
    return undefined;
  }

  /** Executes a command whose data came after an R2T. The range is checked again: time has passed. */
  #apply(slot: CommandSlot): StatusCode | undefined {
    const { nsid, block, blockCount, lengthBytes } = slot;
    const namespace = this.#volumes.namespace(nsid);
    if (namespace === undefined) return statusCode.invalidNamespace;
    const data = slot.data!;
    if (slot.opcode === nvmOpcode.datasetManagement) {
      return this.#volumes.deallocate(namespace, data.view, slot.rangeCount);
    }
    const problem = this.#volumes.transferProblem(namespace, block, blockCount);
    if (problem !== undefined) return problem;
    const bytes = data.bytes.subarray(0, lengthBytes);
    return slot.opcode === nvmOpcode.compare
      ? this.#volumes.compare(namespace, block, blockCount, bytes)
      : this.#volumes.write(namespace, block, blockCount, bytes);
  }

  /** Ends a command in a slot; one that has to be durable when it succeeds waits for a flush first. */
  #finish(slot: CommandSlot, failure: StatusCode | undefined): void {
    const { cid, opcode, nsid, isForcedUnitAccess, block, blockCount } = slot;
    this.#transfers.release(slot);
    const changesBlocks = opcode === nvmOpcode.write || opcode === nvmOpcode.datasetManagement;
    const isDurable = isForcedUnitAccess || !this.#controller.isWriteCacheEnabled;
    const namespace = this.#volumes.namespace(nsid);
    if (failure === undefined && changesBlocks && isDurable && namespace !== undefined) {
      slot.state = "store";
      this.#whenFlushed(slot, this.#makeDurable(namespace, isForcedUnitAccess, block, blockCount));
      return;
    }
    this.#queue.slots.release(slot);
    if (failure === undefined) this.#queue.succeed(cid);
    else this.#queue.fail(cid, failure);
  }

  /** Fails a command that may still have data on the way: its answer then waits for the rest. */
  #lose(slot: CommandSlot, failure: StatusCode): void {
    slot.failure = failure;
    if (slot.state === "data") return;
    this.#transfers.cancel(slot);
    this.#finish(slot, failure);
  }

  /** Answers a write that has been applied, now or when it is on stable media. */
  #acknowledge(
    cid: number,
    namespace: Namespace,
    control: number,
    block: number,
    blockCount: number,
  ): undefined {
    const isForced = (control & ioControl.forceUnitAccess) !== 0;
    if (!isForced && this.#controller.isWriteCacheEnabled) {
      this.#queue.succeed(cid);
    } else {
      const slot = this.#take(cid, "store", nvmOpcode.flush, namespace.nsid, block, blockCount);
      this.#whenFlushed(slot, this.#makeDurable(namespace, isForced, block, blockCount));
    }
    return undefined;
  }

  /** FUA is for the command's own blocks; with the write cache switched off nothing may stay behind. */
  #makeDurable(namespace: Namespace, isForced: boolean, block: number, blockCount: number): Promise<void> {
    const isForBlocksAlone = isForced && this.#controller.isWriteCacheEnabled;
    return isForBlocksAlone ? flushBlocks(namespace, block, blockCount) : namespace.flush();
  }

  #whenFlushed(slot: CommandSlot, flushed: Promise<void>, next?: () => void): void {
    const settle = (failure: StatusCode | undefined) => {
      if (this.#queue.isClosed) return;
      if (failure === undefined && next !== undefined) next();
      else {
        this.#queue.slots.release(slot);
        if (failure === undefined) this.#queue.succeed(slot.cid);
        else this.#queue.fail(slot.cid, failure);
      }
      this.#connection.flushSoon();
    };
    flushed
      .then(
        () => settle(undefined),
        (error: unknown) => settle(this.#volumes.statusOf(error, "write", undefined)),
      )
      .catch((error: unknown) => this.#connection.fault(error));
  }

  #request(cid: number, { view, at }: Capsule): undefined {
    this.#transfers.request(this.#takeTransfer(cid, view, at));
    return undefined;
  }

  #takeTransfer(cid: number, view: DataView, at: number): CommandSlot {
    const opcode = readOpcode(view, at);
    const slot = this.#take(
      cid,
      "buffer",
      opcode,
      readNsid(view, at),
      readSlba(view, at),
      readBlockCount(view, at),
    );
    slot.lengthBytes = readSglLength(view, at);
    if (opcode === nvmOpcode.datasetManagement) slot.rangeCount = deallocatedCount(view, at);
    else slot.isForcedUnitAccess = (readControl(view, at) & ioControl.forceUnitAccess) !== 0;
    return slot;
  }

  #take(
    cid: number,
    state: SlotState,
    opcode: number,
    nsid: number,
    block: number,
    blockCount: number,
  ): CommandSlot {
    const slot = this.#queue.slots.take(cid);
    if (slot === undefined) {
      throw new PduError(
        fatalErrorStatus.sequenceError,
        0,
        "more commands in flight than the queue has entries",
      );
    }
    slot.state = state;
    slot.opcode = opcode;
    slot.nsid = nsid;
    slot.block = block;
    slot.blockCount = blockCount;
    return slot;
  }

  /** What is wrong with a write or compare, or `undefined`. */
  #dataOutProblem({ view, at, dataLengthBytes }: Capsule): StatusCode | undefined {
    const namespace = this.#volumes.namespace(readNsid(view, at));
    const blockCount = readBlockCount(view, at);
    const problem = this.#volumes.transferProblem(namespace, readSlba(view, at), blockCount);
    if (problem !== undefined) return problem;
    const lengthBytes = blockCount * namespace!.blockSizeBytes;
    return dataOutProblem(view, at, lengthBytes, lengthBytes, dataLengthBytes);
  }
}

/** Ranges to deallocate: without the attribute, Dataset Management is a hint that means nothing here. */
function deallocatedCount(view: DataView, at: number): number {
  return (readCdw(view, at, 11) & deallocateAttribute) === 0 ? 0 : (readCdw(view, at, 10) & 0xff) + 1;
}
