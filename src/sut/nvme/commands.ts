/**
 * Submission queue entries: opcodes, and the 64 bytes written and read in place.
 *
 * A command is put together from small writers, `writeSqe` first. Readers take the view and the offset of
 * the entry, so neither side makes an object per command. Fabrics commands are in `fabrics.ts`.
 *
 * @packageDocumentation
 */
import type { Slab } from "./slab.ts";

export const adminOpcode = {
  getLogPage: 0x02,
  identify: 0x06,
  abort: 0x08,
  setFeatures: 0x09,
  getFeatures: 0x0a,
  asyncEventRequest: 0x0c,
  keepAlive: 0x18,
} as const;

export const nvmOpcode = {
  flush: 0x00,
  write: 0x01,
  read: 0x02,
  compare: 0x05,
  writeZeroes: 0x08,
  datasetManagement: 0x09,
} as const;

/** Opcode of every fabrics command, on admin and I/O queues alike. */
export const fabricsOpcode = 0x7f;

/** Feature identifiers. */
export const feature = {
  volatileWriteCache: 0x06,
  numberOfQueues: 0x07,
  asyncEventConfiguration: 0x0b,
  keepAliveTimer: 0x0f,
  hostIdentifier: 0x81,
} as const;

/** Controller or Namespace Structure of Identify. */
export const identifyCns = {
  namespace: 0x00,
  controller: 0x01,
  activeNamespaces: 0x02,
  namespaceDescriptors: 0x03,
  commandSetController: 0x06,
} as const;

/** Bits of Async Event Configuration and of OAES. */
export const asyncEventNotice = {
  namespaceAttribute: 1 << 8,
  discoveryLog: 0x8000_0000,
} as const;

/** DW0 of an async event completion: type, information, log page. */
export const asyncEvent = {
  namespaceAttributeChanged: 0x0004_0002,
  discoveryLogChanged: 0x0070_f002,
} as const;

/** Bits of CDW12 of read, write and write zeroes. */
export const ioControl = {
  deallocate: 1 << 25,
  forceUnitAccess: 1 << 30,
} as const;

/** FUSE field: the compare comes first, the write follows at once on the same queue. */
export const fuse = { none: 0, first: 1, second: 2 } as const;

/** SGL identifiers (type and subtype) that NVMe/TCP knows. */
export const sglIdentifier = {
  /** The data is in the command capsule. */
  inCapsule: 0x01,
  /** The data travels as C2HData, or as H2CData after an R2T; also of commands without data. */
  transport: 0x5a,
} as const;

const sqeLengthBytes = 64;
export const nsidBroadcast = 0xffff_ffff;
/** Longest transfer that NLB can express, in blocks. */
export const nlbMax = 65_536;

/**
 * Starts an SQE at `at`: zeros everything else, and says that SGLs are used (PSDT 01b, which fabrics demand)
 * with a transport descriptor of length 0.
 */
export function writeSqe(slab: Slab, at: number, opcode: number, cid: number, nsid: number): void {
  const { bytes, view } = slab;
  bytes.fill(0, at, at + sqeLengthBytes);
  bytes[at] = opcode;
  bytes[at + 1] = 0x40;
  view.setUint16(at + 2, cid, true);
  view.setUint32(at + 4, nsid, true);
  bytes[at + 39] = sglIdentifier.transport;
}

export function writeFuse(slab: Slab, at: number, fuseField: number): void {
  slab.bytes[at + 1] = 0x40 | fuseField;
}

/** SGL1: one descriptor with address 0. */
export function writeSgl(slab: Slab, at: number, identifier: number, lengthBytes: number): void {
  slab.view.setUint32(at + 32, lengthBytes, true);
  slab.bytes[at + 39] = identifier;
}

/** CDW10 and CDW11: starting LBA. */
export function writeSlba(slab: Slab, at: number, block: number): void {
  slab.view.setUint32(at + 40, block >>> 0, true);
  slab.view.setUint32(at + 44, Math.floor(block / 0x1_0000_0000), true);
}

/** CDW12 of an I/O command: NLB, stored as one less, and {@link ioControl} bits. */
export function writeNlb(slab: Slab, at: number, blockCount: number, control: number): void {
  slab.view.setUint32(at + 48, ((blockCount - 1) | control) >>> 0, true);
}

/** @param index - 10..15 for CDW10..CDW15. */
export function writeCdw(slab: Slab, at: number, index: number, value: number): void {
  slab.view.setUint32(at + index * 4, value >>> 0, true);
}

export function readOpcode(view: DataView, at: number): number {
  return view.getUint8(at);
}

export function readFuse(view: DataView, at: number): number {
  return view.getUint8(at + 1) & 3;
}

/** PSDT; 1 is what fabrics demand. */
export function readPsdt(view: DataView, at: number): number {
  return view.getUint8(at + 1) >> 6;
}

export function readCid(view: DataView, at: number): number {
  return view.getUint16(at + 2, true);
}

export function readNsid(view: DataView, at: number): number {
  return view.getUint32(at + 4, true);
}

export function readSglIdentifier(view: DataView, at: number): number {
  return view.getUint8(at + 39);
}

export function readSglLength(view: DataView, at: number): number {
  return view.getUint32(at + 32, true);
}

/** Address of SGL1 is 0, as NVMe/TCP demands. */
export function isSglAddressZero(view: DataView, at: number): boolean {
  return view.getUint32(at + 24, true) === 0 && view.getUint32(at + 28, true) === 0;
}

/** Starting LBA; rounded above 2^53, which is beyond every volume and so out of range all the same. */
export function readSlba(view: DataView, at: number): number {
  return view.getUint32(at + 44, true) * 0x1_0000_0000 + view.getUint32(at + 40, true);
}

/** Block count, 1..65536. */
export function readBlockCount(view: DataView, at: number): number {
  return view.getUint16(at + 48, true) + 1;
}

/** CDW12 of an I/O command without NLB: test with {@link ioControl}. */
export function readControl(view: DataView, at: number): number {
  return view.getUint32(at + 48, true) & ~0xffff;
}

/** @param index - 10..15 for CDW10..CDW15. */
export function readCdw(view: DataView, at: number, index: number): number {
  return view.getUint32(at + index * 4, true);
}

/** Most ranges of one Dataset Management command. */
export const deallocateRangesMax = 256;
/** Bytes of one range: attributes, length in blocks (1-based), starting LBA. */
export const deallocateRangeLengthBytes = 16;
/** CDW11 of Dataset Management: deallocate. */
export const deallocateAttribute = 1 << 2;

/** Writes range `index` of a Dataset Management list that starts at `at`. */
export function writeDeallocateRange(
  view: DataView,
  at: number,
  index: number,
  range: { readonly block: number; readonly blockCount: number },
): void {
  const start = at + index * deallocateRangeLengthBytes;
  view.setUint32(start, 0, true);
  view.setUint32(start + 4, range.blockCount, true);
  view.setUint32(start + 8, range.block >>> 0, true);
  view.setUint32(start + 12, Math.floor(range.block / 0x1_0000_0000), true);
}

/** Reads range `index` of a Dataset Management list that starts at `at`. */
export function readDeallocateRange(
  view: DataView,
  at: number,
  index: number,
): { readonly block: number; readonly blockCount: number } {
  const start = at + index * deallocateRangeLengthBytes;
  return {
    block: view.getUint32(start + 12, true) * 0x1_0000_0000 + view.getUint32(start + 8, true),
    blockCount: view.getUint32(start + 4, true),
  };
}

/** CDW10 and CDW11 of Get Log Page for `lengthBytes` (a multiple of 4) of page `logId`. */
export function writeGetLogPage(
  slab: Slab,
  at: number,
  request: { readonly logId: number; readonly lengthBytes: number; readonly offsetBytes: number },
): void {
  const dwordsMinusOne = request.lengthBytes / 4 - 1;
  writeCdw(slab, at, 10, request.logId | ((dwordsMinusOne & 0xffff) << 16));
  writeCdw(slab, at, 11, dwordsMinusOne >>> 16);
  writeCdw(slab, at, 12, request.offsetBytes);
  writeCdw(slab, at, 13, Math.floor(request.offsetBytes / 0x1_0000_0000));
}

/** Page, length, offset and "retain asynchronous event" of a received Get Log Page. */
export function readGetLogPage(
  view: DataView,
  at: number,
): {
  readonly logId: number;
  readonly lengthBytes: number;
  readonly offsetBytes: number;
  readonly retainsEvent: boolean;
} {
  const cdw10 = readCdw(view, at, 10);
  const dwordsMinusOne = (readCdw(view, at, 11) & 0xffff) * 0x1_0000 + (cdw10 >>> 16);
  return {
    logId: cdw10 & 0xff,
    lengthBytes: (dwordsMinusOne + 1) * 4,
    offsetBytes: readCdw(view, at, 13) * 0x1_0000_0000 + readCdw(view, at, 12),
    retainsEvent: (cdw10 & 0x8000) !== 0,
  };
}
