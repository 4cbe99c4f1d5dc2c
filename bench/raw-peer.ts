/**
 * The other end of `raw-sockets.ts`, forked by it: answers every so many bytes with so many, and nothing else.
 *
 * A connection starts with three u32, little-endian: bytes of a request, bytes of an answer, and how many bytes
 * of a request are payload, which is copied once as a target that keeps it must. Ends with its parent.
 *
 * @packageDocumentation
 */
import { createServer, type Socket } from "node:net";

const openingBytes = 12;

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.once("data", (opening: Buffer) => {
    if (opening.length !== openingBytes) throw new Error(`an opening of ${opening.length} bytes`);
    serve(socket, {
      requestBytes: opening.readUInt32LE(0),
      answer: Buffer.alloc(opening.readUInt32LE(4), 0x5a),
      payloadBytes: opening.readUInt32LE(8),
    });
  });
});

function serve(
  socket: Socket,
  { requestBytes, answer, payloadBytes }: { requestBytes: number; answer: Buffer; payloadBytes: number },
): void {
  const kept = Buffer.alloc(requestBytes);
  /** Bytes of the request that is arriving which are here. */
  let filled = 0;
  // The client begins when it hears that the opening has been read.
  socket.write("!");
  socket.on("data", (chunk: Buffer) => {
    socket.cork();
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(requestBytes - filled, chunk.length - at);
      if (payloadBytes > 0) chunk.copy(kept, filled, at, at + taken);
      filled += taken;
      at += taken;
      if (filled === requestBytes) {
        filled = 0;
        socket.write(answer);
      }
    }
    socket.uncork();
  });
}

process.on("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port to listen on");
  process.send?.({ port: address.port });
});
