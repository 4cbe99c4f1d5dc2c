/**
 * One NVMe/TCP connection of the target: bytes in, PDUs dispatched, answers out. No socket and no timer.
 *
 * It starts by waiting for ICReq, then for Connect, then it is a queue of a controller. A peer that breaks
 * the protocol is told why (C2HTermReq) and closed: there is no way to find the next PDU.
 *
 * @see NVM Express TCP Transport Specification.
 * @packageDocumentation
 */
import { fabricsOpcode, readCid, readNsid, readOpcode, readPsdt } from "../nvme/commands.ts";
import { fabricsType } from "../nvme/fabrics.ts";
import { type PduHandler, PduReader } from "../nvme/framing.ts";
import { decodeIcReq, encodeIcResp } from "../nvme/initialization.ts";
import {
  capsuleEntryOffset,
  describeFatalError,
  fatalErrorStatus,
  headerSlotLengthBytes,
  PduError,
  type PduHeader,
  pduType,
} from "../nvme/pdu.ts";
import { encodeTermReq } from "../nvme/pdu-encoding.ts";
import { Slab } from "../nvme/slab.ts";
import { describeStatus, parseStatus, statusCode } from "../nvme/status.ts";
import { AdminCommands } from "./admin-commands.ts";
import { connect } from "./connect.ts";
import type { AdminConnection, Controller } from "./controller.ts";
import { backlogLengthMax, type Capsule, IoCommands } from "./io-commands.ts";
import { connectTimeoutMs, inCapsuleLengthMax } from "./options.ts";
import { Outbox, type Transport } from "./outbox.ts";
import { executeProperty } from "./properties.ts";
import { Queue } from "./queue.ts";
import { statusOf } from "./statuses.ts";
import type { Target } from "./target.ts";
import { placeTransfer } from "./transfers.ts";

/** Words of a TermReq: header, and as much of the offending header as one may carry. */
const termReqLengthMax = 152;

export class Connection implements AdminConnection, PduHandler {
  readonly #target: Target;
  readonly #transport: Transport;
  readonly #outbox: Outbox;
  readonly #queue: Queue;
  readonly #reader: PduReader;
  readonly #capsuleLimits: { readonly inCapsuleLengthMax: number; readonly transferLengthMax: number };
  readonly #openedMs: number;
  #nowMs: number;
  #capsule: Capsule | undefined;
  #controller: Controller | undefined;
  #admin: AdminCommands | undefined;
  #io: IoCommands | undefined;
  #hasHeard = false;
  #isPaused = false;
  #isFlushScheduled = false;

  constructor(target: Target, transport: Transport, nowMs: number) {
    this.#target = target;
    this.#transport = transport;
    this.#openedMs = nowMs;
    this.#nowMs = nowMs;
    this.#outbox = new Outbox(target.outboxPool, transport, () => this.#onTaken());
    this.#queue = new Queue(this.#outbox);
    const { transferLengthMax } = target.configuration;
    this.#capsuleLimits = { inCapsuleLengthMax, transferLengthMax };
    this.#reader = new PduReader(this, { role: "controller", limits: this.#capsuleLimits });
  }

  get isClosed(): boolean {
    return this.#queue.isClosed;
  }

  /** True if the host has not brought a Connect through in time. */
  isOverdue(nowMs: number): boolean {
    return this.#controller === undefined && nowMs - this.#openedMs >= connectTimeoutMs;
  }

  /** Takes received bytes; never throws. `chunk` is not kept. */
  receive(chunk: Uint8Array, nowMs: number): void {
    if (this.isClosed) return;
    this.#nowMs = nowMs;
    try {
      this.#reader.feed(chunk);
    } catch (error) {
      this.fault(error);
    }
    if (this.#hasHeard) {
      this.#hasHeard = false;
      // Whatever a host says is a sign of life (CTRATT.TBKAS).
      if (this.#controller !== undefined) this.#controller.lastActivityMs = nowMs;
    }
    this.#outbox.flush();
    if (this.#outbox.backlogBytes > backlogLengthMax && !this.#isPaused && !this.isClosed) {
      this.#isPaused = true;
      this.#transport.pause();
    }
  }

  onHeader(header: PduHeader): void {
    if (header.type === pduType.capsuleCmd) {
      this.#capsule ??= {
        view: header.view,
        at: capsuleEntryOffset,
        data: new Slab(inCapsuleLengthMax),
        dataLengthBytes: 0,
        isDataIntact: true,
      };
      header.destination = this.#capsule.data.bytes;
    } else if (header.type === pduType.h2cData) placeTransfer(this.#queue, header);
  }

  onPdu(header: PduHeader, isDataIntact: boolean): void {
    this.#hasHeard = true;
    switch (header.type) {
      case pduType.icReq:
        this.#initialize(header);
        return;
      case pduType.h2cTermReq:
        this.close(`host sent H2CTermReq: ${describeFatalError(header.fatalErrorStatus)}`);
        return;
      case pduType.h2cData:
        this.#takeTransfer(header, isDataIntact);
        return;
      default:
        this.#capsule!.dataLengthBytes = header.dataLengthBytes;
        this.#capsule!.isDataIntact = isDataIntact;
        this.#execute(this.#capsule!);
        return;
    }
  }

  completeAsyncEvent(cid: number, dw0: number): void {
    this.#queue.slots.unmarkPending(cid);
    this.#queue.succeed(cid, dw0);
    this.flushSoon();
  }

  forget(cids: readonly number[]): void {
    for (const cid of cids) this.#queue.slots.unmarkPending(cid);
  }

  abort(cid: number): boolean {
    if (this.#io !== undefined) {
      const wasAborted = this.#io.abort(cid);
      this.flushSoon();
      return wasAborted;
    }
    if (this.#controller?.events.withdraw(cid) !== true) return false;
    this.#queue.slots.unmarkPending(cid);
    this.#queue.fail(cid, statusCode.abortRequested);
    return true;
  }

  /** Sends what is written and closes; commands that wait are dropped. May be repeated. */
  close(reason: string): void {
    if (this.isClosed) return;
    this.#outbox.drain();
    this.#end(reason);
    this.#transport.end();
  }

  /** The socket is gone. */
  disconnected(reason: string): void {
    if (!this.isClosed) this.#end(reason);
  }

  #end(reason: string): void {
    const { qid } = this.#queue;
    this.#queue.isClosed = true;
    this.#reader.stop();
    this.#io?.close();
    const controller = this.#controller;
    const name = controller === undefined ? "no controller" : `controller ${controller.cntlid}, queue ${qid}`;
    this.#target.configuration.log.debug(`${this.#transport.remoteName} (${name}) closed: ${reason}`);
    if (controller === undefined) return;
    if (qid === 0) controller.close(reason);
    else if (controller.ioQueues.get(qid) === this) controller.ioQueues.delete(qid);
  }

  /** Tells the peer what it did wrong, and closes. */
  fault(error: unknown): void {
    const { log } = this.#target.configuration;
    if (this.isClosed) return;
    if (!(error instanceof PduError)) {
      log.warn(`${this.#transport.remoteName}: closing after an error of the target: ${describe(error)}`);
      this.close("error of the target");
      return;
    }
    log.warn(`${this.#transport.remoteName}: closing after a protocol error: ${error.message}`);
    // At least 24 bytes of header: SPDK and Linux do not read a shorter TermReq.
    const attached = Buffer.alloc(Math.max(24, error.offendingHeader.length));
    attached.set(error.offendingHeader);
    const at = this.#outbox.reserve(termReqLengthMax);
    const { fes, fei } = error;
    const termReq = { fes, fei, offendingHeader: attached };
    this.#outbox.truncate(at + encodeTermReq(this.#outbox.slab, at, pduType.c2hTermReq, termReq));
    this.close(`protocol error: ${error.message}`);
  }

  #initialize(header: PduHeader): void {
    const { configuration } = this.#target;
    const request = decodeIcReq(header);
    const headerDigest = request.headerDigest && configuration.headerDigest;
    const dataDigest = request.dataDigest && configuration.dataDigest;
    const wire = { headerDigest, dataDigest, alignmentBytes: request.hostAlignmentBytes };
    const at = this.#outbox.reserve(headerSlotLengthBytes);
    const used = encodeIcResp(this.#outbox.slab, at, {
      controllerAlignmentBytes: 4,
      headerDigest,
      dataDigest,
      h2cDataLengthMax: configuration.transferLengthMax,
    });
    this.#outbox.truncate(at + used);
    this.#queue.wire = wire;
    this.#reader.negotiated(wire, this.#capsuleLimits);
  }

  #execute(capsule: Capsule): void {
    const { view, at } = capsule;
    const cid = readCid(view, at);
    if (this.#queue.slots.isPending(cid)) {
      // Whatever we answered would be taken for the answer to the first command.
      throw new PduError(
        fatalErrorStatus.invalidHeaderField,
        at + 2,
        `CID ${cid} is in use by another command`,
      );
    }
    if (readPsdt(view, at) !== 1) {
      this.#queue.fail(cid, statusCode.invalidField);
      return;
    }
    if (readOpcode(view, at) === fabricsOpcode) {
      this.#executeFabrics(capsule, cid);
      return;
    }
    if (this.#io !== undefined) {
      this.#io.execute(capsule);
      return;
    }
    if (this.#admin === undefined) {
      this.#queue.fail(cid, statusCode.commandSequenceError);
      return;
    }
    if (!capsule.isDataIntact) {
      this.#queue.fail(cid, statusCode.transientTransportError);
      return;
    }
    this.#admin.execute(view, at);
  }

  #executeFabrics(capsule: Capsule, cid: number): void {
    const { view, at } = capsule;
    if (!capsule.isDataIntact) {
      this.#queue.fail(cid, statusCode.transientTransportError);
      return;
    }
    const isConnect = (readNsid(view, at) & 0xff) === fabricsType.connect;
    const controller = this.#controller;
    if (isConnect !== (controller === undefined)) this.#queue.fail(cid, statusCode.commandSequenceError);
    else if (controller === undefined) this.#connect(capsule, cid);
    else if (this.#io !== undefined) this.#queue.fail(cid, statusCode.invalidOpcode);
    else executeProperty(this.#target, controller, this.#queue, view, at);
  }

  #connect(capsule: Capsule, cid: number): void {
    const { log } = this.#target.configuration;
    const data = capsule.data.bytes.subarray(0, capsule.dataLengthBytes);
    const result = connect(this.#target, capsule.view, capsule.at, data, this, this.#nowMs);
    if (result.kind === "refused") {
      const { remoteName } = this.#transport;
      const status = describeStatus(parseStatus(statusOf(result.code)));
      log.warn(`${remoteName}: Connect refused, ${status}: ${result.reason}`);
      this.#queue.fail(cid, result.code, result.dw0);
      return;
    }
    const { controller, qid } = result;
    this.#controller = controller;
    this.#queue.open(result);
    if (qid === 0) this.#admin = new AdminCommands(this.#target, this.#queue, controller, this.#transport);
    else this.#io = new IoCommands(this.#target, this.#queue, controller, this);
    log.info(
      `${this.#transport.remoteName}: ${controller.hostNqn} connected to ${controller.kind} controller ` +
        `${controller.cntlid}, queue ${qid} of ${result.entryCount} entries`,
    );
    this.#queue.succeedConnect(cid, controller.cntlid);
  }

  #takeTransfer(header: PduHeader, isDataIntact: boolean): void {
    const slot = this.#queue.slots.get(header.ttag);
    // The command can have been ended while its data came in only by closing the connection.
    if (slot === undefined) return;
    if (!isDataIntact) slot.failure ??= statusCode.transientTransportError;
    slot.receivedBytes += header.dataLengthBytes;
    if (slot.receivedBytes === slot.lengthBytes) this.#io!.transferred(slot);
  }

  /** The socket has taken a batch. */
  #onTaken(): void {
    if (this.isClosed) return;
    try {
      const isDone = this.#io?.resume() ?? true;
      this.#outbox.flush();
      if (!this.#isPaused || !isDone || this.#outbox.backlogBytes > backlogLengthMax / 2) return;
    } catch (error) {
      this.fault(error);
      return;
    }
    this.#isPaused = false;
    this.#transport.resume();
  }

  /** Sends what was written outside of `receive`, together with what else this turn writes. */
  flushSoon(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    process.nextTick(() => {
      this.#isFlushScheduled = false;
      if (!this.isClosed) this.#outbox.flush();
    });
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
