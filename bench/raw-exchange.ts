/**
 * What the two ends of the bare sockets, `raw-sockets.ts` and `raw-peer.ts`, agree on.
 *
 * @packageDocumentation
 */

/** One kind of exchange. Requests and answers alike are a header, and the payload goes with one of them. */
export interface Exchange {
  /** Payload goes with the answer (read) or with the request (write). */
  readonly kind: "read" | "write";
  /** Requests in flight. */
  readonly depth: number;
  readonly requestHeaderBytes: number;
  readonly answerHeaderBytes: number;
  readonly payloadBytes: number;
}

/** The peer's memory that payload is read from and written to. */
export const volumeBytes = 64 * 2 ** 20;
export const openingBytes = 20;

/** What a connection starts with: five u32, little-endian, in the order of {@link Exchange}; a read is 1. */
export function encodeOpening(exchange: Exchange): Buffer {
  const opening = Buffer.alloc(openingBytes);
  opening.writeUInt32LE(exchange.kind === "read" ? 1 : 0, 0);
  opening.writeUInt32LE(exchange.depth, 4);
  opening.writeUInt32LE(exchange.requestHeaderBytes, 8);
  opening.writeUInt32LE(exchange.answerHeaderBytes, 12);
  opening.writeUInt32LE(exchange.payloadBytes, 16);
  return opening;
}

export function decodeOpening(opening: Buffer): Exchange {
  return {
    kind: opening.readUInt32LE(0) === 1 ? "read" : "write",
    depth: opening.readUInt32LE(4),
    requestHeaderBytes: opening.readUInt32LE(8),
    answerHeaderBytes: opening.readUInt32LE(12),
    payloadBytes: opening.readUInt32LE(16),
  };
}
