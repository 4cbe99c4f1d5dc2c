/**
 * Writes PDU headers into a slab: everything that goes in front of the data.
 *
 * Each function returns the bytes it used, header digest and padding included; the data, and then the data
 * digest if there is data and it is negotiated, follow on the wire as buffers of their own. Arguments are
 * plain numbers because these run once per PDU.
 *
 * @packageDocumentation
 */
import { digest, digestLengthBytes } from "./digest.ts";
import { headerLengthBytes, pduFlag, pduType, termReqDataLengthMax, type WireFormat } from "./pdu.ts";
import type { Slab } from "./slab.ts";

/** Offset of the data of a PDU: the first multiple of the alignment behind header and header digest. */
export function dataOffsetBytes(hlen: number, wire: WireFormat): number {
  const end = hlen + (wire.headerDigest ? digestLengthBytes : 0);
  return Math.ceil(end / wire.alignmentBytes) * wire.alignmentBytes;
}

/**
 * Command capsule around the SQE that already stands at `at + 8`.
 *
 * @param dataLengthBytes - In-capsule data that follows; 0 if none.
 */
export function encodeCapsuleCmd(slab: Slab, at: number, wire: WireFormat, dataLengthBytes: number): number {
  return finishHeader(slab, at, wire, pduType.capsuleCmd, 0, dataLengthBytes);
}

/** Response capsule around the CQE that already stands at `at + 8`. */
export function encodeCapsuleResp(slab: Slab, at: number, wire: WireFormat): number {
  return finishHeader(slab, at, wire, pduType.capsuleResp, 0, 0);
}

export function encodeH2cData(
  slab: Slab,
  at: number,
  wire: WireFormat,
  cid: number,
  ttag: number,
  transferOffset: number,
  dataLengthBytes: number,
  isLast: boolean,
): number {
  writeTransfer(slab, at, cid, ttag, transferOffset, dataLengthBytes);
  return finishHeader(slab, at, wire, pduType.h2cData, isLast ? pduFlag.last : 0, dataLengthBytes);
}

/** @param flags - 0, `pduFlag.last`, or `pduFlag.last | pduFlag.success`. */
export function encodeC2hData(
  slab: Slab,
  at: number,
  wire: WireFormat,
  cid: number,
  transferOffset: number,
  dataLengthBytes: number,
  flags: number,
): number {
  writeTransfer(slab, at, cid, 0, transferOffset, dataLengthBytes);
  return finishHeader(slab, at, wire, pduType.c2hData, flags, dataLengthBytes);
}

export function encodeR2t(
  slab: Slab,
  at: number,
  wire: WireFormat,
  cid: number,
  ttag: number,
  transferOffset: number,
  transferLengthBytes: number,
): number {
  writeTransfer(slab, at, cid, ttag, transferOffset, transferLengthBytes);
  return finishHeader(slab, at, wire, pduType.r2t, 0, 0);
}

/**
 * A whole TermReq; no digest ever applies to it.
 *
 * @param type - `pduType.h2cTermReq` from a host, `pduType.c2hTermReq` from a controller.
 * @param error - A {@link PduError}, or anything of its shape. At most 128 bytes of the header are sent;
 *   an empty one is replaced by 24 zero bytes, because receivers refuse a TermReq without it.
 */
export function encodeTermReq(
  slab: Slab,
  at: number,
  type: number,
  error: { readonly fes: number; readonly fei: number; readonly offendingHeader: Uint8Array },
): number {
  const hlen = headerLengthBytes(type);
  const attached = error.offendingHeader.subarray(0, termReqDataLengthMax);
  const attachedLength = attached.length === 0 ? 24 : attached.length;
  slab.bytes.fill(0, at, at + hlen + attachedLength);
  slab.bytes[at] = type;
  slab.bytes[at + 2] = hlen;
  slab.view.setUint32(at + 4, hlen + attachedLength, true);
  slab.view.setUint16(at + 8, error.fes, true);
  slab.view.setUint32(at + 10, error.fei >>> 0, true);
  slab.bytes.set(attached, at + hlen);
  return hlen + attachedLength;
}

function writeTransfer(
  slab: Slab,
  at: number,
  cid: number,
  tag: number,
  offset: number,
  length: number,
): void {
  const { view } = slab;
  view.setUint16(at + 8, cid, true);
  view.setUint16(at + 10, tag, true);
  view.setUint32(at + 12, offset, true);
  view.setUint32(at + 16, length, true);
  view.setUint32(at + 20, 0, true);
}

/** Writes the common header, then digest and padding, around fields that are already in place. */
function finishHeader(
  slab: Slab,
  at: number,
  wire: WireFormat,
  type: number,
  extraFlags: number,
  dataLengthBytes: number,
): number {
  const { bytes, view } = slab;
  const hlen = headerLengthBytes(type);
  const hasData = dataLengthBytes > 0;
  const hasDataDigest = wire.dataDigest && hasData;
  const headerEnd = hlen + (wire.headerDigest ? digestLengthBytes : 0);
  const used = hasData ? dataOffsetBytes(hlen, wire) : headerEnd;
  bytes[at] = type;
  bytes[at + 1] =
    extraFlags | (wire.headerDigest ? pduFlag.headerDigest : 0) | (hasDataDigest ? pduFlag.dataDigest : 0);
  bytes[at + 2] = hlen;
  bytes[at + 3] = hasData ? used : 0;
  view.setUint32(at + 4, used + dataLengthBytes + (hasDataDigest ? digestLengthBytes : 0), true);
  if (wire.headerDigest) view.setUint32(at + hlen, digest(bytes.subarray(at, at + hlen)), true);
  if (used > headerEnd) bytes.fill(0, at + headerEnd, at + used);
  return used;
}
