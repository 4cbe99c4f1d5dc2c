/**
 * The data of commands on one queue: what an R2T asks for goes out, what C2HData brings comes in.
 *
 * Callers' buffers are used in place, so a command can also be detached from its buffer while it goes on.
 * SQEs and completions are left to `connection.ts`.
 *
 * @packageDocumentation
 */
import { digest } from "../nvme/digest.ts";
import {
  fatalErrorStatus,
  headerSlotLengthBytes,
  PduError,
  type PduHeader,
  plainWire,
  type WireFormat,
} from "../nvme/pdu.ts";
import { encodeH2cData } from "../nvme/pdu-encoding.ts";
import { type CommandSlot, type QueueRequest, slotInFlight, transferDirection } from "./command-slot.ts";
import type { Outbox } from "./outbox.ts";

const noData = new Uint8Array(0);

export class DataTransfers {
  readonly #outbox: Outbox;
  readonly #slots: readonly CommandSlot[];
  #wire: WireFormat = plainWire;
  #h2cDataLengthMax = 0;
  #detachingCount = 0;
  /** Command whose data is arriving, and the reader's header that names its destination. */
  #receiving: CommandSlot | undefined = undefined;
  #header: PduHeader | undefined = undefined;

  /** @param slots - All slots of the queue. */
  constructor(outbox: Outbox, slots: readonly CommandSlot[]) {
    this.#outbox = outbox;
    this.#slots = slots;
  }

  /** Call before the first command. */
  negotiated(wire: WireFormat, h2cDataLengthMax: number): void {
    this.#wire = wire;
    this.#h2cDataLengthMax = h2cDataLengthMax;
  }

  /** Queues data of a command behind the header that has just been committed. */
  append(slot: CommandSlot, offset: number, length: number): void {
    const outbox = this.#outbox;
    const data = slot.data ?? noData;
    const start = slot.dataOffset + offset;
    if (!outbox.append(data, start, length)) slot.batch = outbox.batch;
    slot.transferredBytes = offset + length;
    if (!this.#wire.dataDigest) return;
    outbox.appendUint32(digest(data.subarray(start, start + length)));
  }

  /**
   * Queues what an R2T asks for.
   *
   * @throws {PduError} If it asks for what the command does not have, or out of order.
   */
  answerR2t(header: PduHeader): void {
    const slot = slotInFlight(this.#slots, header.cid, 8);
    const { transferOffset, transferLengthBytes, ttag, cid } = header;
    const { direction, transferredBytes, dataLengthBytes } = slot;
    if (direction !== transferDirection.toController) {
      throw new PduError(fatalErrorStatus.sequenceError, 0, "R2T for a command that sends no data");
    }
    const end = transferOffset + transferLengthBytes;
    if (transferLengthBytes === 0 || end > dataLengthBytes) {
      const range = `bytes ${transferOffset} to ${end} of ${dataLengthBytes}`;
      throw new PduError(fatalErrorStatus.dataOutOfRange, 0, `R2T asks for ${range}`);
    }
    if (transferOffset !== transferredBytes) {
      const expected = `${transferredBytes} was expected`;
      throw new PduError(
        fatalErrorStatus.invalidHeaderField,
        12,
        `R2T asks for offset ${transferOffset}, ${expected}`,
      );
    }
    for (let at = transferOffset; at < end; ) {
      const length = Math.min(end - at, this.#h2cDataLengthMax);
      const start = this.#outbox.reserve(headerSlotLengthBytes);
      const isLast = at + length === end;
      const { slab } = this.#outbox;
      this.#outbox.commit(encodeH2cData(slab, start, this.#wire, cid, ttag, at, length, isLast));
      this.append(slot, at, length);
      at += length;
    }
  }

  /**
   * Names the destination of a C2HData whose header has arrived.
   *
   * @throws {PduError} If no command expects it there.
   */
  place(header: PduHeader): void {
    const slot = slotInFlight(this.#slots, header.cid, 8);
    const { transferOffset, transferLengthBytes } = header;
    if (slot.direction !== transferDirection.toHost) {
      throw new PduError(fatalErrorStatus.sequenceError, 0, "C2HData for a command that reads nothing");
    }
    if (transferOffset !== slot.transferredBytes) {
      const message = `C2HData starts at offset ${transferOffset}, ${slot.transferredBytes} was expected`;
      throw new PduError(fatalErrorStatus.invalidHeaderField, 12, message);
    }
    if (transferOffset + transferLengthBytes > slot.dataLengthBytes) {
      const message = `C2HData ends at ${transferOffset + transferLengthBytes} of ${slot.dataLengthBytes} bytes`;
      throw new PduError(fatalErrorStatus.dataOutOfRange, 0, message);
    }
    this.#receiving = slot;
    this.#header = header;
    header.destination = slot.data;
    header.destinationOffset = slot.dataOffset + transferOffset;
  }

  /** Counts a C2HData that has arrived as a whole, and returns whose it is. */
  take(header: PduHeader, isDataIntact: boolean): CommandSlot {
    const slot = this.#receiving!;
    this.#receiving = undefined;
    slot.transferredBytes += header.dataLengthBytes;
    if (!isDataIntact) slot.isIntact = false;
    return slot;
  }

  /**
   * Takes the caller's buffers out of use for every command of `request`, which is told by `onDetached`:
   * at once, or as soon as the socket has taken the bytes it was given. The commands go on without it.
   */
  detach(request: QueueRequest): void {
    for (const slot of this.#slots) {
      if (slot.request !== request || slot.isDetaching) continue;
      if (slot === this.#receiving && this.#header !== undefined) this.#header.destination = undefined;
      if (slot.batch > this.#outbox.takenBatch) {
        slot.isDetaching = true;
        this.#detachingCount += 1;
      } else {
        this.#detachSlot(slot, request);
      }
    }
  }

  /** The socket has taken a batch: buffers that waited for it are given back. */
  onBatchTaken(): void {
    if (this.#detachingCount === 0) return;
    for (const slot of this.#slots) {
      if (!slot.isDetaching || slot.request === undefined || slot.batch > this.#outbox.takenBatch) continue;
      slot.isDetaching = false;
      this.#detachingCount -= 1;
      this.#detachSlot(slot, slot.request);
    }
  }

  /** Call when a command has ended, before its slot is. */
  end(slot: CommandSlot): void {
    if (slot.isDetaching) this.#detachingCount -= 1;
  }

  #detachSlot(slot: CommandSlot, request: QueueRequest): void {
    // What an R2T may still ask for is copied now; incoming data is dropped from here on.
    if (slot.direction === transferDirection.toController && slot.transferredBytes < slot.dataLengthBytes) {
      // Not `slice`: the one of a Buffer shares its memory.
      slot.data = Uint8Array.from(
        slot.data?.subarray(slot.dataOffset, slot.dataOffset + slot.dataLengthBytes) ?? noData,
      );
      slot.dataOffset = 0;
    } else {
      slot.data = undefined;
    }
    slot.request = abandoned;
    request.onDetached(slot);
  }
}

/** Takes the answers to commands that nobody waits for. */
const abandoned: QueueRequest = {
  slotsAtOnce: 1,
  hasMore: false,
  timeoutTicks: 0,
  waitDeadlineTick: Number.POSITIVE_INFINITY,
  writeNext: () => {},
  onCompletion: () => {},
  onLost: () => {},
  onDetached: () => {},
  onNeverSent: () => {},
};
