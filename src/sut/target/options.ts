/**
 * What an embedded target can be told, and the limits that follow from it.
 *
 * @packageDocumentation
 */
import { isIP } from "node:net";
import { type Log, silentLog } from "../log.ts";
import { nqnProblem } from "../nvme/names.ts";
import type { VolumeStore } from "../store/port.ts";

export interface TargetOptions {
  readonly store: VolumeStore;
  /** NQN of the subsystem: at most 223 characters, ASCII. */
  readonly subsystemNqn: string;
  /** Serial number, at most 20 ASCII characters; the same after every restart. */
  readonly serial: string;
  /** Address to listen on; the loopback interface unless given. */
  readonly host?: string;
  /** Port to listen on; one of the system's choice unless given. */
  readonly port?: number;
  /**
   * What the discovery log names, for hosts behind an address translation: `10.0.2.2`, `10.0.2.2:4420`, `[fd00::1]` or
   * `[fd00::1]:4420`. Unless given, the address that the host has reached; the same holds for the port.
   */
  readonly advertise?: string;
  /** Hosts that may connect; any host unless given. */
  readonly allowedHostNqns?: readonly string[];
  /** Grants header digests to hosts that ask; true unless given. */
  readonly headerDigest?: boolean;
  /** Grants data digests to hosts that ask; true unless given. */
  readonly dataDigest?: boolean;
  /** Longest transfer as a power of two of 4 KiB, 1..8; 5 (128 KiB) unless given. */
  readonly mdts?: number;
  /** I/O queues per controller, 1..1024; 16 unless given. */
  readonly ioQueueCountMax?: number;
  /** Entries per queue, 32..4096; 256 unless given. */
  readonly queueDepthMax?: number;
  /** Connections at once, those of discovery included; 256 unless given. */
  readonly connectionCountMax?: number;
  /** Reports a volatile write cache: true (unless given) if only flush puts writes on stable media. */
  readonly volatileWriteCache?: boolean;
  readonly log?: Log;
}

/** {@link TargetOptions} without gaps, checked. */
export interface TargetConfiguration {
  readonly store: VolumeStore;
  readonly subsystemNqn: string;
  readonly serial: string;
  readonly advertised: AdvertisedAddress | undefined;
  readonly allowedHostNqns: ReadonlySet<string> | undefined;
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  readonly mdts: number;
  readonly transferLengthMax: number;
  readonly ioQueueCountMax: number;
  readonly queueDepthMax: number;
  readonly connectionCountMax: number;
  readonly volatileWriteCache: boolean;
  readonly log: Log;
}

interface AdvertisedAddress {
  /** IPv4 or IPv6, without brackets. */
  readonly address: string;
  readonly port: number | undefined;
}

/** In-capsule data of any queue, bytes; a write that fits needs no R2T. */
export const inCapsuleLengthMax = 16384;
/** Data of one C2HData PDU, bytes: longer reads are split, so that short answers pass between. */
export const c2hDataLengthMax = 131072;
/** Time from accept to a successful Connect, ms. */
export const connectTimeoutMs = 10_000;

/** @throws {RangeError} An option is out of range; the message names it and the range. */
export function configure(options: TargetOptions): TargetConfiguration {
  const mdts = within("mdts", options.mdts ?? 5, 1, 8);
  const problem = nqnProblem(options.subsystemNqn);
  if (problem !== undefined) throw new RangeError(`subsystemNqn: ${problem}`);
  if (!/^[\x21-\x7e]+$/.test(options.subsystemNqn)) {
    throw new RangeError(`subsystemNqn: printable ASCII characters expected, got "${options.subsystemNqn}"`);
  }
  if (!/^[\x20-\x7e]{1,20}$/.test(options.serial)) {
    throw new RangeError(`serial: 1 to 20 printable ASCII characters expected, got "${options.serial}"`);
  }
  return {
    store: options.store,
    subsystemNqn: options.subsystemNqn,
    serial: options.serial,
    advertised: options.advertise === undefined ? undefined : parseAdvertised(options.advertise),
    allowedHostNqns: options.allowedHostNqns && new Set(options.allowedHostNqns),
    headerDigest: options.headerDigest ?? true,
    dataDigest: options.dataDigest ?? true,
    mdts,
    transferLengthMax: 4096 << mdts,
    ioQueueCountMax: within("ioQueueCountMax", options.ioQueueCountMax ?? 16, 1, 1024),
    queueDepthMax: within("queueDepthMax", options.queueDepthMax ?? 256, 32, 4096),
    connectionCountMax: within("connectionCountMax", options.connectionCountMax ?? 256, 1, 65_536),
    volatileWriteCache: options.volatileWriteCache ?? true,
    log: options.log ?? silentLog,
  };
}

function parseAdvertised(text: string): AdvertisedAddress {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? "";
  if (isIP(address) !== (bracketed === undefined ? 4 : 6)) {
    throw new RangeError(`advertise: an IPv4 address or an IPv6 address in brackets expected, got "${text}"`);
  }
  return {
    address,
    port: digits === undefined ? undefined : within("advertised port", Number(digits), 1, 65_535),
  };
}

function within(name: string, value: number, min: number, max: number): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`${name}: an integer from ${min} to ${max} expected, got ${value}`);
}
