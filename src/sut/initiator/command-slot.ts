/**
 * Slots of commands in flight, and what a queue expects of a request.
 *
 * A slot is made once and used again: sending a command allocates nothing. The CID holds the index of the
 * slot and a generation, so that an answer to a command of the past is recognized as such.
 *
 * @packageDocumentation
 */
import { fatalErrorStatus, PduError } from "../nvme/pdu.ts";
import type { Slab } from "../nvme/slab.ts";
import type { OutcomeCode } from "../port.ts";

/** Why the commands in flight got no answer. */
export interface Loss {
  readonly code: OutcomeCode;
  readonly message: string;
  /** Connecting again cannot help. */
  readonly isPermanent?: boolean;
}

/** Something that turns into one or more commands. Its methods are called by the queue that it is given to. */
export interface QueueRequest {
  /** Commands that must leave back to back on one queue: 1, or 2 for a fused pair. */
  readonly slotsAtOnce: number;
  /** Commands are left to send. */
  readonly hasMore: boolean;
  /** Ticks that a sent command may take; `Infinity` for one that waits for an event. */
  readonly timeoutTicks: number;
  /** Tick at which a request that still waits to be sent is given up. */
  waitDeadlineTick: number;
  /** Writes the next SQE, without SGL, and tells `slot` about its data. */
  writeNext(slot: CommandSlot, slab: Slab, at: number): void;
  /** @param status - STATUS field of the completion; 0 is success. */
  onCompletion(slot: CommandSlot, status: number, dw0: number, dw1: number): void;
  /** The command was sent and will not be answered. */
  onLost(slot: CommandSlot, loss: Loss): void;
  /** The queue no longer touches the caller's buffer; asked for by `QueueConnection.detach`. */
  onDetached(slot: CommandSlot): void;
  /** It waited too long, or will never be sent. What was not sent certainly had no effect. */
  onNeverSent(loss: Loss): void;
}

export const transferDirection = { none: 0, toController: 1, toHost: 2 } as const;

const generationCount = 16;
const generationShift = 12;
/** Most slots of one queue: the index has 12 bits, and CID 0xFFFF stays unused. */
export const slotCountMax = 2048;

export class CommandSlot {
  readonly index: number;
  cid = 0;
  request: QueueRequest | undefined = undefined;
  direction: number = transferDirection.none;
  /** Caller's memory; `undefined` without data, or after the caller has taken it back. */
  data: Uint8Array | undefined = undefined;
  /** Where the data of this command starts in `data`. */
  dataOffset = 0;
  dataLengthBytes = 0;
  /** Bytes of data received, or handed to the socket. */
  transferredBytes = 0;
  /** No data digest has failed. */
  isIntact = true;
  deadlineTick = 0;
  /** Batch of the outbox that last held bytes of `data`. */
  batch = 0;
  isDetaching = false;
  #generation = 0;

  constructor(index: number) {
    this.index = index;
  }

  begin(request: QueueRequest): void {
    this.#generation = (this.#generation + 1) % generationCount;
    this.cid = (this.#generation << generationShift) | this.index;
    this.request = request;
    this.direction = transferDirection.none;
    this.dataLengthBytes = 0;
    this.transferredBytes = 0;
    this.isIntact = true;
    this.batch = 0;
    this.isDetaching = false;
  }

  /** Names the data of the command. `data` is read, or filled, in place. */
  setData(direction: number, data: Uint8Array, dataOffset: number, dataLengthBytes: number): void {
    this.direction = direction;
    this.data = data;
    this.dataOffset = dataOffset;
    this.dataLengthBytes = dataLengthBytes;
  }

  end(): void {
    this.request = undefined;
    this.data = undefined;
  }
}

/**
 * The slot of a command in flight.
 *
 * @param fieldOffset - Where the CID stands in the PDU.
 * @throws {PduError} If no such command is in flight.
 */
export function slotInFlight(slots: readonly CommandSlot[], cid: number, fieldOffset: number): CommandSlot {
  const slot = slots[cid & ((1 << generationShift) - 1)];
  if (slot?.request !== undefined && slot.cid === cid) return slot;
  const message = `CID 0x${cid.toString(16)} is not in flight`;
  throw new PduError(fatalErrorStatus.invalidHeaderField, fieldOffset, message);
}
