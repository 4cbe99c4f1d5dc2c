/**
 * Ports of this machine that lead into a guest.
 *
 * They are taken from below the range that the system gives to outgoing connections. While a guest is down, nobody
 * gets its port by chance, and a host that keeps trying to connect to it cannot meet itself there.
 *
 * @packageDocumentation
 */

import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { ServiceError } from "../port.ts";

const portMin = 15_000;
const portMax = 29_999;
const attemptsMax = 200;

/**
 * Different ports of 127.0.0.1 on which nothing listens now; somebody may take them before they are used.
 *
 * @throws {ServiceError} `ERR_CONFLICT` if hardly any is free.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  for (let attempt = 0; ports.size < count; attempt++) {
    if (attempt === attemptsMax)
      throw new ServiceError(
        "ERR_CONFLICT",
        `no free port found on 127.0.0.1: ${attemptsMax} from ${portMin} to ${portMax} were tried`,
      );
    const port = randomInt(portMin, portMax + 1);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Whether QEMU ended because it could not listen on a port, by what it said. */
export function isPortTaken(said: string): boolean {
  return said.includes("Could not set up host forwarding rule");
}
