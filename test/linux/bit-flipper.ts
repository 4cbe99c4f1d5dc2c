/**
 * A wire that flips a bit now and then: a TCP proxy between a host and a target.
 *
 * @packageDocumentation
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface BitFlipper extends AsyncDisposable {
  readonly port: number;
  /** Flips one bit of the next large chunk towards the target or the host, at an offset from its start. */
  flip(towards: "target" | "host", offset: "header" | "middle"): void;
  /** Bits that have been flipped. */
  readonly flippedCount: number;
}

/** Chunks that hold more than a few headers, in bytes. */
const largeLengthBytes = 1200;

/** @param targetPort - On 127.0.0.1. */
export async function startBitFlipper(targetPort: number): Promise<BitFlipper> {
  const sockets = new Set<Socket>();
  let wanted: { readonly towards: string; readonly offset: string } | undefined;
  let flippedCount = 0;
  const carry = (from: Socket, to: Socket, towards: string) => {
    from.on("data", (chunk) => {
      if (wanted?.towards === towards && (wanted.offset === "header" || chunk.length >= largeLengthBytes)) {
        const at = wanted.offset === "header" ? 10 : chunk.length >> 1;
        chunk[at]! ^= 1;
        wanted = undefined;
        flippedCount++;
      }
      to.write(chunk);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      to.destroy();
    });
    sockets.add(from);
  };
  const server = createServer((host) => {
    const target = connect(targetPort, "127.0.0.1");
    carry(host, target, "target");
    carry(target, host, "host");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    flip: (towards, offset) => {
      wanted = { towards, offset };
    },
    get flippedCount() {
      return flippedCount;
    },
    async [Symbol.asyncDispose]() {
      const isDown = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
      await isDown;
    },
  };
}
