/**
 * One NVMe/TCP connection by way of the proxy: two sockets, and the PDUs between them.
 *
 * A PDU goes on when all of it is there, so that either side is always at the end of one. Whoever can not take more
 * stops the other from being read. What ends one side ends the other the same way: a half-close, a reset.
 *
 * @packageDocumentation
 */
import type { Socket } from "node:net";
import type { Log } from "../../sut/log.ts";
import { fabricsOpcode, readCid, readNsid } from "../../sut/nvme/commands.ts";
import { readCqeSqHead, writeCqe } from "../../sut/nvme/completions.ts";
import { fabricsType } from "../../sut/nvme/fabrics.ts";
import { decodeIcResp } from "../../sut/nvme/initialization.ts";
import {
  capsuleEntryOffset,
  headerSlotLengthBytes,
  PduError,
  PduHeader,
  pduType,
  plainWire,
  type WireFormat,
} from "../../sut/nvme/pdu.ts";
import { encodeCapsuleResp, encodeTermReq } from "../../sut/nvme/pdu-encoding.ts";
import { Slab } from "../../sut/nvme/slab.ts";
import type { NvmeInterceptor, WireConnection } from "./nvme-interceptor.ts";
import { PduSplitter } from "./pdu-splitter.ts";
import type { Direction, WirePdu } from "./wire-pdu.ts";

export interface ProxiedConnectionOptions {
  readonly host: Socket;
  readonly target: Socket;
  readonly interceptor: NvmeInterceptor;
  readonly log: Pick<Log, "warn">;
  readonly onClosed: () => void;
}

/** Bytes of PDUs that are to be sent later; a connection that holds more is ended. */
const delayedBytesMax = 64 * 1024 * 1024;
/** Time for one side to end its half when the other has, and to read what was sent last, ms. */
const lingerMs = 1000;
/** QID within the SQE of a Connect. */
const connectQidOffset = 42;

/** What comes from one side and goes to the other. */
interface Way {
  readonly from: Socket;
  readonly to: Socket;
  readonly splitter: PduSplitter;
  readonly delayed: Set<NodeJS.Timeout>;
  /** Nothing more comes. */
  isEnded: boolean;
}

export class ProxiedConnection implements WireConnection {
  readonly #options: ProxiedConnectionOptions;
  readonly #ways: Readonly<Record<Direction, Way>>;
  #wire: WireFormat = plainWire;
  #qid: number | undefined;
  #sqHead = 0;
  #delayedBytes = 0;
  #isClosed = false;
  #openSockets = 2;
  #linger: NodeJS.Timeout | undefined;

  constructor(options: ProxiedConnectionOptions) {
    this.#options = options;
    const { host, target } = options;
    this.#ways = {
      toTarget: this.#way("toTarget", { from: host, to: target }),
      toHost: this.#way("toHost", { from: target, to: host }),
    };
  }

  get qid(): number | undefined {
    return this.#qid;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(pdu: WirePdu, { afterMs = 0 }: { readonly afterMs?: number } = {}): void {
    if (this.#isClosed) return;
    if (afterMs === 0) {
      this.#write(pdu.direction, pdu.bytes);
      return;
    }
    const way = this.#ways[pdu.direction];
    this.#delayedBytes += pdu.bytes.length;
    if (this.#delayedBytes > delayedBytesMax) {
      this.#fail(`more than ${delayedBytesMax} bytes are held back on one connection`);
      return;
    }
    const timer = setTimeout(() => {
      way.delayed.delete(timer);
      this.#delayedBytes -= pdu.bytes.length;
      this.#write(pdu.direction, pdu.bytes);
      this.#endIfDone(way);
    }, afterMs);
    way.delayed.add(timer);
  }

  answer(
    command: WirePdu,
    completion: { readonly status: number; readonly dw0?: number; readonly dw1?: number },
  ): void {
    const { status, dw0 = 0, dw1 = 0 } = completion;
    const slab = new Slab(headerSlotLengthBytes);
    const cid = readCid(command.view, capsuleEntryOffset);
    writeCqe(slab, capsuleEntryOffset, cid, status, this.#sqHead, this.#qid ?? 0, dw0, dw1);
    const length = encodeCapsuleResp(slab, 0, this.#wire);
    this.#write("toHost", slab.bytes.subarray(0, length));
  }

  reset(): void {
    this.#close();
    for (const { from } of Object.values(this.#ways)) {
      // A socket that is not connected would wait for that first.
      if (from.connecting) from.destroy();
      else from.resetAndDestroy();
    }
  }

  #way(direction: Direction, { from, to }: Pick<Way, "from" | "to">): Way {
    const splitter = new PduSplitter(direction, {
      onPdu: (pdu) => this.#take(pdu),
      onUnknown: (bytes) => this.#write(direction, bytes),
    });
    const way: Way = { from, to, splitter, delayed: new Set(), isEnded: false };
    from.on("data", (chunk) => this.#receive(way, chunk));
    to.on("drain", () => from.resume());
    from.on("end", () => {
      way.isEnded = true;
      this.#endIfDone(way);
    });
    // What failed is closed as well.
    from.on("error", () => {});
    from.on("close", () => {
      if (!way.isEnded) this.reset();
      this.#close();
      to.destroySoon();
      this.#openSockets--;
      if (this.#openSockets > 0) return;
      clearTimeout(this.#linger);
      this.#options.onClosed();
    });
    return way;
  }

  #receive({ splitter, to }: Way, chunk: Buffer): void {
    if (this.#isClosed) return;
    to.cork();
    try {
      splitter.feed(chunk);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error), error);
    } finally {
      to.uncork();
    }
  }

  #take(pdu: WirePdu): void {
    // The rest of a chunk whose beginning has ended the connection.
    if (this.#isClosed) return;
    this.#note(pdu);
    if (this.#options.interceptor.intercept(pdu, this)) this.#write(pdu.direction, pdu.bytes);
  }

  /** Learns from a PDU what concerns the connection. */
  #note(pdu: WirePdu): void {
    const { type, view } = pdu;
    if (type === pduType.icResp) {
      const header = new PduHeader();
      header.bytes.set(pdu.bytes);
      const { headerDigest, dataDigest } = decodeIcResp(header);
      // Whatever is padded was so by the sender, and stays so; what we add ourselves has no data.
      this.#wire = { headerDigest, dataDigest, alignmentBytes: plainWire.alignmentBytes };
      for (const { splitter } of Object.values(this.#ways)) splitter.negotiated(this.#wire);
    } else if (type === pduType.capsuleResp) this.#sqHead = readCqeSqHead(view, capsuleEntryOffset);
    else if (pdu.opcode === fabricsOpcode) {
      const isConnect = (readNsid(view, capsuleEntryOffset) & 0xff) === fabricsType.connect;
      if (isConnect) this.#qid = view.getUint16(capsuleEntryOffset + connectQidOffset, true);
    }
  }

  #write(direction: Direction, bytes: Uint8Array): void {
    const { from, to } = this.#ways[direction];
    if (to.writableEnded || to.destroyed) return;
    if (!to.write(bytes)) from.pause();
  }

  /** Ends the one side as the other has ended, with what there is of a PDU that was cut short. */
  #endIfDone({ to, splitter, delayed, isEnded }: Way): void {
    if (!isEnded || delayed.size > 0 || to.writableEnded || this.#isClosed) return;
    to.end(splitter.rest);
    this.#lingerOn();
  }

  /** Ends the connection because it can not go on, and tells the host in the target's name. */
  #fail(message: string, error?: unknown): void {
    const { host, target, log } = this.#options;
    const name = `connection of ${host.remoteAddress}:${host.remotePort}, queue ${this.#qid ?? "unknown"}`;
    log.warn(`proxy: ending the ${name}: ${message}`);
    if (this.#isClosed) return;
    this.#close();
    target.destroy();
    if (!(error instanceof PduError)) {
      host.resetAndDestroy();
      return;
    }
    const slab = new Slab(256);
    host.end(slab.bytes.subarray(0, encodeTermReq(slab, 0, pduType.c2hTermReq, error)));
    // What still arrives is read and dropped: closing over it would reset, and lose what was sent last.
    host.resume();
    this.#lingerOn();
  }

  #lingerOn(): void {
    const { host, target } = this.#options;
    this.#linger ??= setTimeout(() => {
      this.#close();
      host.destroy();
      target.destroy();
    }, lingerMs);
  }

  /** Nothing is sent from here on, whether it was held back or arrives late. */
  #close(): void {
    this.#isClosed = true;
    for (const { delayed } of Object.values(this.#ways)) {
      for (const timer of delayed) clearTimeout(timer);
      delayed.clear();
    }
  }
}
