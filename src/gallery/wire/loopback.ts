/**
 * Where the proxies listen: on the loopback interface alone, at a port of the system's choice.
 *
 * @packageDocumentation
 */
import type { AddressInfo, Server } from "node:net";

/** Resolves when the server listens. */
export async function listenOnLoopback(
  server: Server,
): Promise<{ readonly host: string; readonly port: number }> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, resolve);
  });
  const { address: host, port } = server.address() as AddressInfo;
  return { host, port };
}
