/**
 * A proxy for NVMe/TCP between hosts and a target, which shows every PDU to an interceptor.
 *
 * It listens for hosts and owns the sockets; what goes on within one connection is in `proxied-connection.ts`. It
 * neither connects anew nor keeps anything for a host that does: that is the business of the two ends.
 *
 * @packageDocumentation
 */
import { connect, createServer } from "node:net";
import { type Log, silentLog } from "../../sut/log.ts";
import { listenOnLoopback } from "./loopback.ts";
import type { NvmeInterceptor } from "./nvme-interceptor.ts";
import { ProxiedConnection } from "./proxied-connection.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

export interface NvmeProxyOptions {
  readonly upstream: Address;
  readonly interceptor: NvmeInterceptor;
  /** Told of connections that the proxy itself had to end. */
  readonly log?: Pick<Log, "warn">;
}

export interface NvmeProxy extends AsyncDisposable {
  /** Where it listens: a port of the system's choice on the loopback interface. */
  readonly address: Address;
}

/** Connections at once; more are closed as soon as they are made. */
const connectionCountMax = 256;

/** Starts listening. Disposing ends all connections, and may be repeated. */
export async function serveNvmeProxy(options: NvmeProxyOptions): Promise<NvmeProxy> {
  const { upstream, interceptor, log = silentLog } = options;
  const connections = new Set<ProxiedConnection>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (host) => {
    const target = connect({ ...upstream, allowHalfOpen: true, noDelay: true });
    const connection: ProxiedConnection = new ProxiedConnection({
      host,
      target,
      interceptor,
      log,
      onClosed: () => connections.delete(connection),
    });
    connections.add(connection);
  });
  server.maxConnections = connectionCountMax;
  const address = await listenOnLoopback(server);
  let closed: Promise<void> | undefined;
  return {
    address,
    [Symbol.asyncDispose]: () =>
      (closed ??= new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.reset();
      })),
  };
}
