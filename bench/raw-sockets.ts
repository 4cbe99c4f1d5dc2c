/**
 * The limit of the transport bench: two processes and corked sockets that move the bytes of NVMe/TCP, without it.
 *
 * Every request is one buffer, every answer is one buffer; the receiver of a payload copies it once. No PDU is
 * encoded or parsed, no command looked up, nothing kept: what remains is Node's sockets and the kernel.
 *
 * @packageDocumentation
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { performance } from "node:perf_hooks";

/** One kind of exchange. */
export interface Exchange {
  readonly depth: number;
  readonly requestBytes: number;
  readonly answerBytes: number;
  /** Part of a request that the peer copies; of an answer, all is copied if it is longer than a request. */
  readonly payloadBytes: number;
}

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
  readonly #requests: readonly Buffer[];
  readonly #kept: Buffer;
  #filled = 0;
  #answerCount = 0;
  /** Time is over: an answer is not followed by another request. */
  #isEnding = true;
  #inFlight = 0;
  #onIdle: (() => void) | undefined;
  #onLost: ((error: Error) => void) | undefined;

  private constructor(port: number, exchange: Exchange, onBegin: () => void) {
    this.#exchange = exchange;
    this.#kept = Buffer.alloc(exchange.answerBytes);
    this.#requests = Array.from({ length: exchange.depth }, () => Buffer.alloc(exchange.requestBytes, 0xa5));
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
      const opening = Buffer.alloc(12);
      opening.writeUInt32LE(exchange.requestBytes, 0);
      opening.writeUInt32LE(exchange.answerBytes, 4);
      opening.writeUInt32LE(exchange.payloadBytes, 8);
      client.#socket.write(opening);
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
        this.#socket.cork();
        for (let slot = 0; slot < depth; slot++) this.#socket.write(this.#requests[slot]!);
        this.#socket.uncork();
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
    const { answerBytes, requestBytes, depth } = this.#exchange;
    this.#socket.cork();
    for (let at = 0; at < count; ) {
      const taken = Math.min(answerBytes - this.#filled, count - at);
      if (answerBytes > requestBytes) buffer.copy(this.#kept, this.#filled, at, at + taken);
      this.#filled += taken;
      at += taken;
      if (this.#filled < answerBytes) break;
      this.#filled = 0;
      this.#answerCount += 1;
      if (this.#isEnding) this.#inFlight -= 1;
      else this.#socket.write(this.#requests[this.#answerCount % depth]!);
    }
    this.#socket.uncork();
    if (this.#inFlight === 0) this.#onIdle?.();
  }
}
