/**
 * Commands of one queue that could not be answered at once: they wait for data, for room or for the store.
 *
 * A slot's index is the transfer tag of its R2Ts. Slots are made when a queue first needs them and used
 * again for ever; most commands are answered while they are being parsed and never get here.
 *
 * @packageDocumentation
 */
import type { Slab } from "../nvme/slab.ts";
import type { StatusCode } from "../nvme/status.ts";

/**
 * - `buffer`: a transfer from the host waits for a buffer; no R2T was sent.
 * - `data`: R2Ts are out.
 * - `partner`: half of a fused pair that has its data.
 * - `room`: a read waits until the host has read earlier answers.
 * - `store`: the store is at it.
 */
export type SlotState = "free" | "buffer" | "data" | "partner" | "room" | "store";

export class CommandSlot {
  readonly ttag: number;
  state: SlotState = "free";
  cid = 0;
  opcode = 0;
  nsid = 0;
  block = 0;
  blockCount = 0;
  isForcedUnitAccess = false;
  /** Bytes from the host. */
  lengthBytes = 0;
  receivedBytes = 0;
  /** End of what R2Ts have asked for. */
  grantedBytes = 0;
  /** Ranges of Dataset Management. */
  rangeCount = 0;
  data: Slab | undefined;
  /** Other half of a fused pair. */
  partner: CommandSlot | undefined;
  /** Set when the command is already lost but its data is still on the way. */
  failure: StatusCode | undefined;

  constructor(ttag: number) {
    this.ttag = ttag;
  }
}

export class CommandSlots {
  readonly #slots: CommandSlot[] = [];
  readonly #free: CommandSlot[] = [];
  readonly #countMax: number;
  /** One bit per CID that waits, 8 KiB, made at first use. */
  #pendingCids: Uint32Array | undefined;
  #usedCount = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  get usedCount(): number {
    return this.#usedCount;
  }

  /** `undefined` if the host has more commands in flight than its queue has entries. */
  take(cid: number): CommandSlot | undefined {
    if (this.#usedCount === this.#countMax) return undefined;
    let slot = this.#free.pop();
    if (slot === undefined) {
      slot = new CommandSlot(this.#slots.length);
      this.#slots.push(slot);
    }
    this.#usedCount++;
    slot.cid = cid;
    this.markPending(cid);
    return slot;
  }

  release(slot: CommandSlot): void {
    this.unmarkPending(slot.cid);
    this.#usedCount--;
    slot.state = "free";
    slot.isForcedUnitAccess = false;
    slot.lengthBytes = 0;
    slot.receivedBytes = 0;
    slot.grantedBytes = 0;
    slot.data = undefined;
    slot.partner = undefined;
    slot.failure = undefined;
    this.#free.push(slot);
  }

  get(ttag: number): CommandSlot | undefined {
    const slot = this.#slots[ttag];
    return slot === undefined || slot.state === "free" ? undefined : slot;
  }

  find(cid: number): CommandSlot | undefined {
    return this.isPending(cid) ? this.#slots.find((s) => s.state !== "free" && s.cid === cid) : undefined;
  }

  isPending(cid: number): boolean {
    const word = this.#pendingCids?.[cid >>> 5];
    return word !== undefined && (word & (1 << (cid & 31))) !== 0;
  }

  /** Also for commands that wait elsewhere, such as asynchronous event requests. */
  markPending(cid: number): void {
    this.#pendingCids ??= new Uint32Array(2048);
    this.#pendingCids[cid >>> 5]! |= 1 << (cid & 31);
  }

  unmarkPending(cid: number): void {
    if (this.#pendingCids !== undefined) this.#pendingCids[cid >>> 5]! &= ~(1 << (cid & 31));
  }

  *[Symbol.iterator](): Generator<CommandSlot> {
    for (const slot of this.#slots) if (slot.state !== "free") yield slot;
  }
}
