/**
 * One queue of an NVMe/TCP controller: its socket, and the commands in flight on it.
 *
 * It knows PDUs and slots, not what commands mean. It never retries: when the connection is lost, every
 * command in flight is told so, and the owner decides what comes next. What is agreed at the start is in
 * `initialization.ts`, the data of commands in `data-transfers.ts`.
 *
 * @packageDocumentation
 */
import { connect, type Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { sglIdentifier, writeSgl } from "../nvme/commands.ts";
import { readCqeCid, readCqeDw0, readCqeDw1, readCqeStatus } from "../nvme/completions.ts";
import { type PduHandler, PduReader } from "../nvme/framing.ts";
import {
  capsuleEntryOffset,
  describeFatalError,
  fatalErrorStatus,
  headerSlotLengthBytes,
  PduError,
  type PduHeader,
  pduType,
  plainWire,
  type WireFormat,
} from "../nvme/pdu.ts";
import { encodeCapsuleCmd, encodeTermReq } from "../nvme/pdu-encoding.ts";
import { Slab } from "../nvme/slab.ts";
import { statusCode, statusField } from "../nvme/status.ts";
import {
  CommandSlot,
  type Loss,
  type QueueRequest,
  slotCountMax,
  slotInFlight,
  transferDirection,
} from "./command-slot.ts";
import { DataTransfers } from "./data-transfers.ts";
import { abortedError, ControllerError } from "./errors.ts";
import { type DigestModes, icReqOf, termsOf } from "./initialization.ts";
import { Outbox } from "./outbox.ts";
import type { Ticker } from "./ticker.ts";

export interface QueueConnectionOptions extends DigestModes {
  readonly host: string;
  readonly port: number;
  /** For messages: 0 is the admin queue. */
  readonly qid: number;
  /** Commands in flight at most; with SQ flow control a queue of this SQSIZE (0-based) holds as many. */
  readonly slotCount: number;
  /** Data that may travel in a command capsule. */
  readonly inCapsuleLengthMax: number;
  /** Longest wait for the socket and for ICResp. */
  readonly connectTimeoutMs: number;
  readonly clock: Clock;
  readonly ticker: Ticker;
  readonly signal: AbortSignal | undefined;
  /** A command has ended or the socket has drained: there may be room for more. */
  readonly onRoom: () => void;
  /** The connection died by itself; not called for {@link QueueConnection.close}. */
  readonly onLost: (loss: Loss) => void;
}

/** Static receive buffer of a socket: large for data, small for the admin queue. */
const receiveBufferLengthBytes = { admin: 64 * 1024, io: 1024 * 1024 } as const;
/** No command is sent while the socket holds this much, unless nothing is in flight. */
const backlogBytesMax = 4 * 1024 * 1024;
/** More than any command of this initiator transfers. */
const transferLengthMax = 64 * 1024 * 1024;

export class QueueConnection implements PduHandler {
  readonly #options: QueueConnectionOptions;
  readonly #socket: Socket;
  readonly #outbox: Outbox;
  readonly #transfers: DataTransfers;
  readonly #reader: PduReader;
  readonly #slots: CommandSlot[];
  readonly #free: CommandSlot[];
  #wire: WireFormat = plainWire;
  #isClosed = false;
  #hasRoomNews = false;
  #settleOpening: ((loss: Loss | undefined) => void) | undefined;

  /**
   * Opens the socket and exchanges ICReq and ICResp.
   *
   * @throws {ControllerError} If there is no such connection within the time, or the peer refuses.
   */
  static open(options: QueueConnectionOptions): Promise<QueueConnection> {
    return new Promise((resolve, reject) => {
      const { signal, clock } = options;
      const where = `connecting queue ${options.qid} to ${options.host}:${options.port}`;
      if (signal?.aborted) {
        reject(abortedError(where, signal));
        return;
      }
      const connection = new QueueConnection(options, (loss) => {
        clock.clearTimeout(deadline);
        signal?.removeEventListener("abort", onAbort);
        if (loss === undefined) resolve(connection);
        else reject(new ControllerError(loss.code, `${where}: ${loss.message}`, loss));
      });
      const onAbort = () => connection.close({ code: "ERR_ABORTED", message: "aborted" });
      signal?.addEventListener("abort", onAbort, { once: true });
      const deadline = clock.setTimeout(() => {
        const message = `no answer within ${options.connectTimeoutMs} ms`;
        connection.close({ code: "ERR_TIMEOUT", message });
      }, options.connectTimeoutMs);
    });
  }

  private constructor(options: QueueConnectionOptions, settleOpening: (loss: Loss | undefined) => void) {
    this.#options = options;
    this.#settleOpening = settleOpening;
    const slotCount = Math.min(options.slotCount, slotCountMax);
    this.#slots = Array.from({ length: slotCount }, (_, index) => new CommandSlot(index));
    this.#free = this.#slots.toReversed();
    this.#reader = new PduReader(this, {
      role: "host",
      limits: { inCapsuleLengthMax: 0, transferLengthMax },
    });
    const receiveLengthBytes = receiveBufferLengthBytes[options.qid === 0 ? "admin" : "io"];
    this.#socket = connect({
      host: options.host,
      port: options.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 10_000,
      onread: {
        buffer: Buffer.allocUnsafeSlow(receiveLengthBytes),
        callback: (count, buffer) => {
          this.#receive(buffer, count);
          return true;
        },
      },
    });
    this.#outbox = new Outbox(this.#socket, () => this.#transfers.onBatchTaken());
    this.#transfers = new DataTransfers(this.#outbox, this.#slots);
    this.#socket.on("connect", () => this.#socket.write(icReqOf(options)));
    this.#socket.on("drain", () => options.onRoom());
    this.#socket.on("error", (error) => this.#lose(`socket failed: ${error.message}`));
    this.#socket.on("end", () => this.#lose("the controller closed the connection"));
    this.#socket.on("close", () => this.#lose("the connection was closed"));
  }

  /** Slots that can take a command now. */
  get room(): number {
    if (this.#isClosed) return 0;
    const isIdle = this.#free.length === this.#slots.length;
    if (!isIdle && this.#socket.writableLength > backlogBytesMax) return 0;
    return this.#free.length;
  }

  get inFlightCount(): number {
    return this.#slots.length - this.#free.length;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Sends the next command, or fused pair, of a request. There must be {@link room} for it. */
  issue(request: QueueRequest): void {
    for (let count = request.slotsAtOnce; count > 0; count--) this.#send(request);
  }

  /** True if a command is past its deadline. */
  hasExpired(tick: number): boolean {
    return this.#slots.some((slot) => slot.request !== undefined && slot.deadlineTick <= tick);
  }

  /**
   * Takes the caller's buffers out of use for every command of `request`, which is told by `onDetached`:
   * at once, or as soon as the socket has taken the bytes it was given. The commands go on without it.
   */
  detach(request: QueueRequest): void {
    this.#transfers.detach(request);
  }

  /** Ends the connection and every command on it; `loss` tells why. May be repeated. */
  close(loss: Loss): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#reader.stop();
    this.#socket.destroy();
    this.#settleOpening?.(loss);
    this.#settleOpening = undefined;
    for (const slot of this.#slots) {
      const { request } = slot;
      if (request === undefined) continue;
      const expired = slot.deadlineTick <= this.#options.ticker.tick && loss.code === "ERR_TIMEOUT";
      slot.end();
      request.onLost(slot, expired || loss.code !== "ERR_TIMEOUT" ? loss : asBystander(loss));
    }
  }

  onHeader(header: PduHeader): void {
    if (header.type === pduType.c2hData) this.#transfers.place(header);
  }

  onPdu(header: PduHeader, isDataIntact: boolean): void {
    switch (header.type) {
      case pduType.capsuleResp:
        this.#takeCompletion(header);
        return;
      case pduType.c2hData: {
        const slot = this.#transfers.take(header, isDataIntact);
        if (header.isSuccess) this.#complete(slot, 0, 0, 0);
        return;
      }
      case pduType.r2t:
        this.#transfers.answerR2t(header);
        return;
      case pduType.icResp:
        this.#takeIcResp(header);
        return;
      case pduType.c2hTermReq: {
        const { fatalErrorStatus: fes, fatalErrorInformation: fei } = header;
        this.#lose(
          `the controller ended the connection: ${describeFatalError(fes)} (FES ${fes}, FEI ${fei})`,
        );
        return;
      }
    }
  }

  #receive(buffer: Uint8Array, count: number): void {
    if (this.#isClosed) return;
    this.#outbox.beginEvent();
    try {
      this.#reader.feed(buffer, count);
      if (this.#hasRoomNews) {
        this.#hasRoomNews = false;
        this.#options.onRoom();
      }
    } catch (error) {
      if (!(error instanceof PduError)) throw error;
      this.#refuse(error);
    } finally {
      this.#outbox.endEvent();
    }
  }

  #takeIcResp(header: PduHeader): void {
    const terms = termsOf(header, this.#options);
    if ("code" in terms) {
      this.close(terms);
      return;
    }
    this.#wire = terms.wire;
    this.#transfers.negotiated(terms.wire, terms.h2cDataLengthMax);
    this.#reader.negotiated(terms.wire, { inCapsuleLengthMax: 0, transferLengthMax });
    this.#settleOpening?.(undefined);
    this.#settleOpening = undefined;
  }

  #send(request: QueueRequest): void {
    const slot = this.#free.pop()!;
    const outbox = this.#outbox;
    slot.begin(request);
    slot.deadlineTick = this.#options.ticker.tick + request.timeoutTicks;
    const at = outbox.reserve(headerSlotLengthBytes);
    const { slab } = outbox;
    request.writeNext(slot, slab, at + capsuleEntryOffset);
    const { direction, dataLengthBytes } = slot;
    // Small data must travel in the capsule: the Linux target waits for it there for ever.
    const isInCapsule =
      direction === transferDirection.toController && dataLengthBytes <= this.#options.inCapsuleLengthMax;
    if (direction !== transferDirection.none) {
      const identifier = isInCapsule ? sglIdentifier.inCapsule : sglIdentifier.transport;
      writeSgl(slab, at + capsuleEntryOffset, identifier, dataLengthBytes);
    }
    outbox.commit(encodeCapsuleCmd(slab, at, this.#wire, isInCapsule ? dataLengthBytes : 0));
    if (isInCapsule) this.#transfers.append(slot, 0, dataLengthBytes);
  }

  #takeCompletion(header: PduHeader): void {
    const { view } = header;
    const slot = slotInFlight(this.#slots, readCqeCid(view, capsuleEntryOffset), 20);
    const status = readCqeStatus(view, capsuleEntryOffset);
    this.#complete(slot, status, readCqeDw0(view, capsuleEntryOffset), readCqeDw1(view, capsuleEntryOffset));
  }

  #complete(slot: CommandSlot, status: number, dw0: number, dw1: number): void {
    const { request, transferredBytes, dataLengthBytes } = slot;
    if (status === 0 && transferredBytes !== dataLengthBytes) {
      const message = `success after ${transferredBytes} of ${dataLengthBytes} bytes were transferred`;
      throw new PduError(fatalErrorStatus.dataOutOfRange, 0, message);
    }
    const finalStatus =
      status === 0 && !slot.isIntact ? statusField(statusCode.dataTransferError, false) : status;
    this.#transfers.end(slot);
    slot.end();
    this.#free.push(slot);
    this.#hasRoomNews = true;
    request?.onCompletion(slot, finalStatus, dw0, dw1);
  }

  #refuse(error: PduError): void {
    const isQuiet = this.#socket.writableLength === 0;
    // Behind unsent data a TermReq would have to wait, and that data must not leave any more.
    if (isQuiet && !this.#isClosed) {
      const slab = new Slab(256);
      const length = encodeTermReq(slab, 0, pduType.h2cTermReq, error);
      this.#socket.write(slab.bytes.subarray(0, length));
    }
    this.#lose(`the controller broke the protocol: ${error.message}`);
  }

  #lose(message: string): void {
    if (this.#isClosed) return;
    const loss: Loss = { code: "ERR_CONNECTION_LOST", message: `queue ${this.#options.qid}: ${message}` };
    const wasOpening = this.#settleOpening !== undefined;
    this.close(loss);
    if (!wasOpening) this.#options.onLost(loss);
  }
}

/** What a command is told that was not late itself. */
function asBystander(loss: Loss): Loss {
  return { code: "ERR_CONNECTION_LOST", message: loss.message };
}
