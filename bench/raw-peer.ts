/**
 * The other end of `raw-sockets.ts`, forked by it: a buffer of 64 MiB behind a socket, and nothing else.
 *
 * A connection starts with an opening, as in `raw-exchange.ts`. A request begins with the place of its payload in
 * the buffer, a u32, in payloads. Payload is copied once, between that place and where it was received or is sent
 * from; the answers of one event leave in one write or two. Ends with its parent.
 *
 * @packageDocumentation
 */
import { createServer, type Socket } from "node:net";
import { decodeOpening, type Exchange, openingBytes, volumeBytes } from "./raw-exchange.ts";

const volume = Buffer.alloc(volumeBytes, 0x5a);

const server = createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => socket.destroy());
  socket.once("data", (opening: Buffer) => {
    if (opening.length !== openingBytes) throw new Error(`an opening of ${opening.length} bytes`);
    serve(socket, decodeOpening(opening));
  });
});

function serve(
  socket: Socket,
  { kind, depth, requestHeaderBytes, answerHeaderBytes, payloadBytes }: Exchange,
): void {
  const isRead = kind === "read";
  const requestBytes = requestHeaderBytes + (isRead ? 0 : payloadBytes);
  const answerBytes = answerHeaderBytes + (isRead ? payloadBytes : 0);
  // An answer's room is free again when the client, who has received it, sends another request for it.
  const answers = Buffer.alloc(depth * answerBytes);
  // By halves, so that the client takes one while the other is filled.
  const halfDepth = depth >>> 1;
  const header = Buffer.alloc(requestHeaderBytes);
  /** Bytes of the request that is arriving which are here, and where its payload belongs. */
  let filled = 0;
  let place = 0;
  let slot = 0;
  // The client begins when it hears that the opening has been read.
  socket.write("!");
  socket.on("data", (chunk: Buffer) => {
    let unsentFrom = slot;
    for (let at = 0; at < chunk.length; ) {
      if (filled < requestHeaderBytes) {
        const taken = Math.min(requestHeaderBytes - filled, chunk.length - at);
        if (taken === requestHeaderBytes) place = chunk.readUInt32LE(at) * payloadBytes;
        else {
          chunk.copy(header, filled, at, at + taken);
          place = header.readUInt32LE(0) * payloadBytes;
        }
        filled += taken;
        at += taken;
      }
      if (filled >= requestHeaderBytes && filled < requestBytes) {
        const taken = Math.min(requestBytes - filled, chunk.length - at);
        chunk.copy(volume, place + filled - requestHeaderBytes, at, at + taken);
        filled += taken;
        at += taken;
      }
      if (filled < requestBytes) break;
      filled = 0;
      if (isRead) volume.copy(answers, slot * answerBytes + answerHeaderBytes, place, place + payloadBytes);
      slot += 1;
      if (slot < depth && slot !== halfDepth) continue;
      socket.write(answers.subarray(unsentFrom * answerBytes, slot * answerBytes));
      if (slot === depth) slot = 0;
      unsentFrom = slot;
    }
    if (slot > unsentFrom) socket.write(answers.subarray(unsentFrom * answerBytes, slot * answerBytes));
  });
}

process.on("disconnect", () => process.exit());
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port to listen on");
  process.send?.({ port: address.port });
});
