/**
 * Commands that are sent now and then and awaited one by one: Connect, properties, Identify, log pages,
 * features. They run on the admin queue, and Connect on every queue.
 *
 * @packageDocumentation
 */
import { adminOpcode, identifyCns, writeCdw, writeGetLogPage, writeSqe } from "../nvme/commands.ts";
import {
  type ConnectCommand,
  type ConnectData,
  encodeConnectData,
  writeConnectSqe,
  writePropertyGetSqe,
  writePropertySetSqe,
} from "../nvme/fabrics.ts";
import { identifyLengthBytes } from "../nvme/identify.ts";
import type { Slab } from "../nvme/slab.ts";
import { describeStatus, parseStatus } from "../nvme/status.ts";
import type { NvmeStatus } from "../port.ts";
import { type CommandSlot, type Loss, type QueueRequest, transferDirection } from "./command-slot.ts";
import type { QueueConnection } from "./connection.ts";
import { ControllerError, refusedBy } from "./errors.ts";
import { RequestFifo } from "./request-fifo.ts";
import type { Ticker } from "./ticker.ts";

/** A completion, taken apart. */
export interface AdminCompletion {
  readonly status: NvmeStatus;
  readonly isSuccess: boolean;
  readonly dw0: number;
  readonly dw1: number;
}

export interface AdminCommand {
  /** For messages: "Identify Controller". */
  readonly name: string;
  readonly write: (slab: Slab, at: number, cid: number) => void;
  readonly send?: Uint8Array;
  readonly receive?: Uint8Array;
  readonly timeoutTicks: number;
}

/** Awaits commands on one queue; the queue itself belongs to the association. */
export class AdminQueue {
  readonly queue: QueueConnection;
  readonly #ticker: Ticker;
  readonly #timeoutTicks: number;
  readonly #fifo = new RequestFifo();

  constructor(queue: QueueConnection, ticker: Ticker, timeoutTicks: number) {
    this.queue = queue;
    this.#ticker = ticker;
    this.#timeoutTicks = timeoutTicks;
  }

  /** Call when the queue has room. */
  pump(): void {
    this.#fifo.pump([this.queue], this.#ticker.tick);
  }

  /** Ends the commands that wait for room. */
  clear(loss: Loss): void {
    this.#fifo.clear(loss);
  }

  /**
   * Sends a command and resolves with its completion, whatever the status.
   *
   * @throws {ControllerError} If the queue is lost before the answer.
   */
  execute(command: Omit<AdminCommand, "timeoutTicks"> & { timeoutTicks?: number }): Promise<AdminCompletion> {
    return new Promise((resolve, reject) => {
      if (this.queue.isClosed) {
        reject(new ControllerError("ERR_CONNECTION_LOST", `${command.name}: the connection is closed`));
        return;
      }
      const request = new AdminRequest({ timeoutTicks: this.#timeoutTicks, ...command }, resolve, reject);
      this.#fifo.push(request);
      this.pump();
    });
  }

  /** The same, but a status other than success is an error too. */
  async require(command: Omit<AdminCommand, "timeoutTicks">): Promise<AdminCompletion> {
    const completion = await this.execute(command);
    if (!completion.isSuccess) throw refusedBy(command.name, completion.status);
    return completion;
  }

  /** Connects this queue to the controller; resolves with DW0, which holds the CNTLID. */
  async connect(command: ConnectCommand, data: ConnectData): Promise<number> {
    const name = `Connect of queue ${command.qid}`;
    const { status, isSuccess, dw0 } = await this.execute({
      name,
      write: (slab, at, cid) => writeConnectSqe(slab, at, cid, command),
      send: encodeConnectData(data),
    });
    if (isSuccess) return dw0;
    const place = `${(dw0 & 0x1_0000) === 0 ? "command" : "data"} byte ${dw0 & 0xffff}`;
    throw new ControllerError("ERR_TARGET", `${name}: ${describeStatus(status)}, refers to ${place}`, {
      status,
      isPermanent: status.dnr,
    });
  }

  /** Property Get; 8 bytes give both halves, 4 bytes the low one. */
  async getProperty(name: string, offset: number, isWide: boolean): Promise<{ low: number; high: number }> {
    const { dw0, dw1 } = await this.require({
      name: `Property Get ${name}`,
      write: (slab, at, cid) => writePropertyGetSqe(slab, at, cid, offset, isWide),
    });
    return { low: dw0, high: dw1 };
  }

  async setProperty(name: string, offset: number, value: number): Promise<void> {
    await this.require({
      name: `Property Set ${name}`,
      write: (slab, at, cid) => writePropertySetSqe(slab, at, cid, offset, value),
    });
  }

  /** Identify; resolves with its 4096 bytes. */
  async identify(cns: number, nsid: number): Promise<Buffer> {
    const receive = Buffer.alloc(identifyLengthBytes);
    await this.require({
      name: `Identify ${cnsNames[cns] ?? cns} of NSID ${nsid}`,
      write: (slab, at, cid) => {
        writeSqe(slab, at, adminOpcode.identify, cid, nsid);
        writeCdw(slab, at, 10, cns);
      },
      receive,
    });
    return receive;
  }

  /** Get Log Page with RAE 0; resolves with `lengthBytes` bytes. */
  async getLogPage(page: {
    readonly logId: number;
    readonly lengthBytes: number;
    readonly offsetBytes: number;
    readonly nsid: number;
  }): Promise<Buffer> {
    const receive = Buffer.alloc(page.lengthBytes);
    await this.require({
      name: `Get Log Page 0x${page.logId.toString(16)}`,
      write: (slab, at, cid) => {
        writeSqe(slab, at, adminOpcode.getLogPage, cid, page.nsid);
        writeGetLogPage(slab, at, page);
      },
      receive,
    });
    return receive;
  }

  /** Set Features with a value in CDW11; resolves with DW0. */
  async setFeatures(featureId: number, value: number): Promise<number> {
    const { dw0 } = await this.require({
      name: `Set Features 0x${featureId.toString(16)}`,
      write: (slab, at, cid) => {
        writeSqe(slab, at, adminOpcode.setFeatures, cid, 0);
        writeCdw(slab, at, 10, featureId);
        writeCdw(slab, at, 11, value);
      },
    });
    return dw0;
  }
}

const cnsNames: Readonly<Record<number, string>> = {
  [identifyCns.namespace]: "Namespace",
  [identifyCns.controller]: "Controller",
  [identifyCns.activeNamespaces]: "Active Namespaces",
  [identifyCns.namespaceDescriptors]: "Namespace Descriptors",
  [identifyCns.commandSetController]: "Command Set Limits",
};

class AdminRequest implements QueueRequest {
  readonly slotsAtOnce = 1;
  readonly timeoutTicks: number;
  hasMore = true;
  waitDeadlineTick = Number.POSITIVE_INFINITY;
  readonly #command: AdminCommand;
  readonly #resolve: (completion: AdminCompletion) => void;
  readonly #reject: (error: ControllerError) => void;

  constructor(
    command: AdminCommand,
    resolve: (completion: AdminCompletion) => void,
    reject: (error: ControllerError) => void,
  ) {
    this.#command = command;
    this.timeoutTicks = command.timeoutTicks;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  writeNext(slot: CommandSlot, slab: Slab, at: number): void {
    const { write, send, receive } = this.#command;
    write(slab, at, slot.cid);
    if (send !== undefined) slot.setData(transferDirection.toController, send, 0, send.length);
    if (receive !== undefined) slot.setData(transferDirection.toHost, receive, 0, receive.length);
    this.hasMore = false;
  }

  onCompletion(_slot: CommandSlot, statusBits: number, dw0: number, dw1: number): void {
    this.#resolve({ status: parseStatus(statusBits), isSuccess: statusBits === 0, dw0, dw1 });
  }

  onLost(_slot: CommandSlot, loss: Loss): void {
    this.onNeverSent(loss);
  }

  // The buffers of an admin command are this initiator's own, so nobody takes them back.
  onDetached(): void {}

  onNeverSent(loss: Loss): void {
    this.hasMore = false;
    this.#reject(new ControllerError(loss.code, `${this.#command.name}: ${loss.message}`, loss));
  }
}
