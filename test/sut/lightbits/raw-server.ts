/**
 * A server that keeps to no protocol unless a test does: it hands each request to the test, socket and all.
 *
 * @packageDocumentation
 */

import { type AddressInfo, createServer, type Socket } from "node:net";

export interface RawServer extends AsyncDisposable {
  readonly url: string;
  /** Connections that were ever made. */
  readonly connectionCount: number;
}

/** @param answer - Called with each request once its headers are there, and whatever came behind them. */
export async function serveRaw(answer: (socket: Socket, request: string) => void): Promise<RawServer> {
  const sockets = new Set<Socket>();
  let connectionCount = 0;
  const server = createServer((socket) => {
    connectionCount += 1;
    sockets.add(socket);
    let request = "";
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.setEncoding("latin1").on("data", (text) => {
      request += text;
      if (!request.includes("\r\n\r\n")) return;
      const whole = request;
      request = "";
      answer(socket, whole);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connectionCount() {
      return connectionCount;
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** A whole answer in JSON. */
export function jsonAnswer(status: number, document: unknown, headers = ""): string {
  const body = JSON.stringify(document);
  return `HTTP/1.1 ${status} X\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
