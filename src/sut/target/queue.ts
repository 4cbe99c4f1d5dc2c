/**
 * The sending half of one queue: completions, data, R2Ts, and the flow control of the submission queue.
 *
 * What a command means is decided elsewhere; here it is put on the wire as this connection has agreed.
 *
 * @packageDocumentation
 */
import { sqHeadFlowControlDisabled, writeCqe } from "../nvme/completions.ts";
import { digest, digestLengthBytes } from "../nvme/digest.ts";
import {
  capsuleEntryOffset,
  headerLengthBytes,
  plainWire,
  pduFlag,
  pduType,
  type WireFormat,
} from "../nvme/pdu.ts";
import { dataOffsetBytes, encodeC2hData, encodeCapsuleResp, encodeR2t } from "../nvme/pdu-encoding.ts";
import type { Slab } from "../nvme/slab.ts";
import type { StatusCode } from "../nvme/status.ts";
import { CommandSlots } from "./command-slots.ts";
import { c2hDataLengthMax } from "./options.ts";
import type { Outbox } from "./outbox.ts";
import { statusOf } from "./statuses.ts";

const responseHlen = headerLengthBytes(pduType.capsuleResp);
const dataHlen = headerLengthBytes(pduType.c2hData);

export class Queue {
  readonly outbox: Outbox;
  qid = 0;
  isClosed = false;
  /** Commands that wait; as many as the queue has entries. */
  slots = new CommandSlots(0);
  #wire: WireFormat = plainWire;
  #headerDigestLengthBytes = 0;
  #dataOffset: number = dataHlen;
  #entryCount = 1;
  #sqHead = 0;
  #isFlowControlled = true;
  #openAt = 0;

  constructor(outbox: Outbox) {
    this.outbox = outbox;
  }

  /** Digests and alignment, from the PDU after ICResp on. */
  set wire(wire: WireFormat) {
    this.#wire = wire;
    this.#headerDigestLengthBytes = wire.headerDigest ? digestLengthBytes : 0;
    this.#dataOffset = dataOffsetBytes(dataHlen, wire);
  }

  /**
   * A Connect was accepted.
   *
   * @param isFlowControlled - False if the host asked to do without SQ head updates: it then also takes
   *   C2HData with SUCCESS in place of a response capsule.
   */
  open(queue: {
    readonly qid: number;
    readonly entryCount: number;
    readonly isFlowControlled: boolean;
  }): void {
    this.qid = queue.qid;
    this.#entryCount = queue.entryCount;
    this.#isFlowControlled = queue.isFlowControlled;
    this.slots = new CommandSlots(queue.entryCount);
  }

  /** Completes a command with success. */
  succeed(cid: number, dw0 = 0, dw1 = 0): void {
    this.#complete(cid, 0, dw0, dw1, this.#isFlowControlled ? this.#nextSqHead() : 0);
  }

  fail(cid: number, code: StatusCode, dw0 = 0): void {
    this.#complete(cid, statusOf(code), dw0, 0, this.#isFlowControlled ? this.#nextSqHead() : 0);
  }

  /** The completion of an accepted Connect. */
  succeedConnect(cid: number, cntlid: number): void {
    this.#complete(
      cid,
      0,
      cntlid,
      0,
      this.#isFlowControlled ? this.#nextSqHead() : sqHeadFlowControlDisabled,
    );
  }

  /** Sends data that is at hand, in as many PDUs as it takes, and completes the command. */
  sendData(cid: number, data: Uint8Array): void {
    for (let offset = 0; offset < data.length; ) {
      const lengthBytes = Math.min(c2hDataLengthMax, data.length - offset);
      const at = this.openData(lengthBytes);
      this.outbox.slab.bytes.set(data.subarray(offset, offset + lengthBytes), at);
      this.closeData(cid, offset, lengthBytes, offset + lengthBytes === data.length);
      offset += lengthBytes;
    }
  }

  /** Sets room for the data of one C2HData PDU aside and returns where in `outbox.slab` it starts. */
  openData(lengthBytes: number): number {
    this.#openAt = this.outbox.reserve(this.#dataOffset + lengthBytes + digestLengthBytes);
    return this.#openAt + this.#dataOffset;
  }

  /** Finishes what {@link openData} began; the last PDU of a command also completes it. */
  closeData(cid: number, offset: number, lengthBytes: number, isLast: boolean): void {
    const at = this.#openAt;
    const dataAt = at + this.#dataOffset;
    const { slab } = this.outbox;
    const isCompletion = isLast && !this.#isFlowControlled;
    const flags = isLast ? pduFlag.last | (isCompletion ? pduFlag.success : 0) : 0;
    encodeC2hData(slab, at, this.#wire, cid, offset, lengthBytes, flags);
    let end = dataAt + lengthBytes;
    if (this.#wire.dataDigest) {
      slab.view.setUint32(end, digest(slab.bytes.subarray(dataAt, end)), true);
      end += digestLengthBytes;
    }
    this.outbox.truncate(end);
    if (isLast && !isCompletion) this.succeed(cid);
  }

  /** Takes {@link openData} back. */
  abandonData(): void {
    this.outbox.truncate(this.#openAt);
  }

  /** Asks for the whole data of a command: one R2T, which is all that any host takes at a time. */
  sendR2t(cid: number, ttag: number, lengthBytes: number): void {
    const at = this.outbox.reserve(responseHlen + this.#headerDigestLengthBytes);
    encodeR2t(this.outbox.slab, at, this.#wire, cid, ttag, 0, lengthBytes);
  }

  #complete(cid: number, status: number, dw0: number, dw1: number, sqHead: number): void {
    const at = this.outbox.reserve(responseHlen + this.#headerDigestLengthBytes);
    const slab: Slab = this.outbox.slab;
    writeCqe(slab, at + capsuleEntryOffset, cid, status, sqHead, this.qid, dw0, dw1);
    encodeCapsuleResp(slab, at, this.#wire);
  }

  /** SQHD moves by one with every completion, whatever the order of completion. */
  #nextSqHead(): number {
    this.#sqHead = this.#sqHead + 1 === this.#entryCount ? 0 : this.#sqHead + 1;
    return this.#sqHead;
  }
}
