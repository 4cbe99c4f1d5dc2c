/**
 * Connection initialization of NVMe/TCP: ICReq and ICResp, 128 bytes each, never with a digest.
 *
 * @packageDocumentation
 */
import { fatalErrorStatus, headerLengthBytes, PduError, type PduHeader, pduType } from "./pdu.ts";
import type { Slab } from "./slab.ts";

export interface IcReq {
  /** Alignment that the host wants for C2HData, bytes: (HPDA + 1) * 4. */
  readonly hostAlignmentBytes: number;
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  /** R2Ts per command that the host can take at once (MAXR2T, 1-based here). */
  readonly r2tCountMax: number;
}

export interface IcResp {
  /** Alignment that the controller wants for in-capsule data and H2CData, bytes: (CPDA + 1) * 4. */
  readonly controllerAlignmentBytes: number;
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  /** Longest data of one H2CData PDU, bytes (MAXH2CDATA). */
  readonly h2cDataLengthMax: number;
}

/** Writes the 128 bytes of an ICReq and returns 128. */
export function encodeIcReq(slab: Slab, at: number, request: IcReq): number {
  const used = encodeCommon(slab, at, pduType.icReq, request.hostAlignmentBytes, request);
  slab.view.setUint32(at + 12, request.r2tCountMax - 1, true);
  return used;
}

/** Writes the 128 bytes of an ICResp and returns 128. */
export function encodeIcResp(slab: Slab, at: number, response: IcResp): number {
  const used = encodeCommon(slab, at, pduType.icResp, response.controllerAlignmentBytes, response);
  slab.view.setUint32(at + 12, response.h2cDataLengthMax, true);
  return used;
}

/**
 * Reads a received ICReq.
 *
 * @throws {PduError} If the PDU format version is not 0 or the alignment is out of range.
 */
export function decodeIcReq(header: PduHeader): IcReq {
  const hostAlignmentBytes = decodeCommon(header);
  const digests = header.bytes[11]!;
  return {
    hostAlignmentBytes,
    headerDigest: (digests & 1) !== 0,
    dataDigest: (digests & 2) !== 0,
    r2tCountMax: header.view.getUint32(12, true) + 1,
  };
}

/**
 * Reads a received ICResp.
 *
 * @throws {PduError} Also if MAXH2CDATA is below 4096 or not a multiple of 4.
 */
export function decodeIcResp(header: PduHeader): IcResp {
  const controllerAlignmentBytes = decodeCommon(header);
  const digests = header.bytes[11]!;
  const h2cDataLengthMax = header.view.getUint32(12, true);
  if (h2cDataLengthMax < 4096 || h2cDataLengthMax % 4 !== 0) {
    const { invalidHeaderField } = fatalErrorStatus;
    const rule = "at least 4096 and a multiple of 4 expected";
    throw new PduError(invalidHeaderField, 12, `ICResp has MAXH2CDATA ${h2cDataLengthMax}, ${rule}`);
  }
  return {
    controllerAlignmentBytes,
    headerDigest: (digests & 1) !== 0,
    dataDigest: (digests & 2) !== 0,
    h2cDataLengthMax,
  };
}

function encodeCommon(
  slab: Slab,
  at: number,
  type: number,
  alignmentBytes: number,
  digests: { readonly headerDigest: boolean; readonly dataDigest: boolean },
): number {
  const { bytes, view } = slab;
  const hlen = headerLengthBytes(type);
  bytes.fill(0, at, at + hlen);
  bytes[at] = type;
  bytes[at + 2] = hlen;
  view.setUint32(at + 4, hlen, true);
  bytes[at + 10] = alignmentBytes / 4 - 1;
  bytes[at + 11] = (digests.headerDigest ? 1 : 0) | (digests.dataDigest ? 2 : 0);
  return hlen;
}

function decodeCommon(header: PduHeader): number {
  const pfv = header.view.getUint16(8, true);
  if (pfv !== 0) {
    const { invalidHeaderField } = fatalErrorStatus;
    throw new PduError(invalidHeaderField, 8, `PDU format version ${pfv}, only 0 is understood`);
  }
  const alignment = header.bytes[10]!;
  if (alignment > 31) {
    const { invalidHeaderField } = fatalErrorStatus;
    throw new PduError(invalidHeaderField, 10, `data alignment ${alignment}, at most 31 is defined`);
  }
  return (alignment + 1) * 4;
}
