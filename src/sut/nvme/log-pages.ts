/**
 * Log pages: error information, SMART, changed namespaces, commands and effects, discovery.
 *
 * @see NVM Express Base Specification, Get Log Page command.
 * @packageDocumentation
 */
import { type Decoded, decodeLayout, encodeLayout, text, u8, u16, u32, u64, u128 } from "./layout.ts";

export const logPage = {
  errorInformation: 0x01,
  smart: 0x02,
  firmwareSlot: 0x03,
  /** A namespace list; see `encodeNamespaceList`. */
  changedNamespaces: 0x04,
  commandsAndEffects: 0x05,
  discovery: 0x70,
} as const;

/** First entry of the changed namespace list when more than 1024 namespaces changed. */
export const changedNamespacesOverflow = 0xffff_ffff;

const smartLayout = {
  criticalWarning: u8(0),
  /** Kelvin. */
  temperature: u16(1),
  availableSparePercent: u8(3),
  availableSpareThresholdPercent: u8(4),
  usedPercent: u8(5),
  /** Units of 1000 * 512 bytes. */
  dataUnitsRead: u128(32),
  dataUnitsWritten: u128(48),
  hostReadCommands: u128(64),
  hostWriteCommands: u128(80),
  busyMinutes: u128(96),
  powerCycles: u128(112),
  powerOnHours: u128(128),
  unsafeShutdowns: u128(144),
  mediaErrors: u128(160),
  errorLogEntries: u128(176),
} as const;

const smartLengthBytes = 512;
export type SmartLog = Decoded<typeof smartLayout>;

export function encodeSmartLog(log: Partial<SmartLog>): Buffer {
  return encodeLayout(smartLayout, smartLengthBytes, log);
}

export function decodeSmartLog(bytes: Uint8Array): SmartLog {
  return decodeLayout(smartLayout, bytes);
}

const errorLogLayout = {
  /** Counts errors from 1; 0 marks an entry that is not in use. */
  errorCount: u64(0),
  sqid: u16(8),
  cid: u16(10),
  /** STATUS as in a CQE. */
  status: u16(12),
  parameterLocation: u16(14),
  block: u64(16),
  nsid: u32(24),
  transportType: u8(29),
  opcode: u8(31),
} as const;

const errorLogEntryLengthBytes = 64;
export type ErrorLogEntry = Decoded<typeof errorLogLayout>;

/** @param entries - Newest first. */
export function encodeErrorLog(entries: readonly Partial<ErrorLogEntry>[]): Buffer {
  return Buffer.concat(entries.map((entry) => encodeLayout(errorLogLayout, errorLogEntryLengthBytes, entry)));
}

/** Entries in use, newest first. */
export function decodeErrorLog(bytes: Uint8Array): ErrorLogEntry[] {
  const entries: ErrorLogEntry[] = [];
  for (let at = 0; at + errorLogEntryLengthBytes <= bytes.length; at += errorLogEntryLengthBytes) {
    const entry = decodeLayout(errorLogLayout, bytes.subarray(at, at + errorLogEntryLengthBytes));
    if (entry.errorCount !== 0n) entries.push(entry);
  }
  return entries;
}

const effectsLengthBytes = 4096;

/** Effects of a command: bit 0 supported, bit 1 changes block content. */
export const commandEffect = { supported: 1, changesBlocks: 2 } as const;

/** Commands supported and their effects, opcode by opcode; opcodes that are not listed are not supported. */
export interface CommandEffects {
  readonly admin: ReadonlyMap<number, number>;
  readonly io: ReadonlyMap<number, number>;
}

export function encodeCommandEffects(effects: CommandEffects): Buffer {
  const bytes = Buffer.alloc(effectsLengthBytes);
  for (const [opcode, effect] of effects.admin) bytes.writeUInt32LE(effect, opcode * 4);
  for (const [opcode, effect] of effects.io) bytes.writeUInt32LE(effect, 1024 + opcode * 4);
  return bytes;
}

/** @param bytes - 4096, or at least 2048 of them. */
export function decodeCommandEffects(bytes: Uint8Array): CommandEffects {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const table = (start: number) => {
    const effects = new Map<number, number>();
    for (let opcode = 0; opcode < 256; opcode++) {
      const effect = view.getUint32(start + opcode * 4, true);
      if ((effect & commandEffect.supported) !== 0) effects.set(opcode, effect);
    }
    return effects;
  };
  return { admin: table(0), io: table(1024) };
}

const discoveryHeaderLayout = { generation: u64(0), recordCount: u64(8), recordFormat: u16(16) } as const;

const discoveryEntryLayout = {
  /** 3 for TCP. */
  transportType: u8(0),
  /** 1 IPv4, 2 IPv6. */
  addressFamily: u8(1),
  /** 1 referral, 2 NVM subsystem, 3 this discovery service. */
  subtype: u8(2),
  transportRequirements: u8(3),
  portId: u16(4),
  cntlid: u16(6),
  adminQueueEntriesMax: u16(8),
  flags: u16(10),
  /** TCP port as text. */
  serviceId: text(32, 32, "\0"),
  subsystemNqn: text(256, 256, "\0"),
  address: text(512, 256, "\0"),
  securityType: u8(768),
} as const;

export const discoveryTransport = { tcp: 3 } as const;
export const discoverySubtype = { referral: 1, subsystem: 2, thisService: 3 } as const;
/** Bytes of the header and of each entry. */
export const discoveryRecordLengthBytes = 1024;

export type DiscoveryHeader = Decoded<typeof discoveryHeaderLayout>;
export type DiscoveryEntry = Decoded<typeof discoveryEntryLayout>;

/** Header and entries of the discovery log page. */
export function encodeDiscoveryLog(generation: bigint, entries: readonly Partial<DiscoveryEntry>[]): Buffer {
  const header = { generation, recordCount: BigInt(entries.length), recordFormat: 0 };
  return Buffer.concat([
    encodeLayout(discoveryHeaderLayout, discoveryRecordLengthBytes, header),
    ...entries.map((entry) => encodeLayout(discoveryEntryLayout, discoveryRecordLengthBytes, entry)),
  ]);
}

/** @param bytes - At least the first 18 of the page. */
export function decodeDiscoveryHeader(bytes: Uint8Array): DiscoveryHeader {
  return decodeLayout(discoveryHeaderLayout, bytes);
}

/** @param bytes - Whole entries, without the header. */
export function decodeDiscoveryEntries(bytes: Uint8Array): DiscoveryEntry[] {
  const entries: DiscoveryEntry[] = [];
  for (let at = 0; at + discoveryRecordLengthBytes <= bytes.length; at += discoveryRecordLengthBytes) {
    entries.push(decodeLayout(discoveryEntryLayout, bytes.subarray(at, at + discoveryRecordLengthBytes)));
  }
  return entries;
}
