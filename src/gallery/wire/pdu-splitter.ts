/**
 * One direction of an NVMe/TCP connection, cut into whole PDUs that can be sent on as they came.
 *
 * Other than the reader in `src/sut/nvme`, which serves an end of a connection, it keeps every byte, and leaves it to
 * the two ends to judge what they are sent: of a PDU that is not understood it takes the length alone, which stands
 * at the same place in all of them. Before connection initialization is through nothing of the kind is let by.
 *
 * @packageDocumentation
 */
import { digest } from "../../sut/nvme/digest.ts";
import { checkCommonHeader, checkDataLength, type DataLimits, hex } from "../../sut/nvme/header-check.ts";
import {
  commonHeaderLengthBytes,
  fatalErrorStatus,
  PduError,
  PduHeader,
  pduType,
  pduFlag,
  plainWire,
  termReqDataLengthMax,
  type WireFormat,
} from "../../sut/nvme/pdu.ts";
import { type Direction, WirePdu } from "./wire-pdu.ts";

/** Longest data of one PDU, bytes: what Linux targets take in one H2CData, and more than others do. */
const dataLengthMax = 4 * 1024 * 1024;
/** What may stand around the data: the longest header, the most padding, and two digests. */
const pduLengthMax = dataLengthMax + 512;
/** ICReq and ICResp have 128 bytes, a TermReq at most 152. */
const firstPduLengthMax = 152;

const limits: DataLimits = { inCapsuleLengthMax: dataLengthMax, transferLengthMax: dataLengthMax };

export interface SplitPdus {
  /** A PDU that is understood. */
  onPdu(pdu: WirePdu): void;
  /** One that is not, with plausible length: it can only be passed on. */
  onUnknown(bytes: Buffer): void;
}

export class PduSplitter {
  readonly #direction: Direction;
  readonly #handler: SplitPdus;
  readonly #header = new PduHeader();
  #wire: WireFormat | undefined;
  /** What there is of the current PDU, and how long it will be. */
  #pieces: Buffer[] = [];
  #taken = 0;
  #wanted = commonHeaderLengthBytes;
  #isLengthKnown = false;

  constructor(direction: Direction, handler: SplitPdus) {
    this.#direction = direction;
    this.#handler = handler;
  }

  /** Call when ICReq and ICResp have been exchanged, with what holds from the next PDU on. */
  negotiated(wire: WireFormat): void {
    this.#wire = wire;
  }

  /** The bytes of a PDU that is not complete. */
  get rest(): Buffer {
    return joined(this.#pieces);
  }

  /**
   * Takes the next bytes; `chunk` is kept, and must not be written to any more.
   *
   * @throws {PduError} A PDU is longer than any may be, shorter than its own header, or not one to begin with.
   */
  feed(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const count = Math.min(this.#wanted - this.#taken, chunk.length - at);
      this.#pieces.push(chunk.subarray(at, at + count));
      this.#taken += count;
      at += count;
      if (this.#taken < this.#wanted) return;
      if (!this.#isLengthKnown) this.#readLength();
      if (this.#taken === this.#wanted) this.#finish();
    }
  }

  #readLength(): void {
    const start = joined(this.#pieces);
    this.#pieces = [start];
    const type = start.readUInt8(0);
    const plen = start.readUInt32LE(4);
    const lengthMax = this.#wire === undefined ? firstPduLengthMax : pduLengthMax;
    if (plen < commonHeaderLengthBytes || plen > lengthMax) {
      const { invalidHeaderField } = fatalErrorStatus;
      const expected = `${commonHeaderLengthBytes} to ${lengthMax} bytes are passed on`;
      const message = `PLEN of PDU type ${hex(type)} is ${plen}: ${expected}`;
      throw about(start, new PduError(invalidHeaderField, 4, message));
    }
    this.#isLengthKnown = true;
    this.#wanted = plen;
  }

  #finish(): void {
    const bytes = joined(this.#pieces);
    this.#pieces = [];
    this.#taken = 0;
    this.#wanted = commonHeaderLengthBytes;
    this.#isLengthKnown = false;
    const problem = this.#check(bytes);
    if (problem === undefined) this.#handler.onPdu(WirePdu.received(this.#direction, bytes, this.#header));
    else if (this.#wire === undefined) throw about(bytes, problem);
    else this.#handler.onUnknown(bytes);
  }

  /** Why a PDU is not understood; if it is, the header is filled in. */
  #check(bytes: Buffer): PduError | undefined {
    const header = this.#header;
    header.bytes.fill(0);
    header.bytes.set(bytes.subarray(0, header.bytes.length));
    const isNegotiated = this.#wire !== undefined;
    const role = this.#direction === "toTarget" ? "controller" : "host";
    try {
      checkCommonHeader(header, role, isNegotiated, this.#wire ?? plainWire, limits);
      const { type, hlen, flags } = header;
      if (type === pduType.h2cData || type === pduType.c2hData) checkDataLength(header);
      if ((flags & pduFlag.headerDigest) === 0) return undefined;
      const received = bytes.readUInt32LE(hlen);
      if (received === digest(bytes.subarray(0, hlen))) return undefined;
      return new PduError(fatalErrorStatus.headerDigestError, received, "the header digest does not match");
    } catch (error) {
      if (error instanceof PduError) return error;
      throw error;
    }
  }
}

function about(offending: Buffer, error: PduError): PduError {
  error.offendingHeader = Uint8Array.from(offending.subarray(0, termReqDataLengthMax));
  return error;
}

function joined(pieces: readonly Buffer[]): Buffer {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}
