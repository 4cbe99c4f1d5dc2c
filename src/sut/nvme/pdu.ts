/**
 * The PDUs of NVMe/TCP: types, flags, the decoded header, and what a connection dies of.
 *
 * Encoding is in `pdu-encoding.ts`, the incremental reader in `framing.ts`, and the two connection
 * initialization PDUs in `initialization.ts`.
 *
 * @packageDocumentation
 */

/** PDU types: even from host to controller, odd from controller to host. */
export const pduType = {
  icReq: 0x00,
  icResp: 0x01,
  h2cTermReq: 0x02,
  c2hTermReq: 0x03,
  capsuleCmd: 0x04,
  capsuleResp: 0x05,
  h2cData: 0x06,
  c2hData: 0x07,
  r2t: 0x09,
} as const;

export const pduFlag = {
  headerDigest: 0x01,
  dataDigest: 0x02,
  /** Last data PDU of an R2T (H2CData) or of the command (C2HData). */
  last: 0x04,
  /** C2HData with `last` only: no response capsule follows, the command succeeded with DW0 = DW1 = 0. */
  success: 0x08,
} as const;

/** HLEN by PDU type, without header digest; 0 for types that do not exist. */
const headerLengths = [128, 128, 24, 24, 72, 24, 24, 24, 0, 24] as const;

/** HLEN that a PDU type must announce, or 0 if the type is unknown. */
export function headerLengthBytes(type: number): number {
  return headerLengths[type] ?? 0;
}

/** Bytes in front of every PDU: type, flags, HLEN, PDO, PLEN. */
export const commonHeaderLengthBytes = 8;
/** Longest header with digest and padding, so a slot of this size holds everything before the data. */
export const headerSlotLengthBytes = 132;
/** Where the 64-byte SQE or 16-byte CQE of a capsule starts. */
export const capsuleEntryOffset = 8;
/** Bytes of an offending header that a TermReq may carry. */
export const termReqDataLengthMax = 128;

/** Digests in use on a connection and how data from this side is aligned. */
export interface WireFormat {
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  /** Alignment of data from the start of its PDU: (PDA + 1) * 4 of the receiving side, 4..128. */
  readonly alignmentBytes: number;
}

/** The wire as it is before, and without, negotiation. */
export const plainWire: WireFormat = { headerDigest: false, dataDigest: false, alignmentBytes: 4 };

/** Fatal error status of a TermReq. */
export const fatalErrorStatus = {
  invalidHeaderField: 1,
  sequenceError: 2,
  headerDigestError: 3,
  dataOutOfRange: 4,
  dataLimitExceeded: 5,
  unsupportedParameter: 6,
} as const;

const fatalErrorNames = new Map<number, string>([
  [1, "invalid PDU header field"],
  [2, "PDU sequence error"],
  [3, "header digest error"],
  [4, "data transfer out of range"],
  [5, "data transfer limit exceeded"],
  [6, "unsupported parameter"],
]);

/** Words a fatal error status (FES) for people. */
export function describeFatalError(fes: number): string {
  return fatalErrorNames.get(fes) ?? `fatal error status ${fes}`;
}

/**
 * The peer broke the protocol: the connection cannot go on, since there is no way to find the next PDU.
 *
 * `fes` and `fei` go into the TermReq, with `offendingHeader`, which the reader fills in.
 */
export class PduError extends Error {
  override readonly name = "PduError";
  readonly fes: number;
  /** Offset of the bad field within its PDU for FES 1 and 6, the received digest for FES 3, else 0. */
  readonly fei: number;
  offendingHeader: Uint8Array = new Uint8Array(0);

  constructor(fes: number, fei: number, message: string) {
    super(message);
    this.fes = fes;
    this.fei = fei;
  }
}

/**
 * Header of the PDU that is being received: one object per reader, overwritten by the next PDU.
 *
 * `bytes` holds the header (an SQE or CQE starts at {@link capsuleEntryOffset}); keep copies, not views.
 */
export class PduHeader {
  readonly bytes = new Uint8Array(headerSlotLengthBytes);
  readonly view = new DataView(this.bytes.buffer);
  type = 0;
  flags = 0;
  hlen = 0;
  /** Offset of the data from the start of the PDU; means nothing when there is none. */
  pdo = 0;
  plen = 0;
  /** Bytes of data in this PDU, 0 if none. */
  dataLengthBytes = 0;
  /** Where the data goes; set by the handler in `onHeader`. Left `undefined`, the data is dropped. */
  destination: Uint8Array | undefined = undefined;
  /** Where in `destination` the data of this PDU starts. */
  destinationOffset = 0;

  /** CCCID of H2CData, C2HData and R2T. */
  get cid(): number {
    return this.view.getUint16(8, true);
  }

  /** TTAG of H2CData and R2T. */
  get ttag(): number {
    return this.view.getUint16(10, true);
  }

  /** DATAO or R2TO: bytes from the start of the command's data. */
  get transferOffset(): number {
    return this.view.getUint32(12, true);
  }

  /** DATAL or R2TL, bytes. */
  get transferLengthBytes(): number {
    return this.view.getUint32(16, true);
  }

  get isLast(): boolean {
    return (this.flags & pduFlag.last) !== 0;
  }

  get isSuccess(): boolean {
    return (this.flags & pduFlag.success) !== 0;
  }

  /** FES of a TermReq. */
  get fatalErrorStatus(): number {
    return this.view.getUint16(8, true);
  }

  /** FEI of a TermReq; not aligned. */
  get fatalErrorInformation(): number {
    return this.view.getUint32(10, true);
  }
}
