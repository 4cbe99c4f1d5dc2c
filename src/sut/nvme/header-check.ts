/**
 * Checks of PDU headers, in the order type, flags, HLEN, PDO, PLEN.
 *
 * Header digests are checked by the reader, which has all bytes of the header.
 *
 * @packageDocumentation
 */
import { digestLengthBytes } from "./digest.ts";
import {
  fatalErrorStatus,
  headerLengthBytes,
  PduError,
  type PduHeader,
  pduFlag,
  pduType,
  termReqDataLengthMax,
  type WireFormat,
} from "./pdu.ts";

/** Longest data of one PDU that is accepted. */
export interface DataLimits {
  /** In-capsule data (controller only). */
  readonly inCapsuleLengthMax: number;
  /** Data of one H2CData or C2HData PDU. */
  readonly transferLengthMax: number;
}

/**
 * Checks the first 8 bytes of a PDU in the order type, flags, HLEN, PDO, PLEN, and fills in the header.
 *
 *   0      1       2      3     4 5 6 7
 *  type | flags | hlen | pdo | plen (u32, little-endian, whole PDU)
 *
 * @see NVM Express TCP Transport Specification, PDU common header.
 */
export function checkCommonHeader(
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

/** Checks that DATAL of H2CData or C2HData says the same as PLEN. */
export function checkDataLength(header: PduHeader): void {
  const { transferLengthBytes, dataLengthBytes } = header;
  if (transferLengthBytes === dataLengthBytes) return;
  throw badField(16, `DATAL is ${transferLengthBytes}, but PLEN leaves ${dataLengthBytes} bytes of data`);
}

function badField(offset: number, message: string): PduError {
  return new PduError(fatalErrorStatus.invalidHeaderField, offset, message);
}

/** A value of a header, for messages. */
export function hex(value: number): string {
  return `0x${value.toString(16).padStart(2, "0")}`;
}
