/**
 * One NVMe/TCP PDU as it came over the wire, and copies of it in which something is changed.
 *
 * @packageDocumentation
 */
import { readCid, readOpcode } from "../../sut/nvme/commands.ts";
import { readCqeCid } from "../../sut/nvme/completions.ts";
import { digest } from "../../sut/nvme/digest.ts";
import { capsuleEntryOffset, type PduHeader, pduFlag, pduType } from "../../sut/nvme/pdu.ts";

export type Direction = "toTarget" | "toHost";

/** Where the parts of a PDU lie, in bytes from its start. */
interface Layout {
  readonly type: number;
  readonly hlen: number;
  readonly hasHeaderDigest: boolean;
  readonly hasDataDigest: boolean;
  readonly pdo: number;
  readonly dataLengthBytes: number;
}

export class WirePdu {
  readonly direction: Direction;
  /** The whole PDU; not to be written to. */
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Its data without digest, inside of `bytes`; empty if it has none. */
  readonly data: Buffer;
  readonly #layout: Layout;

  /** @param header - Of these very bytes, checked; not kept. */
  static received(direction: Direction, bytes: Buffer, header: PduHeader): WirePdu {
    const { type, hlen, flags, pdo, dataLengthBytes } = header;
    return new WirePdu(direction, bytes, {
      type,
      hlen,
      hasHeaderDigest: (flags & pduFlag.headerDigest) !== 0,
      hasDataDigest: (flags & pduFlag.dataDigest) !== 0,
      pdo,
      dataLengthBytes,
    });
  }

  private constructor(direction: Direction, bytes: Buffer, layout: Layout) {
    this.direction = direction;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#layout = layout;
    const { pdo, dataLengthBytes } = layout;
    this.data = dataLengthBytes === 0 ? bytes.subarray(0, 0) : bytes.subarray(pdo, pdo + dataLengthBytes);
  }

  get type(): number {
    return this.#layout.type;
  }

  /** CID of the command that the PDU is about; absent for those about the connection. */
  get cid(): number | undefined {
    switch (this.type) {
      case pduType.capsuleCmd:
        return readCid(this.view, capsuleEntryOffset);
      case pduType.capsuleResp:
        return readCqeCid(this.view, capsuleEntryOffset);
      case pduType.h2cData:
      case pduType.c2hData:
      case pduType.r2t:
        return this.view.getUint16(8, true);
      default:
        return undefined;
    }
  }

  /** Opcode of a command capsule; absent for everything else. */
  get opcode(): number | undefined {
    return this.type === pduType.capsuleCmd ? readOpcode(this.view, capsuleEntryOffset) : undefined;
  }

  /**
   * A copy with changes, and with digests that fit them where the original has digests.
   *
   * @param change - Writes to the copy: to its header by the view, which covers the whole PDU, or to its data. The
   *   common header, and with it all lengths, stays as it is.
   */
  changed(change: (view: DataView, data: Buffer) => void): WirePdu {
    const copy = new WirePdu(this.direction, Buffer.from(this.bytes), this.#layout);
    change(copy.view, copy.data);
    copy.#writeDigests();
    return copy;
  }

  #writeDigests(): void {
    const { hlen, hasHeaderDigest, hasDataDigest, pdo, dataLengthBytes } = this.#layout;
    if (hasHeaderDigest) this.view.setUint32(hlen, digest(this.bytes.subarray(0, hlen)), true);
    if (hasDataDigest) this.view.setUint32(pdo + dataLengthBytes, digest(this.data), true);
  }
}
