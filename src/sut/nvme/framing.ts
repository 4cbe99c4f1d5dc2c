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
import {
  commonHeaderLengthBytes,
  fatalErrorStatus,
  headerLengthBytes,
  PduError,
  PduHeader,
  pduFlag,
  pduType,
  plainWire,
  termReqDataLengthMax,
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

export interface DataLimits {
  /** In-capsule data (controller only). */
  readonly inCapsuleLengthMax: number;
  /** Data of one H2CData or C2HData PDU. */
  readonly transferLengthMax: number;
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

/**
 * Checks the first 8 bytes of a PDU in the order type, flags, HLEN, PDO, PLEN, and fills in the header.
 *
 *   0      1       2      3     4 5 6 7
 *  type | flags | hlen | pdo | plen (u32, little-endian, whole PDU)
 *
 * @see NVM Express TCP Transport Specification, PDU common header.
 */
function checkCommonHeader(
  header: PduHeader,
  role: "host" | "controller",
  isNegotiated: boolean,
  wire: WireFormat,
  limits: DataLimits,
): void {
  const { bytes, view } = header;
  header.type = bytes[0]!;
  header.flags = bytes[1]!;
  header.hlen = bytes[2]!;
  header.pdo = bytes[3]!;
  header.plen = view.getUint32(4, true);
  header.dataLengthBytes = 0;
  const { type, hlen, plen } = header;

  const hlenExpected = headerLengthBytes(type);
  if (hlenExpected === 0) throw badField(0, `PDU type ${hex(type)} is unknown`);
  if ((type % 2 === 0) !== (role === "controller")) {
    throw badField(0, `PDU type ${hex(type)} belongs to the other direction`);
  }
  const isTermReq = type === pduType.h2cTermReq || type === pduType.c2hTermReq;
  const isInitialization = type === pduType.icReq || type === pduType.icResp;
  if (!isTermReq && isInitialization === isNegotiated) {
    const { sequenceError } = fatalErrorStatus;
    const when = isNegotiated ? "after" : "before";
    throw new PduError(sequenceError, 0, `PDU type ${hex(type)} ${when} connection initialization`);
  }

  const hasDigests = !isTermReq && !isInitialization;
  const headerDigest = (header.flags & pduFlag.headerDigest) !== 0;
  if (headerDigest !== (hasDigests && wire.headerDigest)) {
    throw badField(1, `header digest flag is ${headerDigest ? "set" : "clear"} against what was negotiated`);
  }
  const { last, success } = pduFlag;
  if (type === pduType.c2hData && (header.flags & (last | success)) === success) {
    throw badField(1, "C2HData has SUCCESS without LAST");
  }

  if (hlen !== hlenExpected) {
    throw badField(2, `HLEN of PDU type ${hex(type)} is ${hlen}, expected ${hlenExpected}`);
  }

  const headerEnd = hlen + (headerDigest ? digestLengthBytes : 0);
  if (plen < headerEnd) throw badField(4, `PLEN ${plen} is shorter than the header of ${headerEnd} bytes`);
  if (plen === headerEnd && type !== pduType.h2cData && type !== pduType.c2hData) {
    // Without data the data digest flag stands for nothing, and some hosts set it.
    header.flags &= ~pduFlag.dataDigest;
    return;
  }
  if (isTermReq) {
    if (plen > hlen + termReqDataLengthMax)
      throw badField(4, `PLEN ${plen} of a TermReq, at most 152 allowed`);
    header.flags &= ~pduFlag.dataDigest;
    header.pdo = hlen;
    header.dataLengthBytes = plen - hlen;
    return;
  }
  checkDataLayout(header, headerEnd, wire, limits);
}

function checkDataLayout(header: PduHeader, headerEnd: number, wire: WireFormat, limits: DataLimits): void {
  const { type, pdo, plen } = header;
  const isCapsule = type === pduType.capsuleCmd;
  if (!isCapsule && type !== pduType.h2cData && type !== pduType.c2hData) {
    throw badField(4, `PLEN ${plen} of PDU type ${hex(type)}, which has no data: expected ${headerEnd}`);
  }
  const dataDigest = (header.flags & pduFlag.dataDigest) !== 0;
  if (dataDigest !== wire.dataDigest) {
    throw badField(1, `data digest flag is ${dataDigest ? "set" : "clear"} against what was negotiated`);
  }
  if (pdo < headerEnd || pdo % 4 !== 0) {
    throw badField(3, `PDO ${pdo}: a multiple of 4 from ${headerEnd} on was expected`);
  }
  const dataLengthBytes = plen - pdo - (dataDigest ? digestLengthBytes : 0);
  if (dataLengthBytes <= 0) throw badField(4, `PLEN ${plen} leaves no room for data at PDO ${pdo}`);
  const lengthMax = isCapsule ? limits.inCapsuleLengthMax : limits.transferLengthMax;
  if (dataLengthBytes > lengthMax) {
    throw new PduError(
      fatalErrorStatus.dataLimitExceeded,
      0,
      `PDU type ${hex(type)} announces ${dataLengthBytes} bytes of data, at most ${lengthMax} are accepted`,
    );
  }
  header.dataLengthBytes = dataLengthBytes;
}

function checkDataLength(header: PduHeader): void {
  const { transferLengthBytes, dataLengthBytes } = header;
  if (transferLengthBytes === dataLengthBytes) return;
  throw badField(16, `DATAL is ${transferLengthBytes}, but PLEN leaves ${dataLengthBytes} bytes of data`);
}

function badField(offset: number, message: string): PduError {
  return new PduError(fatalErrorStatus.invalidHeaderField, offset, message);
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}
