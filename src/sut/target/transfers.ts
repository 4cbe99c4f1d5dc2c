/**
 * Data from the host that comes after an R2T: buffers, and who gets the next one.
 *
 * One queue holds a bounded number of buffers. Commands beyond that wait in the order in which they came, so
 * the two halves of a fused pair cannot keep each other waiting.
 *
 * @packageDocumentation
 */
import { fatalErrorStatus, PduError, type PduHeader } from "../nvme/pdu.ts";
import type { CommandSlot } from "./command-slots.ts";
import type { SlabPool } from "./outbox.ts";
import type { Queue } from "./queue.ts";

/** Memory of one queue, bytes; but at least two buffers, so that a pair can meet. */
const bufferedBytesMax = 8 * 1024 * 1024;

export class Transfers {
  readonly #queue: Queue;
  readonly #pool: SlabPool;
  readonly #countMax: number;
  readonly #waiting: CommandSlot[] = [];
  #count = 0;

  constructor(queue: Queue, pool: SlabPool) {
    this.#queue = queue;
    this.#pool = pool;
    this.#countMax = Math.max(2, Math.floor(bufferedBytesMax / pool.slabLengthBytes));
  }

  /** Asks the host for the data of a command, as soon as there is a buffer for it. */
  request(slot: CommandSlot): void {
    if (this.#count >= this.#countMax) {
      slot.state = "buffer";
      this.#waiting.push(slot);
      return;
    }
    this.#count++;
    slot.data = this.#pool.take();
    slot.state = "data";
    slot.grantedBytes = slot.lengthBytes;
    this.#queue.sendR2t(slot.cid, slot.ttag, slot.lengthBytes);
  }

  /** Keeps a copy of data that came in the capsule, whatever the bound: the capsule is used again at once. */
  keep(slot: CommandSlot, data: Uint8Array): void {
    this.#count++;
    slot.data = this.#pool.take();
    slot.data.bytes.set(data);
  }

  /** Takes a command that has no buffer yet out of the line. */
  cancel(slot: CommandSlot): void {
    const index = this.#waiting.indexOf(slot);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  /** Takes the buffer of a command back, and serves who waits longest. */
  release(slot: CommandSlot): void {
    if (slot.data === undefined) return;
    this.#pool.give(slot.data);
    slot.data = undefined;
    this.#count--;
    if (this.#count >= this.#countMax) return;
    const next = this.#waiting.shift();
    if (next !== undefined) this.request(next);
  }

  /** Takes everything back: the connection is gone. */
  close(): void {
    this.#waiting.length = 0;
    for (const slot of this.#queue.slots) this.release(slot);
  }
}

/**
 * Finds the command that H2CData belongs to, and says where its bytes go.
 *
 * @throws {PduError} The host sends what no R2T has asked for.
 */
export function placeTransfer(queue: Queue, header: PduHeader): void {
  const { ttag, cid, transferOffset, dataLengthBytes } = header;
  const slot = queue.slots.get(ttag);
  const { invalidHeaderField, dataOutOfRange } = fatalErrorStatus;
  if (slot?.state !== "data") {
    throw new PduError(invalidHeaderField, 10, `H2CData for transfer tag ${ttag}, which is not outstanding`);
  }
  if (slot.cid !== cid) {
    throw new PduError(invalidHeaderField, 8, `H2CData with CID ${cid} for the transfer of CID ${slot.cid}`);
  }
  const end = transferOffset + dataLengthBytes;
  if (end > slot.grantedBytes) {
    throw new PduError(dataOutOfRange, 0, `H2CData up to ${end}, granted were ${slot.grantedBytes} bytes`);
  }
  if (transferOffset !== slot.receivedBytes) {
    const expected = slot.receivedBytes;
    throw new PduError(invalidHeaderField, 12, `H2CData at offset ${transferOffset}, expected ${expected}`);
  }
  if (header.isLast && end < slot.grantedBytes) {
    const missing = slot.grantedBytes - end;
    throw new PduError(invalidHeaderField, 1, `H2CData has LAST with ${missing} bytes to come`);
  }
  header.destination = slot.data!.bytes;
  header.destinationOffset = transferOffset;
}
