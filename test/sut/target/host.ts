/**
 * A host of few words for tests of the target: it puts PDUs together byte by byte, without our encoders, and
 * takes the answers apart the same way. There is no socket: it talks to a connection directly.
 */
import { crc32c } from "@node-rs/crc32";
import { silentLog } from "../../../src/sut/log.ts";
import { Connection } from "../../../src/sut/target/connection.ts";
import { configure, type TargetOptions } from "../../../src/sut/target/options.ts";
import type { Transport } from "../../../src/sut/target/outbox.ts";
import { Target } from "../../../src/sut/target/target.ts";
import { FakeStore } from "./fake-store.ts";

export const subsystemNqn = "nqn.2024-01.test:sub1";
export const hostNqn = "nqn.2014-08.org.nvmexpress:uuid:11111111-2222-3333-4444-555555555555";
export const hostId = "11111111222233334444555555555555";
export const discoveryNqn = "nqn.2014-08.org.nvmexpress.discovery";

export interface Digests {
  readonly header: boolean;
  readonly data: boolean;
}

export interface Pdu {
  readonly type: number;
  readonly flags: number;
  /** The whole PDU. */
  readonly bytes: Buffer;
  /** Data without digest. */
  readonly data: Buffer;
  readonly cid: number;
}

export interface Completion {
  readonly cid: number;
  /** SCT and SC as in "1/82", with " DNR" behind if it is set. */
  readonly status: string;
  readonly dw0: number;
  readonly dw1: number;
  readonly sqHead: number;
  readonly qid: number;
}

export interface Command {
  readonly opcode: number;
  readonly cid: number;
  readonly nsid?: number;
  readonly fuse?: number;
  /** SGL identifier: 0x5a unless there is in-capsule data. */
  readonly sgl?: number;
  /** SGL length: that of `data` unless given. */
  readonly length?: number;
  readonly cdw10?: number;
  readonly cdw11?: number;
  readonly cdw12?: number;
  /** In-capsule data. */
  readonly data?: Buffer;
}

/** A transport that keeps what it is given; by default it takes everything at once. */
class Recorder implements Transport {
  readonly localAddress = "127.0.0.1";
  readonly localPort = 4420;
  readonly remoteName = "test host";
  readonly chunks: Buffer[] = [];
  isEnded = false;
  isPaused = false;
  /** While true, nothing counts as taken: a host that does not read. */
  isBlocked = false;
  readonly #taken: (() => void)[] = [];

  write(bytes: Uint8Array, taken: () => void): void {
    this.chunks.push(Buffer.from(bytes));
    if (this.isBlocked) this.#taken.push(taken);
    else taken();
  }

  /** The host reads one batch. */
  takeOne(): boolean {
    const taken = this.#taken.shift();
    taken?.();
    return taken !== undefined;
  }

  end(): void {
    this.isEnded = true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }
}

/** A target without sockets, and hosts that talk to it. */
export class Bench {
  readonly store: FakeStore;
  readonly target: Target;
  readonly warnings: string[] = [];
  nowMs = 1000;

  constructor(options: Partial<TargetOptions> = {}, store = new FakeStore()) {
    this.store = store;
    const log = { ...silentLog, warn: (message: string) => void this.warnings.push(message) };
    this.target = new Target(
      configure({ store: store.port, subsystemNqn, serial: "HARROW1", log, ...options }),
    );
  }

  /** A connection that has not said anything yet. */
  open(): Host {
    return new Host(this);
  }

  /** An admin queue whose controller is enabled. */
  openAdmin(options: { digests?: Digests; keepAliveMs?: number; nqn?: string; cattr?: number } = {}): Host {
    const host = this.open();
    host.initialize(options.digests);
    const completion = host.connect({
      qid: 0,
      ...(options.nqn === undefined ? {} : { nqn: options.nqn }),
      ...(options.cattr === undefined ? {} : { cattr: options.cattr }),
      keepAliveMs: options.keepAliveMs ?? 0,
    });
    if (completion.status !== "0/00") throw new Error(`Connect failed: ${completion.status}`);
    host.cntlid = completion.dw0 & 0xffff;
    host.setProperty(0x14, 0x0046_0001);
    return host;
  }

  /** An I/O queue of the controller of `admin`. */
  openIo(
    admin: Host,
    options: { qid?: number; digests?: Digests; cattr?: number; sqsize?: number } = {},
  ): Host {
    const host = this.open();
    host.initialize(options.digests);
    const completion = host.connect({
      qid: options.qid ?? 1,
      cntlid: admin.cntlid,
      cattr: options.cattr ?? 0,
      sqsize: options.sqsize ?? 127,
    });
    if (completion.status !== "0/00") throw new Error(`I/O Connect failed: ${completion.status}`);
    return host;
  }
}

export class Host {
  readonly bench: Bench;
  readonly transport = new Recorder();
  readonly connection: Connection;
  cntlid = 0;
  digests: Digests = { header: false, data: false };
  #pending = Buffer.alloc(0);

  constructor(bench: Bench) {
    this.bench = bench;
    this.connection = new Connection(bench.target, this.transport, bench.nowMs);
  }

  send(bytes: Buffer): void {
    this.connection.receive(bytes, this.bench.nowMs);
  }

  /** Whole PDUs that have arrived since the last call. */
  take(): Pdu[] {
    let rest = Buffer.concat([this.#pending, ...this.transport.chunks.splice(0)]);
    const pdus: Pdu[] = [];
    while (rest.length >= 8) {
      const plen = rest.readUInt32LE(4);
      if (rest.length < plen) break;
      pdus.push(parsePdu(rest.subarray(0, plen)));
      rest = rest.subarray(plen);
    }
    this.#pending = rest;
    return pdus;
  }

  initialize(digests: Digests = { header: false, data: false }): Pdu {
    const icReq = Buffer.alloc(128);
    icReq.set([0x00, 0x00, 0x80, 0x00, 0x80]);
    icReq[11] = (digests.header ? 1 : 0) | (digests.data ? 2 : 0);
    this.send(icReq);
    const icResp = this.take()[0]!;
    this.digests = { header: (icResp.bytes[11]! & 1) !== 0, data: (icResp.bytes[11]! & 2) !== 0 };
    return icResp;
  }

  connect(options: {
    readonly qid: number;
    readonly nqn?: string;
    readonly hostNqn?: string;
    readonly hostId?: string;
    readonly cntlid?: number;
    readonly sqsize?: number;
    readonly cattr?: number;
    readonly keepAliveMs?: number;
    readonly recordFormat?: number;
    readonly dataLength?: number;
  }): Completion {
    const data = Buffer.alloc(options.dataLength ?? 1024);
    data.write(options.hostId ?? hostId, 0, "hex");
    data.writeUInt16LE(options.cntlid ?? 0xffff, 16);
    data.write(options.nqn ?? subsystemNqn, 256);
    data.write(options.hostNqn ?? hostNqn, 512);
    const sqsize = options.sqsize ?? 31;
    return this.complete({
      opcode: 0x7f,
      cid: 0,
      nsid: 0x01,
      cdw10: (options.recordFormat ?? 0) | (options.qid << 16),
      cdw11: sqsize | ((options.cattr ?? 0) << 16),
      cdw12: options.keepAliveMs ?? 0,
      data,
    });
  }

  getProperty(offset: number, size = 0): Completion {
    return this.complete({ opcode: 0x7f, cid: 1, nsid: 0x04, cdw10: size, cdw11: offset });
  }

  setProperty(offset: number, value: number): Completion {
    return this.complete({ opcode: 0x7f, cid: 1, nsid: 0x00, cdw11: offset, cdw12: value });
  }

  /** Sends a command and returns its completion, which must come at once and alone. */
  complete(command: Command): Completion {
    this.send(this.capsule(command));
    const completions = this.completions();
    if (completions.length !== 1) throw new Error(`one completion expected, got ${completions.length}`);
    return completions[0]!;
  }

  /** Response capsules since the last call, in order; other PDUs are dropped. */
  completions(): Completion[] {
    return this.take()
      .filter((pdu) => pdu.type === 0x05)
      .map((pdu) => completionOf(pdu));
  }

  /** Sends a read-like command and returns its data, or the completion if it failed. */
  read(command: Command): Buffer | Completion {
    this.send(this.capsule(command));
    const pdus = this.take();
    const data = pdus.filter((pdu) => pdu.type === 0x07).map((pdu) => pdu.data);
    const response = pdus.find((pdu) => pdu.type === 0x05);
    if (response !== undefined && completionOf(response).status !== "0/00") return completionOf(response);
    return Buffer.concat(data);
  }

  identify(cns: number, nsid = 0, cdw11 = 0): Buffer | Completion {
    return this.read({ opcode: 0x06, cid: 2, nsid, cdw10: cns, cdw11, length: 4096 });
  }

  getLog(
    logId: number,
    lengthBytes: number,
    options: { offset?: number; retain?: boolean } = {},
  ): Buffer | Completion {
    const cdw10 = logId | (options.retain === true ? 0x8000 : 0) | ((lengthBytes / 4 - 1) << 16);
    const cdw12 = options.offset ?? 0;
    return this.read({ opcode: 0x02, cid: 3, nsid: 0xffff_ffff, cdw10, cdw12, length: lengthBytes });
  }

  capsule(command: Command): Buffer {
    const { data = Buffer.alloc(0) } = command;
    const header = Buffer.alloc(72);
    const sqe = header.subarray(8);
    sqe[0] = command.opcode;
    sqe[1] = 0x40 | (command.fuse ?? 0);
    sqe.writeUInt16LE(command.cid, 2);
    sqe.writeUInt32LE(command.nsid ?? 0, 4);
    sqe.writeUInt32LE(command.length ?? data.length, 32);
    sqe[39] = command.sgl ?? (data.length > 0 ? 0x01 : 0x5a);
    sqe.writeUInt32LE((command.cdw10 ?? 0) >>> 0, 40);
    sqe.writeUInt32LE((command.cdw11 ?? 0) >>> 0, 44);
    sqe.writeUInt32LE((command.cdw12 ?? 0) >>> 0, 48);
    return this.#pdu(0x04, 0, header, data);
  }

  h2cData(transfer: {
    readonly cid: number;
    readonly ttag: number;
    readonly offset: number;
    readonly data: Buffer;
    readonly isLast?: boolean;
  }): Buffer {
    const header = Buffer.alloc(24);
    header.writeUInt16LE(transfer.cid, 8);
    header.writeUInt16LE(transfer.ttag, 10);
    header.writeUInt32LE(transfer.offset, 12);
    header.writeUInt32LE(transfer.data.length, 16);
    return this.#pdu(0x06, (transfer.isLast ?? true) ? 0x04 : 0, header, transfer.data);
  }

  #pdu(type: number, flags: number, header: Buffer, data: Buffer): Buffer {
    const pdo = header.length + (this.digests.header ? 4 : 0);
    const hasDataDigest = this.digests.data && data.length > 0;
    header[0] = type;
    header[1] = flags | (this.digests.header ? 1 : 0) | (hasDataDigest ? 2 : 0);
    header[2] = header.length;
    header[3] = data.length > 0 ? pdo : 0;
    header.writeUInt32LE(pdo + data.length + (hasDataDigest ? 4 : 0), 4);
    const parts = [header];
    if (this.digests.header) parts.push(digestOf(header));
    if (data.length > 0) parts.push(data);
    if (hasDataDigest) parts.push(digestOf(data));
    return Buffer.concat(parts);
  }
}

export function digestOf(bytes: Buffer): Buffer {
  const digest = Buffer.alloc(4);
  digest.writeUInt32LE(crc32c(bytes));
  return digest;
}

export function completionOf(pdu: Pdu): Completion {
  const cqe = pdu.bytes.subarray(8, 24);
  const status = cqe.readUInt16LE(14);
  const sct = (status >> 9) & 7;
  const sc = (status >> 1) & 0xff;
  return {
    cid: cqe.readUInt16LE(12),
    status: `${sct}/${sc.toString(16).padStart(2, "0")}${(status & 0x8000) === 0 ? "" : " DNR"}`,
    dw0: cqe.readUInt32LE(0),
    dw1: cqe.readUInt32LE(4),
    sqHead: cqe.readUInt16LE(8),
    qid: cqe.readUInt16LE(10),
  };
}

function parsePdu(bytes: Buffer): Pdu {
  const type = bytes[0]!;
  const flags = bytes[1]!;
  const pdo = bytes[3]!;
  const end = bytes.length - ((flags & 2) === 0 ? 0 : 4);
  const data = Buffer.from(pdo === 0 ? bytes.subarray(0, 0) : bytes.subarray(pdo, end));
  const copy = Buffer.from(bytes);
  return { type, flags, bytes: copy, data, cid: bytes.readUInt16LE(type === 0x05 ? 20 : 8) };
}

/** Buffer of bytes that are all different from their neighbours. */
export function pattern(lengthBytes: number, seed = 1): Buffer {
  return Buffer.from(
    Uint8Array.from({ length: lengthBytes }, (_, index) => (index * 7 + (index >> 8) + seed) & 0xff),
  );
}

export function hex(text: string): Buffer {
  return Buffer.from(text.replace(/\s+/g, ""), "hex");
}
