/**
 * The limit of the transport bench: two processes and corked sockets that move the bytes of NVMe/TCP, without it.
 *
 * The peer keeps a buffer of the volume's size; each request names a random place in it, where the peer copies
 * payload to or from, and the client copies what it receives into a buffer of the request. Requests and answers of
 * one event lie side by side and leave in one write. No PDU is encoded or checked, no command looked up, no
 * promise settled: what remains is Node's sockets, the kernel, and two copies of a read, one of a write.
 *
 * @packageDocumentation
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { encodeOpening, type Exchange, volumeBytes } from "./raw-exchange.ts";

const receiveBufferBytes = 2 ** 20;

export class RawPeer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #port: number;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
  }

  static async start(): Promise<RawPeer> {
    const child = fork(new URL("raw-peer.ts", import.meta.url), {
      // A process group of its own: Ctrl-C reaches the bench, which then ends the peer in order.
      detached: true,
    });
    const message: unknown = await Promise.race([
      once(child, "message").then(([first]) => first),
      once(child, "exit").then(([code]) => {
        throw new Error(`the peer of the raw sockets ended with ${code} before it served`);
      }),
    ]);
    return new RawPeer(child, (message as { port: number }).port);
  }

  /** @returns A connection that has heard that it may begin. */
  open(exchange: Exchange): Promise<RawClient> {
    return RawClient.open(this.#port, exchange);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const end = once(this.#child, "exit");
    this.#child.disconnect();
    await end;
  }
}

export class RawClient implements Disposable {
  readonly #exchange: Exchange;
  readonly #socket: Socket;
  readonly #requestBytes: number;
  readonly #answerBytes: number;
  /** Requests of all slots, side by side: a slot's answer is here before its next request is written. */
  readonly #requests: Buffer;
  /** Payloads of all slots. */
  readonly #kept: Buffer;
  readonly #placeCount: number;
  /** A linear congruential generator of 32 bits, of which the upper ones choose the place. */
  #random = 0x9e3779b9;
  #slot = 0;
  /** Bytes of the answer that is arriving which are here. */
  #filled = 0;
  #answerCount = 0;
  /** Time is over: an answer is not followed by another request. */
  #isEnding = true;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;
  #onLost: ((error: Error) => void) | undefined;

  private constructor(port: number, exchange: Exchange, onBegin: () => void) {
    const { kind, depth, requestHeaderBytes, answerHeaderBytes, payloadBytes } = exchange;
    this.#exchange = exchange;
    this.#requestBytes = requestHeaderBytes + (kind === "write" ? payloadBytes : 0);
    this.#answerBytes = answerHeaderBytes + (kind === "read" ? payloadBytes : 0);
    this.#requests = Buffer.alloc(depth * this.#requestBytes, 0xa5);
    this.#kept = Buffer.alloc(depth * payloadBytes);
    this.#placeCount = volumeBytes / payloadBytes;
    let hasBegun = false;
    this.#socket = connect({
      host: "127.0.0.1",
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(receiveBufferBytes),
        callback: (count, buffer) => {
          if (hasBegun) this.#receive(buffer as Buffer, count);
          else {
            hasBegun = true;
            onBegin();
          }
          return true;
        },
      },
    });
    this.#socket.on("error", (error) => this.#onLost?.(error));
    this.#socket.on("close", () => this.#onLost?.(new Error("the peer of the raw sockets closed")));
  }

  static open(port: number, exchange: Exchange): Promise<RawClient> {
    return new Promise((resolve, reject) => {
      const client: RawClient = new RawClient(port, exchange, () => resolve(client));
      client.#onLost = reject;
      client.#socket.write(encodeOpening(exchange));
    });
  }

  /** Keeps `depth` requests in flight for a time; returns answers a second. */
  async measure(forMs: number): Promise<number> {
    const { depth } = this.#exchange;
    const start = performance.now();
    this.#answerCount = 0;
    this.#isEnding = false;
    const timer = setTimeout(() => {
      this.#isEnding = true;
    }, forMs);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#onIdle = resolve;
        this.#onLost = reject;
        this.#inFlight = depth;
        this.#request(depth);
      });
    } finally {
      clearTimeout(timer);
    }
    return (this.#answerCount * 1000) / (performance.now() - start);
  }

  [Symbol.dispose](): void {
    this.#onLost = undefined;
    this.#socket.destroy();
  }

  #receive(buffer: Buffer, count: number): void {
    const { answerHeaderBytes, kind, payloadBytes, depth } = this.#exchange;
    const answerBytes = this.#answerBytes;
    let answered = 0;
    for (let at = 0; at < count; ) {
      const taken = Math.min(answerBytes - this.#filled, count - at);
      if (kind === "read" && this.#filled + taken > answerHeaderBytes) {
        const skipped = Math.max(0, answerHeaderBytes - this.#filled);
        const keptAt = ((this.#slot + answered) % depth) * payloadBytes;
        const payloadAt = this.#filled + skipped - answerHeaderBytes;
        buffer.copy(this.#kept, keptAt + payloadAt, at + skipped, at + taken);
      }
      this.#filled += taken;
      at += taken;
      if (this.#filled < answerBytes) break;
      this.#filled = 0;
      answered += 1;
    }
    this.#answerCount += answered;
    if (!this.#isEnding) {
      this.#request(answered);
      return;
    }
    // The slots go round even while nothing is sent, as they do at the peer, which has answered them.
    this.#inFlight -= answered;
    this.#slot = (this.#slot + answered) % depth;
    if (this.#inFlight === 0) this.#onIdle?.();
  }

  /** Sends the next requests, of slots side by side, in one write or two. */
  #request(count: number): void {
    const { depth } = this.#exchange;
    const requestBytes = this.#requestBytes;
    this.#socket.cork();
    for (let left = count; left > 0; ) {
      const first = this.#slot;
      const past = Math.min(depth, first + left);
      for (let slot = first; slot < past; slot++) {
        this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
        const place = Math.floor((this.#random / 2 ** 32) * this.#placeCount);
        this.#requests.writeUInt32LE(place, slot * requestBytes);
      }
      this.#socket.write(this.#requests.subarray(first * requestBytes, past * requestBytes));
      left -= past - first;
      this.#slot = past === depth ? 0 : past;
    }
    this.#socket.uncork();
  }
}
