/**
 * Fabrics commands (Connect, Property Get, Property Set) and the controller properties they carry.
 *
 * Authentication and Disconnect are left out: neither end of this project offers them.
 *
 * @packageDocumentation
 */
import { fabricsOpcode, sglIdentifier, writeCdw, writeSgl, writeSqe } from "./commands.ts";
import { nqnFieldLengthBytes, readNqnField, writeNqnField } from "./names.ts";
import type { Slab } from "./slab.ts";

/** FCTYPE, in the place of the first NSID byte. */
export const fabricsType = {
  propertySet: 0x00,
  connect: 0x01,
  propertyGet: 0x04,
  authenticationSend: 0x05,
  authenticationReceive: 0x06,
  disconnect: 0x08,
} as const;

/** Bytes of in-capsule data of Connect. */
export const connectDataLengthBytes = 1024;
/** CNTLID of an admin Connect: the controller chooses. */
export const cntlidDynamic = 0xffff;

/** CATTR bits of Connect. */
const connectAttribute = { disableSqFlowControl: 1 << 2 } as const;

/** What the SQE of Connect says. */
export interface ConnectCommand {
  /** 0 for the admin queue. */
  readonly qid: number;
  /** Queue entries minus one, as on the wire. */
  readonly sqsize: number;
  readonly disablesSqFlowControl: boolean;
  /** 0 turns keep alive off; it belongs to the admin queue. */
  readonly keepAliveMs: number;
}

/** What the 1024 bytes behind it say. */
export interface ConnectData {
  /** 16 bytes, in the byte order of the UUID's text. */
  readonly hostId: Uint8Array;
  readonly cntlid: number;
  readonly subsystemNqn: string;
  readonly hostNqn: string;
}

export function writeConnectSqe(slab: Slab, at: number, cid: number, connect: ConnectCommand): void {
  writeSqe(slab, at, fabricsOpcode, cid, fabricsType.connect);
  writeSgl(slab, at, sglIdentifier.inCapsule, connectDataLengthBytes);
  writeCdw(slab, at, 10, connect.qid << 16);
  writeCdw(
    slab,
    at,
    11,
    connect.sqsize | (connect.disablesSqFlowControl ? connectAttribute.disableSqFlowControl << 16 : 0),
  );
  writeCdw(slab, at, 12, connect.keepAliveMs);
}

/** Reads the SQE of a Connect; `recordFormat` must be 0. */
export function readConnectSqe(
  view: DataView,
  at: number,
): ConnectCommand & { readonly recordFormat: number } {
  return {
    recordFormat: view.getUint16(at + 40, true),
    qid: view.getUint16(at + 42, true),
    sqsize: view.getUint16(at + 44, true),
    disablesSqFlowControl: (view.getUint8(at + 46) & connectAttribute.disableSqFlowControl) !== 0,
    keepAliveMs: view.getUint32(at + 48, true),
  };
}

/** The 1024 bytes of Connect data. */
export function encodeConnectData(data: ConnectData): Buffer {
  const bytes = Buffer.alloc(connectDataLengthBytes);
  bytes.set(data.hostId.subarray(0, 16), 0);
  bytes.writeUInt16LE(data.cntlid, 16);
  writeNqnField(bytes, 256, data.subsystemNqn);
  writeNqnField(bytes, 512, data.hostNqn);
  return bytes;
}

/**
 * Reads Connect data.
 *
 * @param bytes - At least 1024; not kept. NQNs that are no valid names come back as `undefined`.
 */
export function decodeConnectData(bytes: Uint8Array): {
  readonly hostId: Uint8Array;
  readonly cntlid: number;
  readonly subsystemNqn: string | undefined;
  readonly hostNqn: string | undefined;
} {
  return {
    // Not `slice`: the one of a Buffer shares its memory.
    hostId: Uint8Array.from(bytes.subarray(0, 16)),
    cntlid: bytes[16]! | (bytes[17]! << 8),
    subsystemNqn: readNqnField(bytes.subarray(256, 256 + nqnFieldLengthBytes)),
    hostNqn: readNqnField(bytes.subarray(512, 512 + nqnFieldLengthBytes)),
  };
}

/** Offsets of the controller properties. */
export const property = { cap: 0x00, vs: 0x08, cc: 0x14, csts: 0x1c } as const;

/** @param isWide - 8 bytes (CAP) instead of 4. */
export function writePropertyGetSqe(
  slab: Slab,
  at: number,
  cid: number,
  offset: number,
  isWide: boolean,
): void {
  writeSqe(slab, at, fabricsOpcode, cid, fabricsType.propertyGet);
  writeCdw(slab, at, 10, isWide ? 1 : 0);
  writeCdw(slab, at, 11, offset);
}

/** Sets a 4-byte property. */
export function writePropertySetSqe(
  slab: Slab,
  at: number,
  cid: number,
  offset: number,
  value: number,
): void {
  writeSqe(slab, at, fabricsOpcode, cid, fabricsType.propertySet);
  writeCdw(slab, at, 11, offset);
  writeCdw(slab, at, 12, value);
}

/** Reads the SQE of Property Get or Set; `value` is the low half of what Set carries. */
export function readPropertySqe(
  view: DataView,
  at: number,
): { readonly offset: number; readonly isWide: boolean; readonly value: number } {
  return {
    isWide: (view.getUint8(at + 40) & 7) === 1,
    offset: view.getUint32(at + 44, true),
    value: view.getUint32(at + 48, true),
  };
}

/** CAP, as its two halves. */
export interface ControllerCapabilities {
  /** Largest SQSIZE, 0-based as on the wire. */
  readonly mqes: number;
  /** Longest wait for CSTS.RDY, in units of 500 ms. */
  readonly timeoutHalfSeconds: number;
  readonly supportsNvmCommandSet: boolean;
  /** Bit 43: the controller knows several I/O command sets. */
  readonly supportsCommandSets: boolean;
}

export function encodeCapabilities(cap: ControllerCapabilities): {
  readonly low: number;
  readonly high: number;
} {
  return {
    // CQR is set: queues are contiguous by nature here.
    low: (cap.mqes | (1 << 16) | (cap.timeoutHalfSeconds << 24)) >>> 0,
    high: (cap.supportsNvmCommandSet ? 1 << 5 : 0) | (cap.supportsCommandSets ? 1 << 11 : 0),
  };
}

export function decodeCapabilities(low: number, high: number): ControllerCapabilities {
  return {
    mqes: low & 0xffff,
    timeoutHalfSeconds: low >>> 24,
    supportsNvmCommandSet: (high & (1 << 5)) !== 0,
    supportsCommandSets: (high & (1 << 11)) !== 0,
  };
}

/** CC: bits and the entry sizes (2^6 and 2^4 bytes) that the NVM command set uses. */
export const controllerConfiguration = {
  enable: 1,
  entrySizes: 0x0046_0000,
  /** CSS 110b: all supported I/O command sets. */
  allCommandSets: 6 << 4,
  shutdownNormal: 1 << 14,
  shutdownMask: 3 << 14,
} as const;

export const controllerStatus = {
  ready: 1,
  fatal: 2,
  shutdownComplete: 2 << 2,
  shutdownMask: 3 << 2,
} as const;

/** VS of NVMe 1.4, which both ends of this project report. */
export const version14 = 0x0001_0400;
