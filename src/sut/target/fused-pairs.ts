/**
 * Fused Compare and Write of one queue: two commands next to each other that run as one step.
 *
 * The compare is held until the write is here and both have their data, however that came. Nothing else is
 * executed in between, so the pair is atomic to every other command of the subsystem.
 *
 * @see NVM Express Base Specification, fused operations.
 * @packageDocumentation
 */
import {
  fuse,
  nvmOpcode,
  readBlockCount,
  readFuse,
  readNsid,
  readOpcode,
  readSlba,
} from "../nvme/commands.ts";
import { type StatusCode, statusCode } from "../nvme/status.ts";
import type { CommandSlot } from "./command-slots.ts";

/** What is done to the commands of a pair. */
export interface PairActions {
  /** Completes a command that has all its data. */
  finish(slot: CommandSlot, failure: StatusCode | undefined): void;
  /** Fails a command that may still wait for data. */
  lose(slot: CommandSlot, failure: StatusCode): void;
  /** Executes a command that has all its data. */
  apply(slot: CommandSlot): StatusCode | undefined;
}

export class FusedPairs {
  readonly #actions: PairActions;
  /** The last command, if it was a first half that waits for the second. */
  #first: CommandSlot | undefined;
  /** The last command was a first half that has failed already. */
  #hasFirstFailed = false;
  /** What preceded the command that is being executed. */
  #preceding: CommandSlot | undefined;
  #hasPrecedingFailed = false;

  constructor(actions: PairActions) {
    this.#actions = actions;
  }

  /** True if the next command matters, whatever it is. */
  get isExpecting(): boolean {
    return this.#first !== undefined || this.#hasFirstFailed;
  }

  /** Looks at the next command. A first half that it leaves alone fails. True if it is half of a pair. */
  begin(view: DataView, at: number): boolean {
    const fuseField = readFuse(view, at);
    this.#preceding = this.#first;
    this.#hasPrecedingFailed = this.#hasFirstFailed;
    this.#first = undefined;
    this.#hasFirstFailed = false;
    if (fuseField !== fuse.second && this.#preceding !== undefined) {
      this.#actions.lose(this.#preceding, statusCode.abortedMissingFused);
      this.#preceding = undefined;
    }
    return fuseField !== fuse.none;
  }

  /** Why the half that {@link begin} has seen cannot be held, or `undefined`. */
  problem(view: DataView, at: number): StatusCode | undefined {
    const fuseField = readFuse(view, at);
    const isFirst = fuseField === fuse.first;
    if (!isFirst && fuseField !== fuse.second) return statusCode.invalidField;
    if (!isFirst && this.#preceding === undefined) {
      return this.#hasPrecedingFailed ? statusCode.abortedFailedFused : statusCode.abortedMissingFused;
    }
    if (readOpcode(view, at) !== (isFirst ? nvmOpcode.compare : nvmOpcode.write))
      return statusCode.invalidField;
    const first = this.#preceding;
    if (isFirst || first === undefined) return undefined;
    const isSameRange =
      first.nsid === readNsid(view, at) &&
      first.block === readSlba(view, at) &&
      first.blockCount === readBlockCount(view, at);
    return isSameRange ? undefined : statusCode.invalidField;
  }

  /** The half was not held: its other half cannot succeed. */
  refused(view: DataView, at: number): void {
    this.#hasFirstFailed = readFuse(view, at) === fuse.first;
    if (this.#preceding !== undefined) this.#actions.lose(this.#preceding, statusCode.abortedFailedFused);
    this.#preceding = undefined;
  }

  /** Holds the half that {@link begin} has seen. */
  hold(slot: CommandSlot): void {
    const first = this.#preceding;
    this.#preceding = undefined;
    if (first === undefined) this.#first = slot;
    else {
      slot.partner = first;
      first.partner = slot;
    }
  }

  /** A first half is taken out of the queue. */
  forget(slot: CommandSlot): void {
    if (slot !== this.#first) return;
    this.#first = undefined;
    this.#hasFirstFailed = true;
  }

  /** A command has its data; false if it is none of a pair, or will never make one. */
  transferred(slot: CommandSlot): boolean {
    if (slot === this.#first && slot.failure !== undefined) {
      this.forget(slot);
      return false;
    }
    const { partner } = slot;
    if (slot !== this.#first && partner === undefined) return false;
    slot.state = "partner";
    if (partner?.state === "partner") {
      if (slot.opcode === nvmOpcode.compare) this.#execute(slot, partner);
      else this.#execute(partner, slot);
    }
    return true;
  }

  #execute(compare: CommandSlot, write: CommandSlot): void {
    const { finish, apply } = this.#actions;
    const { abortedFailedFused } = statusCode;
    const transferFailure = compare.failure ?? write.failure;
    if (transferFailure !== undefined) {
      finish(compare, compare.failure ?? abortedFailedFused);
      finish(write, write.failure ?? abortedFailedFused);
      return;
    }
    const compareFailure = apply(compare);
    // The write is applied before anything is answered: answering the compare can start other transfers.
    const writeFailure = compareFailure === undefined ? apply(write) : abortedFailedFused;
    finish(compare, compareFailure ?? (writeFailure === undefined ? undefined : abortedFailedFused));
    finish(write, writeFailure);
  }
}
