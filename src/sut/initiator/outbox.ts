/**
 * Outgoing bytes of one socket, in batches.
 *
 * Headers and small data go into slabs; larger data goes to the socket as it is, without a copy. All that is
 * sent within one event is corked into one write. A slab is used again once the socket has taken its bytes.
 *
 * @packageDocumentation
 */
import type { Socket } from "node:net";
import { Slab } from "../nvme/slab.ts";

const slabLengthBytes = 64 * 1024;
/** Data up to this many bytes is copied behind its header: cheaper than a buffer of its own in the write. */
const copiedLengthMax = 4096;

export class Outbox {
  /** Where {@link reserve} promised room. */
  slab = new Slab(slabLengthBytes);
  /** Number of the batch that is being filled, and of the last one that the socket has taken. */
  batch = 1;
  takenBatch = 0;
  readonly #socket: Socket;
  readonly #onTaken: () => void;
  readonly #freeSlabs: Slab[] = [];
  /** Slabs that are full, and the batch whose end makes them free. */
  readonly #fullSlabs: { readonly slab: Slab; readonly batch: number }[] = [];
  /** Part of the slab that is written but not yet given to the socket. */
  #start = 0;
  #end = 0;
  /** The last chunk of the batch waits, because the end of the batch gives it a callback. */
  #held: Uint8Array | undefined = undefined;
  #isOpen = false;
  #isInsideEvent = false;

  /** @param onTaken - Called when the socket has taken a batch, so that its buffers may change again. */
  constructor(socket: Socket, onTaken: () => void) {
    this.#socket = socket;
    this.#onTaken = onTaken;
  }

  /** From here to {@link endEvent} everything is one batch. */
  beginEvent(): void {
    this.#isInsideEvent = true;
  }

  endEvent(): void {
    this.#isInsideEvent = false;
    this.#flush();
  }

  /** Makes room for `lengthBytes` in `slab` and returns where it starts; {@link commit} keeps some of it. */
  reserve(lengthBytes: number): number {
    this.#open();
    if (this.#end + lengthBytes > slabLengthBytes) this.#renewSlab();
    return this.#end;
  }

  commit(lengthBytes: number): void {
    this.#end += lengthBytes;
  }

  /**
   * Sends `length` bytes of `data` from `offset` on; they must not change until their batch is taken.
   *
   * @returns True if the bytes were copied and may change at once.
   */
  append(data: Uint8Array, offset: number, length: number): boolean {
    const piece = data.subarray(offset, offset + length);
    if (length > copiedLengthMax) {
      this.#emitSlab();
      this.#emit(piece);
      return false;
    }
    const at = this.reserve(length);
    this.slab.bytes.set(piece, at);
    this.commit(length);
    return true;
  }

  /** Sends a little-endian u32, such as a digest, which may land in another slab than what stands before it. */
  appendUint32(value: number): void {
    // First the room, which may change the slab, then the slab.
    const at = this.reserve(Uint32Array.BYTES_PER_ELEMENT);
    this.slab.view.setUint32(at, value, true);
    this.commit(Uint32Array.BYTES_PER_ELEMENT);
  }

  #open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#socket.cork();
    // Behind the promise callbacks of this turn, which tend to send the next commands.
    if (!this.#isInsideEvent) process.nextTick(this.#onTick);
  }

  readonly #onTick = (): void => {
    if (!this.#isInsideEvent) this.#flush();
  };

  #flush(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#emitSlab();
    if (this.#held !== undefined) {
      this.batch += 1;
      this.#socket.write(this.#held, this.#onBatchTaken);
      this.#held = undefined;
    }
    this.#socket.uncork();
  }

  /** The socket calls back in the order of its writes, so counting is enough. */
  readonly #onBatchTaken = (error?: Error | null): void => {
    if (error) return;
    this.takenBatch += 1;
    while (this.#fullSlabs.length > 0 && this.#fullSlabs[0]!.batch <= this.takenBatch) {
      this.#freeSlabs.push(this.#fullSlabs.shift()!.slab);
    }
    this.#onTaken();
  };

  #renewSlab(): void {
    this.#emitSlab();
    this.#fullSlabs.push({ slab: this.slab, batch: this.batch });
    this.slab = this.#freeSlabs.pop() ?? new Slab(slabLengthBytes);
    this.#start = 0;
    this.#end = 0;
  }

  #emitSlab(): void {
    if (this.#end === this.#start) return;
    this.#emit(this.slab.bytes.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }

  #emit(chunk: Uint8Array): void {
    if (this.#held !== undefined) this.#socket.write(this.#held);
    this.#held = chunk;
  }
}
