/**
 * A controller made of bytes: it brings hosts up with captured and hand-written answers, and leaves I/O
 * commands to the test. It shares no code with the initiator.
 */
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { bytes } from "../nvme/bytes.ts";
import * as captures from "../nvme/captures.ts";
import { image, linuxController } from "../nvme/linux-controller.ts";

export const subsystemNqn = "nqn.2024-01.test:sub1";
export const hostId = "11111111-2222-3333-4444-555555555555";
export const hostNqn = `nqn.2014-08.org.nvmexpress:uuid:${hostId}`;
export const namespaceUuid = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";

/** A PDU from the host. */
export interface Received {
  readonly socket: Socket;
  readonly qid: number;
  readonly pdu: Buffer;
  /** CID of a command capsule. */
  readonly cid: number;
}

export type Script = (received: Received, peer: ScriptedPeer) => void;

/** Response capsule: CQE with DW0, CID and STATUS. */
export function response(cid: number, status = 0, dw0 = 0): Buffer {
  const pdu = bytes("05 00 18 00  18 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00");
  pdu.writeUInt32LE(dw0, 8);
  pdu.writeUInt16LE(cid, 20);
  pdu.writeUInt16LE(status, 22);
  return pdu;
}

/** C2HData with `flags` (0x04 LAST, 0x08 SUCCESS). */
export function c2hData(cid: number, offset: number, data: Buffer, flags = 0x04): Buffer {
  const header = bytes("07 00 18 18  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00  00 00 00 00");
  header[1] = flags;
  header.writeUInt32LE(24 + data.length, 4);
  header.writeUInt16LE(cid, 8);
  header.writeUInt32LE(offset, 12);
  header.writeUInt32LE(data.length, 16);
  return Buffer.concat([header, data]);
}

export function r2t(cid: number, ttag: number, offset: number, lengthBytes: number): Buffer {
  const pdu = Buffer.from(captures.r2t256KiB);
  pdu.writeUInt16LE(cid, 8);
  pdu.writeUInt16LE(ttag, 10);
  pdu.writeUInt32LE(offset, 12);
  pdu.writeUInt32LE(lengthBytes, 16);
  return pdu;
}

const descriptors = image(4096, { 0: "03 10 00 00 f81d4fae7dec11d0a76500a0c91e6bf6" });
const namespace = image(4096, { 0: "00 00 01 00", 8: "00 00 01 00", 16: "00 00 01 00", 130: "09" });
const controller = image(4096, { ...linuxController, 78: "01 00", 520: "0d 00", 522: "01 00" });
const activeList = image(4096, { 0: "01 00 00 00" });

export class ScriptedPeer implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Takes I/O commands, H2CData and TermReqs. */
  script: Script = () => {};
  /** Changes an answer of the bring-up. */
  alter: (answer: Buffer, received: Received) => Buffer = (answer) => answer;
  identifyController = controller;
  #isShutDown = false;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async listen(): Promise<ScriptedPeer> {
    const server = createServer();
    const peer = new ScriptedPeer(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return peer;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connectionCount(): number {
    return this.#sockets.size;
  }

  disconnect(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.disconnect();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => {});
    let pending = Buffer.alloc(0);
    let qid = 0;
    socket.on("data", (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 8 && pending.length >= pending.readUInt32LE(4)) {
        const pdu = pending.subarray(0, pending.readUInt32LE(4));
        pending = pending.subarray(pdu.length);
        // Connect names the queue.
        if (pdu[0] === 4 && pdu[8] === 0x7f && pdu[12] === 1) qid = pdu.readUInt16LE(50);
        const received = { socket, qid, pdu, cid: pdu[0] === 4 ? pdu.readUInt16LE(10) : 0 };
        const answer = this.#bringUpAnswer(received);
        if (answer === undefined) this.script(received, this);
        else socket.write(this.alter(answer, received));
      }
    });
  }

  #bringUpAnswer({ pdu, qid, cid }: Received): Buffer | undefined {
    if (pdu[0] === 0) return captures.icRespLinux;
    if (pdu[0] !== 4) return undefined;
    if (pdu[8] === 0x7f) {
      if (pdu[12] === 1) return response(cid, 0, 1); // Connect: CNTLID 1
      if (pdu[12] === 0) {
        this.#isShutDown = (pdu.readUInt32LE(56) & 0xc000) !== 0;
        return response(cid); // Property Set, of CC
      }
      if (pdu[52] === 0x1c) return response(cid, 0, this.#isShutDown ? 9 : 1); // CSTS: ready, shut down
      const cap = Buffer.from(captures.capReply);
      cap.writeUInt16LE(cid, 20);
      return cap;
    }
    if (qid !== 0) return undefined;
    switch (pdu[8]) {
      case 0x06: {
        const pages = new Map([
          [0, namespace],
          [1, this.identifyController],
          [2, activeList],
          [3, descriptors],
        ]);
        const page = pages.get(pdu[48]!) ?? Buffer.alloc(4096);
        return Buffer.concat([c2hData(cid, 0, page), response(cid)]);
      }
      case 0x09:
        return response(cid, 0, 0x007f007f);
      case 0x18:
        return response(cid);
      default:
        return Buffer.alloc(0); // async event request: parked
    }
  }
}
