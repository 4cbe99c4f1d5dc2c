/**
 * The embedded NVMe/TCP target: namespaces of a volume store on a TCP port, with discovery on the same port.
 *
 * This file owns the sockets and the clock. It serves any host that keeps to NVMe/TCP 1.0; without TLS and
 * authentication, it belongs on a loopback interface.
 *
 * @packageDocumentation
 */
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { Connection } from "./connection.ts";
import { configure, type TargetOptions } from "./options.ts";
import type { Transport } from "./outbox.ts";
import { Target } from "./target.ts";

/** How often associations and half-open connections are looked at, ms. */
const tickMs = 250;
/** Time for a peer to read the last bytes of a connection that we close, ms. */
const lingerMs = 1000;

/** Trouble that a target can make for its hosts. */
export interface HostFaults {
  /** Resets every connection (RST), as a crash of the target would; hosts may connect anew. */
  resetConnections(): void;
  /** Stops listening to hosts, or goes on. Connections stay; hosts see a target that stands still. */
  setPaused(isPaused: boolean): void;
  /** Delays everything that arrives from now on by so many ms; 0 for no delay. */
  setDelay(delayMs: number): void;
  /**
   * Cuts hosts off, or lets them come back: while they are, the port is closed, and every connection was reset.
   *
   * Resolves when that is done; calls take effect in their order.
   *
   * @throws {Error} The port could not be bound again, and hosts stay cut off; or the target is closed.
   */
  setCut(isCut: boolean): Promise<void>;
}

/** A target that listens. Disposing closes every connection, may be repeated, and leaves the store open. */
export interface ServedTarget extends HostFaults, AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `host:port`, with brackets around an IPv6 address. */
  readonly address: string;
  readonly subsystemNqn: string;
  readonly connectionCount: number;
  /** Lists the subsystem in the discovery log, or does not; persistent discovery is told. */
  setPublished(isPublished: boolean): void;
}

/**
 * Serves a store.
 *
 * @throws {RangeError} An option is out of range.
 * @throws {Error} The address is in use or not of this machine.
 */
export async function serveTarget(options: TargetOptions): Promise<ServedTarget> {
  const configuration = configure(options);
  const target = new Target(configuration);
  const host = options.host ?? "127.0.0.1";
  const sockets = new Set<TargetSocket>();
  const faults = { isPaused: false, delayMs: 0 };

  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 }, (socket) => {
    if (sockets.size >= configuration.connectionCountMax) {
      const limit = configuration.connectionCountMax;
      configuration.log.warn(`refusing ${socket.remoteAddress}: ${limit} connections are open already`);
      socket.destroy();
      return;
    }
    sockets.add(new TargetSocket(target, socket, faults, (closed) => sockets.delete(closed)));
  });
  try {
    await listen(server, host, options.port ?? 0);
  } catch (error) {
    target.close();
    throw error;
  }
  server.on("error", (error) => configuration.log.warn(`listening socket: ${error.message}`));

  let tickedMs = performance.now();
  const ticker = setInterval(() => {
    const nowMs = performance.now();
    target.expire(nowMs, nowMs - tickedMs - tickMs);
    tickedMs = nowMs;
    for (const socket of sockets) socket.closeIfOverdue(nowMs);
  }, tickMs);
  ticker.unref();

  const { port } = server.address() as AddressInfo;
  configuration.log.info(`serving ${configuration.subsystemNqn} on ${host}:${port}`);
  const resetAll = () => {
    for (const socket of [...sockets]) socket.reset();
  };
  const cut = async () => {
    const isDown = new Promise<void>((resolve) => server.close(() => resolve()));
    resetAll();
    await isDown;
  };
  const restore = async () => {
    if (closed !== undefined)
      throw new Error(`${configuration.subsystemNqn} is closed and cannot be reached`);
    if (!server.listening) await listen(server, host, port);
  };
  let lastCut: Promise<void> = Promise.resolve();
  let closed: Promise<void> | undefined;
  return {
    host,
    port,
    address: host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`,
    subsystemNqn: configuration.subsystemNqn,
    get connectionCount() {
      return sockets.size;
    },
    resetConnections: resetAll,
    setPaused(isPaused) {
      faults.isPaused = isPaused;
      for (const socket of sockets) socket.applyFaults();
    },
    setDelay(delayMs) {
      faults.delayMs = delayMs;
    },
    setCut(isCut) {
      const done = lastCut.then(isCut ? cut : restore);
      lastCut = done.catch(() => {});
      return done;
    },
    setPublished(isPublished) {
      target.isPublished = isPublished;
    },
    [Symbol.asyncDispose]() {
      closed ??= (async () => {
        clearInterval(ticker);
        await lastCut;
        const isDown = new Promise<void>((resolve) => server.close(() => resolve()));
        target.close();
        for (const socket of [...sockets]) socket.close();
        await isDown;
      })();
      return closed;
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

interface Faults {
  readonly isPaused: boolean;
  readonly delayMs: number;
}

/** A socket and the connection it carries. */
class TargetSocket implements Transport {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteName: string;
  readonly #socket: Socket;
  readonly #connection: Connection;
  readonly #faults: Faults;
  #isPausedByConnection = false;
  #isEnding = false;

  constructor(target: Target, socket: Socket, faults: Faults, onClosed: (closed: TargetSocket) => void) {
    this.#socket = socket;
    this.#faults = faults;
    this.localAddress = (socket.localAddress ?? "").replace(/^::ffff:/, "");
    this.localPort = socket.localPort ?? 0;
    this.remoteName = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#connection = new Connection(target, this, performance.now());
    socket.on("data", (chunk) => this.#onData(chunk));
    socket.on("error", (error) => this.#connection.disconnected(error.message));
    socket.on("end", () => {
      this.#connection.disconnected("host closed the connection");
      this.end();
    });
    socket.on("close", () => {
      this.#connection.disconnected("connection lost");
      onClosed(this);
    });
    this.applyFaults();
  }

  write(bytes: Uint8Array, taken: () => void): void {
    this.#socket.write(bytes, taken);
  }

  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    const socket = this.#socket;
    socket.end();
    // What still arrives is read and dropped: closing over it would reset, and lose what we have sent last.
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once("close", () => clearTimeout(timer));
  }

  pause(): void {
    this.#isPausedByConnection = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPausedByConnection = false;
    this.applyFaults();
  }

  /** Reads from the socket unless someone wants it paused. */
  applyFaults(): void {
    if (this.#isEnding) return;
    if (this.#faults.isPaused || this.#isPausedByConnection) this.#socket.pause();
    else this.#socket.resume();
  }

  closeIfOverdue(nowMs: number): void {
    if (this.#connection.isOverdue(nowMs)) this.#connection.close("no Connect in time");
  }

  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Closes at once; what was written is still sent. */
  close(): void {
    this.#connection.close("target is closing");
    this.#socket.destroySoon();
  }

  #onData(chunk: Buffer): void {
    const { delayMs } = this.#faults;
    if (delayMs === 0) {
      this.#connection.receive(chunk, performance.now());
      return;
    }
    this.#socket.pause();
    setTimeout(() => {
      this.#connection.receive(chunk, performance.now());
      this.applyFaults();
    }, delayMs);
  }
}
