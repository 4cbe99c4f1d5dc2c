/**
 * Fences: when an operation in doubt can not be applied any more.
 *
 * After a lost connection the initiator sends nothing until a new association stands. But the controller that had the
 * operation may still be at work on it: a host has to give it time (NVM Express Base Specification 2.1, 9.6,
 * Communication Loss Handling, Command Quiesce Time). So a read that is sent that time after the loss, and is
 * answered, is a fence for all that was in doubt before.
 *
 * @packageDocumentation
 */
import { type Clock, delay, systemClock } from "../sut/clock.ts";
import type { BlockDevice } from "../sut/port.ts";

type Readable = Pick<BlockDevice, "read">;

/** Reads that may fail in a row before a device counts as gone. */
const triesMax = 20;

export interface FenceOptions {
  /** How long a target may be at work on what was sent over a connection that is lost; 0 if absent. */
  readonly quiesceMs?: number;
  readonly clock?: Clock;
}

export class Fence {
  readonly #quiesceMs: number;
  readonly #clock: Clock;
  readonly #devices: readonly Readable[];
  readonly #into: Uint8Array;
  #current: Promise<boolean> = Promise.resolve(true);
  #next: Promise<boolean> | undefined;

  /**
   * @param devices - All that take the operations of one volume.
   * @param into - A block, to read to.
   */
  constructor(
    devices: readonly Readable[],
    into: Uint8Array,
    { quiesceMs = 0, clock = systemClock }: FenceOptions = {},
  ) {
    this.#quiesceMs = quiesceMs;
    this.#clock = clock;
    this.#devices = devices;
    this.#into = into;
  }

  /** Resolves when what was in doubt before the call is decided at the devices; `false` if one can not be reached. */
  passed(): Promise<boolean> {
    if (this.#next === undefined) {
      const next = this.#current.then(() => {
        this.#next = undefined;
        this.#current = this.#read();
        return this.#current;
      });
      this.#next = next;
    }
    return this.#next;
  }

  async #read(): Promise<boolean> {
    if (this.#quiesceMs > 0) await delay(this.#clock, this.#quiesceMs, undefined);
    for (const device of this.#devices) if (!(await this.#readFrom(device))) return false;
    return true;
  }

  async #readFrom(device: Readable): Promise<boolean> {
    for (let tries = 0; tries < triesMax; tries++) {
      const outcome = await device.read({ block: 0, blockCount: 1, into: this.#into });
      if (outcome.kind === "ok") return true;
      if (outcome.kind === "failed") return false;
    }
    return false;
  }
}
