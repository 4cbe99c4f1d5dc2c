/**
 * What a connection has to say, gathered in pooled slabs and given to the socket once per batch.
 *
 * Headers and data are written next to each other, so an event of the socket ends in one write, or few if there
 * is much to say, and read data is copied once, from the volume into the slab. A slab is used again only after the
 * socket has taken it.
 *
 * The initiator's outbox is another: it lends callers' buffers to the socket and numbers its batches. Here nothing
 * is lent; slabs come from a pool for all connections, and what a slow host leaves unread is counted.
 *
 * @packageDocumentation
 */
import { Slab } from "../nvme/slab.ts";

/** The way out of a connection: a socket, or a recorder in a test. */
export interface Transport {
  /** Takes bytes in order and calls `taken` once they may be overwritten, also if the peer is gone. */
  write(bytes: Uint8Array, taken: () => void): void;
  /** Sends what was written, then closes; what still arrives is dropped. */
  end(): void;
  /** Stops and starts the delivery of received bytes. */
  pause(): void;
  resume(): void;
  readonly localAddress: string;
  readonly localPort: number;
  /** The peer, for the log. */
  readonly remoteName: string;
}

/** Slabs of one size, kept for reuse up to a count. */
export class SlabPool {
  readonly slabLengthBytes: number;
  readonly #keptCountMax: number;
  readonly #free: Slab[] = [];

  constructor(options: { readonly slabLengthBytes: number; readonly keptCountMax: number }) {
    this.slabLengthBytes = options.slabLengthBytes;
    this.#keptCountMax = options.keptCountMax;
  }

  take(): Slab {
    return this.#free.pop() ?? new Slab(this.slabLengthBytes);
  }

  give(slab: Slab): void {
    if (this.#free.length < this.#keptCountMax) this.#free.push(slab);
  }
}

/**
 * Batches on their way to the socket before further ones wait to grow: a host that does not read would
 * otherwise bind a slab with each small answer.
 */
const batchCountMax = 2;
/**
 * Bytes that leave before the event has ended, if the socket keeps up: the host takes the first reads of a batch
 * while the next are copied.
 */
const batchLengthMin = 64 * 1024;

export class Outbox {
  readonly #pool: SlabPool;
  readonly #transport: Transport;
  readonly #onTaken: () => void;
  #slab: Slab | undefined;
  #at = 0;
  #backlogBytes = 0;
  #batchCount = 0;

  /** @param onTaken - Called each time the socket has taken a batch. */
  constructor(pool: SlabPool, transport: Transport, onTaken: () => void) {
    this.#pool = pool;
    this.#transport = transport;
    this.#onTaken = onTaken;
  }

  /** Bytes that the socket has not taken yet, those of the open slab included. */
  get backlogBytes(): number {
    return this.#backlogBytes + this.#at;
  }

  /** The slab that the last {@link reserve} spoke of. */
  get slab(): Slab {
    return this.#slab!;
  }

  /**
   * Sets bytes aside for the caller to fill before the next call, and returns where they start in `slab`.
   *
   * @param lengthBytes - At most the length of a slab.
   */
  reserve(lengthBytes: number): number {
    if (this.#at >= batchLengthMin) this.flush();
    if (this.#slab === undefined || this.#at + lengthBytes > this.#pool.slabLengthBytes) {
      if (lengthBytes > this.#pool.slabLengthBytes) {
        throw new RangeError(`${lengthBytes} bytes, but a slab has ${this.#pool.slabLengthBytes}`);
      }
      this.drain();
      this.#slab = this.#pool.take();
    }
    const at = this.#at;
    this.#at += lengthBytes;
    return at;
  }

  /** Takes back the end of what was reserved last, from `at` on. */
  truncate(at: number): void {
    this.#at = at;
  }

  /** Gives what there is to the socket, or leaves it to grow until the socket has taken earlier batches. */
  flush(): void {
    if (this.#batchCount < batchCountMax) this.drain();
  }

  /** Gives everything to the socket, at once. */
  drain(): void {
    const slab = this.#slab;
    const lengthBytes = this.#at;
    if (slab === undefined || lengthBytes === 0) return;
    this.#slab = undefined;
    this.#at = 0;
    this.#backlogBytes += lengthBytes;
    this.#batchCount++;
    this.#transport.write(slab.bytes.subarray(0, lengthBytes), () => {
      this.#backlogBytes -= lengthBytes;
      this.#batchCount--;
      this.#pool.give(slab);
      this.#onTaken();
    });
  }
}
