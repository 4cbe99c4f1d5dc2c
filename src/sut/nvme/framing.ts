/**
 * The NVMe/TCP byte stream: chunks in, checked PDUs out.
 *
 * This file holds no socket and no timer, so a test can feed it one byte at a time. Data goes straight from
 * the chunk to the destination that the handler names: one copy, and no memory is taken here on the word of
 * a header. Whether a CID or an offset makes sense is the handler's business.
 *
 * @packageDocumentation
 */
import { digest, digestLengthBytes } from "./digest.ts";
import { checkCommonHeader, checkDataLength, type DataLimits, hex } from "./header-check.ts";
import {
  commonHeaderLengthBytes,
  fatalErrorStatus,
  PduError,
  PduHeader,
  pduFlag,
  pduType,
  plainWire,
  type WireFormat,
} from "./pdu.ts";

/** What a reader tells its owner. Either method may throw a {@link PduError} to end the connection. */
export interface PduHandler {
  /** A header is complete and checked. With data to come, set `destination` and `destinationOffset`. */
  onHeader(header: PduHeader): void;
  /**
   * The whole PDU has arrived.
   *
   * @param isDataIntact - False if the data digest did not match: the command fails, the connection lives.
   */
  onPdu(header: PduHeader, isDataIntact: boolean): void;
}

export interface PduReaderOptions {
  /** Who reads: a host takes PDUs of controllers, and the other way round. */
  readonly role: "host" | "controller";
  /** Longest data of one PDU, in bytes, checked before any of it is read. */
  readonly limits: DataLimits;
}

type Phase = "common" | "header" | "padding" | "data" | "digest";

/**
 * Incremental reader of one direction of one connection.
 *
 * Until {@link negotiated} is called it takes connection initialization (or a TermReq) and nothing else.
 */
export class PduReader {
  readonly #role: "host" | "controller";
  readonly #handler: PduHandler;
  readonly #header = new PduHeader();
  readonly #digestBytes = new DataView(new ArrayBuffer(digestLengthBytes));
  /** The header without its digest, by length: digests need a view, which is made once. */
  readonly #header24 = this.#header.bytes.subarray(0, 24);
  readonly #header72 = this.#header.bytes.subarray(0, 72);
  #limits: DataLimits;
  #wire: WireFormat = plainWire;
  #isNegotiated = false;
  #isStopped = false;
  #phase: Phase = "common";
  /** Bytes of the current phase that have been taken and that it has in all. */
  #taken = 0;
  #wanted = commonHeaderLengthBytes;
  #dataDigest = 0;

  constructor(handler: PduHandler, options: PduReaderOptions) {
    this.#handler = handler;
    this.#role = options.role;
    this.#limits = options.limits;
  }

  /** Call when ICReq and ICResp have been exchanged: from the next PDU on, `wire` holds. */
  negotiated(wire: WireFormat, limits: DataLimits): void {
    this.#wire = wire;
    this.#limits = limits;
    this.#isNegotiated = true;
  }

  /** Drops everything from here on, including the rest of the chunk that is being fed. */
  stop(): void {
    this.#isStopped = true;
  }

  /** True if the stream ended, or would end now, inside a PDU. */
  get isInsidePdu(): boolean {
    return this.#phase !== "common" || this.#taken > 0;
  }

  /**
   * Takes the next bytes of the stream; `chunk` is not kept.
   *
   * @param end - Bytes of `chunk` that count; the rest is left alone.
   * @throws {PduError} The peer broke the protocol; the reader is stopped then.
   */
  feed(chunk: Uint8Array, end = chunk.length): void {
    let at = 0;
    try {
      while (at < end && !this.#isStopped) at = this.#step(chunk, at, end);
    } catch (error) {
      this.#isStopped = true;
      if (error instanceof PduError && error.offendingHeader.length === 0) {
        error.offendingHeader = this.#header.bytes.slice(0, this.#offendingLength());
      }
      throw error;
    }
  }

  #step(chunk: Uint8Array, at: number, end: number): number {
    const count = Math.min(this.#wanted - this.#taken, end - at);
    switch (this.#phase) {
      case "common":
      case "header": {
        const { bytes } = this.#header;
        const base = this.#phase === "common" ? this.#taken : commonHeaderLengthBytes + this.#taken;
        // Headers are short: a loop beats the call that copies.
        for (let i = 0; i < count; i++) bytes[base + i] = chunk[at + i]!;
        break;
      }
      case "data":
        this.#takeData(chunk, at, count);
        break;
      case "digest":
        for (let i = 0; i < count; i++) this.#digestBytes.setUint8(this.#taken + i, chunk[at + i]!);
        break;
      case "padding":
        break;
    }
    this.#taken += count;
    if (this.#taken === this.#wanted) this.#advance();
    return at + count;
  }

  #takeData(chunk: Uint8Array, at: number, count: number): void {
    const { destination, destinationOffset, flags } = this.#header;
    const hasDigest = (flags & pduFlag.dataDigest) !== 0;
    if (destination === undefined && !hasDigest) return;
    const piece = chunk.subarray(at, at + count);
    if (hasDigest) this.#dataDigest = digest(piece, this.#dataDigest);
    destination?.set(piece, destinationOffset + this.#taken);
  }

  #advance(): void {
    const header = this.#header;
    switch (this.#phase) {
      case "common":
        header.destination = undefined;
        header.destinationOffset = 0;
        checkCommonHeader(header, this.#role, this.#isNegotiated, this.#wire, this.#limits);
        this.#enter("header", header.hlen - commonHeaderLengthBytes + this.#headerDigestLength());
        return;
      case "header":
        this.#checkHeaderDigest();
        if (header.type === pduType.h2cData || header.type === pduType.c2hData) checkDataLength(header);
        this.#handler.onHeader(header);
        if (header.dataLengthBytes === 0) this.#finish(true);
        else this.#enterPadding();
        return;
      case "padding":
        this.#enterData();
        return;
      case "data":
        if ((header.flags & pduFlag.dataDigest) === 0) this.#finish(true);
        else this.#enter("digest", digestLengthBytes);
        return;
      case "digest":
        this.#finish(this.#digestBytes.getUint32(0, true) === this.#dataDigest);
        return;
    }
  }

  #enterPadding(): void {
    const { hlen, pdo } = this.#header;
    const paddingLength = pdo - hlen - this.#headerDigestLength();
    if (paddingLength > 0) this.#enter("padding", paddingLength);
    else this.#enterData();
  }

  #enterData(): void {
    const { destination, destinationOffset, dataLengthBytes } = this.#header;
    if (destination !== undefined && destination.length - destinationOffset < dataLengthBytes) {
      throw new RangeError(
        `destination of ${destination.length} bytes cannot take ${dataLengthBytes} at ${destinationOffset}`,
      );
    }
    this.#dataDigest = 0;
    this.#enter("data", dataLengthBytes);
  }

  #enter(phase: Phase, wanted: number): void {
    this.#phase = phase;
    this.#taken = 0;
    this.#wanted = wanted;
  }

  #finish(isDataIntact: boolean): void {
    // First the state, then the call: the handler may throw, stop, or announce the negotiated wire.
    this.#enter("common", commonHeaderLengthBytes);
    this.#handler.onPdu(this.#header, isDataIntact);
    this.#header.destination = undefined;
  }

  #headerDigestLength(): number {
    return (this.#header.flags & pduFlag.headerDigest) === 0 ? 0 : digestLengthBytes;
  }

  #checkHeaderDigest(): void {
    const header = this.#header;
    if ((header.flags & pduFlag.headerDigest) === 0) return;
    const received = header.view.getUint32(header.hlen, true);
    const computed = digest(header.hlen === 72 ? this.#header72 : this.#header24);
    if (received === computed) return;
    throw new PduError(
      fatalErrorStatus.headerDigestError,
      received,
      `header digest of a PDU of type ${hex(header.type)} is ${hex(received)}, computed ${hex(computed)}`,
    );
  }

  #offendingLength(): number {
    const isOnlyCommonHeaderThere = this.#phase === "common" && this.#taken > 0;
    return isOnlyCommonHeaderThere ? commonHeaderLengthBytes : this.#header.hlen;
  }
}
