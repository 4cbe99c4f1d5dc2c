/**
 * Identify data: controller, namespace, namespace descriptors, active list, NVM command set limits.
 *
 * Every structure is 4096 bytes and is described once, for both directions. Only fields that one of the two
 * ends reports or obeys are named; the rest is zero.
 *
 * @see NVM Express Base Specification and NVM Command Set Specification, Identify command.
 * @packageDocumentation
 */
import {
  type Decoded,
  decodeLayout,
  encodeLayout,
  type Field,
  opaque,
  text,
  u8,
  u16,
  u32,
  u64,
} from "./layout.ts";
import { hexFromBytes, uuidFromBytes, uuidToBytes } from "./names.ts";

export const identifyLengthBytes = 4096;

const controllerLayout = {
  vendorId: u16(0),
  subsystemVendorId: u16(2),
  serialNumber: text(4, 20, " "),
  modelNumber: text(24, 40, " "),
  firmwareRevision: text(64, 8, " "),
  rab: u8(72),
  /** Bit 0 several ports, bit 1 several controllers, bit 3 ANA. */
  cmic: u8(76),
  /** Longest transfer as a power of two of 4 KiB; 0 for no limit. */
  mdts: u8(77),
  cntlid: u16(78),
  version: u32(80),
  rtd3ResumeUs: u32(84),
  rtd3EntryUs: u32(88),
  oaes: u32(92),
  ctratt: u32(96),
  /** 1 I/O, 2 discovery, 3 administrative. */
  controllerType: u8(111),
  crdt1: u16(128),
  crdt2: u16(130),
  crdt3: u16(132),
  oacs: u16(256),
  acl: u8(258),
  aerl: u8(259),
  frmw: u8(260),
  /** Bit 0 SMART per namespace, bit 1 effects log, bit 2 log page offset. */
  lpa: u8(261),
  elpe: u8(262),
  /** Keep alive granularity, units of 100 ms. */
  kas: u16(320),
  anatt: u8(342),
  anacap: u8(343),
  anagrpmax: u32(344),
  nanagrpid: u32(348),
  sqes: u8(512),
  cqes: u8(513),
  /** Most outstanding commands of a queue. */
  maxcmd: u16(514),
  /** Highest NSID. */
  nn: u32(516),
  oncs: u16(520),
  fuses: u16(522),
  fna: u8(524),
  /** Bit 0: a volatile write cache is present. */
  vwc: u8(525),
  /** Atomic write units, 0-based blocks. */
  awun: u16(526),
  awupf: u16(528),
  nwpc: u8(531),
  acwu: u16(532),
  ocfs: u16(534),
  sgls: u32(536),
  mnan: u32(540),
  subsystemNqn: text(768, 256, "\0"),
  /** Capsule sizes in units of 16 bytes. */
  ioccsz: u32(1792),
  iorcsz: u32(1796),
  icdoff: u16(1800),
  fcatt: u8(1802),
  msdbd: u8(1803),
  ofcs: u16(1804),
  dctype: u8(1806),
  psd0MaximumPower: u16(2048),
} as const;

export type ControllerIdentity = Decoded<typeof controllerLayout>;

/** ONCS bits. */
export const optionalCommand = { compare: 1 << 0, datasetManagement: 1 << 2, writeZeroes: 1 << 3 } as const;
/** FUSES bits. */
export const fusedOperation = { compareAndWrite: 1 << 0 } as const;
/** CTRATT bits. */
export const controllerAttribute = { hostId128: 1 << 0, trafficBasedKeepAlive: 1 << 6 } as const;
export const controllerType = { io: 1, discovery: 2 } as const;
/** LPA bits. */
export const logPageAttribute = { effects: 1 << 1, offset: 1 << 2 } as const;

/** Fields that are not given are 0 or empty. */
export function encodeControllerIdentity(identity: Partial<ControllerIdentity>): Buffer {
  return encodeLayout(controllerLayout, identifyLengthBytes, identity);
}

/** @param bytes - 4096; not kept. */
export function decodeControllerIdentity(bytes: Uint8Array): ControllerIdentity {
  return decodeLayout(controllerLayout, bytes);
}

/** Most in-capsule data of an I/O command, from IOCCSZ: what is left of a capsule behind the SQE. */
export function inCapsuleLengthBytes(ioccsz: number): number {
  return Math.max(0, ioccsz * 16 - 64);
}

/** One LBA format. */
export interface LbaFormat {
  readonly metadataLengthBytes: number;
  /** Block size as a power of two: 9 or 12. */
  readonly blockSizeShift: number;
}

const lbaFormatCountMax = 64;

/** NLBAF counts the entries that matter, so both fields are one list here. */
const lbaFormats: Field<readonly LbaFormat[]> = {
  read: (bytes) => {
    const count = Math.min(bytes.readUInt8(25) + 1, lbaFormatCountMax);
    return Array.from({ length: count }, (_, index) => ({
      metadataLengthBytes: bytes.readUInt16LE(128 + index * 4),
      blockSizeShift: bytes.readUInt8(130 + index * 4),
    }));
  },
  write: (bytes, formats) => {
    bytes.writeUInt8(formats.length - 1, 25);
    formats.forEach((format, index) => {
      bytes.writeUInt16LE(format.metadataLengthBytes, 128 + index * 4);
      bytes.writeUInt8(format.blockSizeShift, 130 + index * 4);
    });
  },
};

const namespaceLayout = {
  /** Size, capacity and use in blocks. */
  nsze: u64(0),
  ncap: u64(8),
  nuse: u64(16),
  /** Bit 0 thin, bit 1 NAWUN..NACWU count, bit 4 NPWG..NOWS count. */
  nsfeat: u8(24),
  lbaFormats,
  flbas: u8(26),
  nmic: u8(30),
  /** Bits 2:0 what a deallocated block reads as, bit 3 deallocate in write zeroes. */
  dlfeat: u8(33),
  /** Atomic write units, 0-based blocks. */
  nawun: u16(34),
  nawupf: u16(36),
  nacwu: u16(38),
  /** Atomic boundaries, 0-based blocks; 0 for none. */
  nabsn: u16(40),
  nabspf: u16(44),
  /** Optimal I/O boundary in blocks, 0 for none. */
  noiob: u16(46),
  npwg: u16(64),
  npwa: u16(66),
  npdg: u16(68),
  npda: u16(70),
  nows: u16(72),
  anagrpid: u32(92),
  /** Bit 0: write-protected. */
  nsattr: u8(99),
  nguid: opaque(104, 16),
  eui64: opaque(120, 8),
} as const;

export type NamespaceIdentity = Decoded<typeof namespaceLayout>;

/** NSFEAT bits. */
export const namespaceFeature = {
  thin: 1 << 0,
  ownAtomicUnits: 1 << 1,
  preferredGranularity: 1 << 4,
} as const;

/** DLFEAT: values of bits 2:0, and the bit for write zeroes. */
export const deallocateFeature = { zeros: 1, ones: 2, valueMask: 7, inWriteZeroes: 1 << 3 } as const;

/** Fields that are not given are 0 or empty. */
export function encodeNamespaceIdentity(identity: Partial<NamespaceIdentity>): Buffer {
  return encodeLayout(namespaceLayout, identifyLengthBytes, identity);
}

/** @param bytes - 4096; not kept. A namespace that is not active comes as zeros. */
export function decodeNamespaceIdentity(bytes: Uint8Array): NamespaceIdentity {
  return decodeLayout(namespaceLayout, bytes);
}

/** The format in use (FLBAS), or `undefined` if the index points nowhere. */
export function formatInUse(identity: NamespaceIdentity): LbaFormat | undefined {
  const index = (identity.flbas & 0x0f) | ((identity.flbas & 0x60) >> 1);
  return identity.lbaFormats[index];
}

/** Who a namespace is, as listed by its descriptors. */
export interface NamespaceDescriptors {
  /** Hexadecimal digits, 16. */
  readonly eui64?: string | undefined;
  /** Hexadecimal digits, 32. */
  readonly nguid?: string | undefined;
  readonly uuid?: string | undefined;
  /** I/O command set; listed only by controllers that know several. */
  readonly commandSet?: number | undefined;
}

const descriptorType = { eui64: 1, nguid: 2, uuid: 3, commandSet: 4 } as const;

/** Namespace identification descriptors; absent ones are left out, as the specification wants. */
export function encodeNamespaceDescriptors(descriptors: NamespaceDescriptors): Buffer {
  const bytes = Buffer.alloc(identifyLengthBytes);
  let at = 0;
  const append = (type: number, value: Uint8Array) => {
    bytes.set([type, value.length, 0, 0], at);
    bytes.set(value, at + 4);
    at += 4 + value.length;
  };
  const { eui64, nguid, uuid, commandSet } = descriptors;
  if (eui64 !== undefined) append(descriptorType.eui64, Buffer.from(eui64, "hex"));
  if (nguid !== undefined) append(descriptorType.nguid, Buffer.from(nguid, "hex"));
  if (uuid !== undefined) append(descriptorType.uuid, uuidToBytes(uuid));
  if (commandSet !== undefined) append(descriptorType.commandSet, Uint8Array.of(commandSet));
  return bytes;
}

/** Reads the descriptors up to the first that is zero or does not fit; unknown types are passed over. */
export function decodeNamespaceDescriptors(bytes: Uint8Array): NamespaceDescriptors {
  const found: { -readonly [K in keyof NamespaceDescriptors]: NamespaceDescriptors[K] } = {};
  let at = 0;
  while (at + 4 <= bytes.length) {
    const type = bytes[at]!;
    const lengthBytes = bytes[at + 1]!;
    const end = at + 4 + lengthBytes;
    if (type === 0 || lengthBytes === 0 || end > bytes.length) break;
    const value = bytes.subarray(at + 4, end);
    if (type === descriptorType.eui64 && lengthBytes === 8) found.eui64 = hexFromBytes(value);
    if (type === descriptorType.nguid && lengthBytes === 16) found.nguid = hexFromBytes(value);
    if (type === descriptorType.uuid && lengthBytes === 16) found.uuid = uuidFromBytes(value);
    if (type === descriptorType.commandSet && lengthBytes === 1) found.commandSet = value[0]!;
    at = end;
  }
  return found;
}

/** NSIDs in one list: active namespaces (Identify) and changed namespaces (log page 04). */
export const namespaceListCountMax = 1024;

/** @param nsids - Ascending, at most 1024; a zero ends the list if it is shorter. */
export function encodeNamespaceList(nsids: readonly number[]): Buffer {
  const bytes = Buffer.alloc(identifyLengthBytes);
  nsids.slice(0, namespaceListCountMax).forEach((nsid, index) => void bytes.writeUInt32LE(nsid, index * 4));
  return bytes;
}

export function decodeNamespaceList(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const nsids: number[] = [];
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const nsid = view.getUint32(at, true);
    if (nsid === 0) break;
    nsids.push(nsid);
  }
  return nsids;
}

const commandSetLayout = {
  /** Limits of verify, write zeroes and write uncorrectable as powers of two of 4 KiB; 0 for none. */
  vsl: u8(0),
  wzsl: u8(1),
  wusl: u8(2),
  /** Dataset Management: ranges, blocks per range, blocks in all; 0 for no limit. */
  dmrl: u8(3),
  dmrsl: u32(4),
  dmsl: u64(8),
} as const;

/** Limits of the NVM command set (CNS 06). */
export type CommandSetLimits = Decoded<typeof commandSetLayout>;

export function encodeCommandSetLimits(limits: Partial<CommandSetLimits>): Buffer {
  return encodeLayout(commandSetLayout, identifyLengthBytes, limits);
}

export function decodeCommandSetLimits(bytes: Uint8Array): CommandSetLimits {
  return decodeLayout(commandSetLayout, bytes);
}
