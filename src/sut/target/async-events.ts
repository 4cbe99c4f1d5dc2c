/**
 * Asynchronous events of one controller: requests that wait, and events that wait for a request.
 *
 * An event that was sent is masked until its log page has been read with RAE = 0. Reading the page also
 * withdraws an event that has not been sent: the host has just seen what it would announce.
 *
 * @see NVM Express Base Specification, Asynchronous Event Request command.
 * @packageDocumentation
 */
import { asyncEvent, asyncEventNotice } from "../nvme/commands.ts";

/** Requests that a controller holds at once (AERL + 1). */
export const asyncEventRequestCountMax = 4;

/** The kinds of event this target has, with their bit in Asynchronous Event Configuration and their DW0. */
const kinds = {
  namespaceChanged: {
    configurationBit: asyncEventNotice.namespaceAttribute,
    completion: asyncEvent.namespaceAttributeChanged,
  },
  discoveryChanged: {
    configurationBit: asyncEventNotice.discoveryLog,
    completion: asyncEvent.discoveryLogChanged,
  },
} as const;

export type AsyncEventKind = keyof typeof kinds;
type EventState = "idle" | "pending" | "masked";

export class AsyncEvents {
  /** CIDs of the waiting requests, oldest first. */
  readonly #requests: number[] = [];
  readonly #complete: (cid: number, dw0: number) => void;
  readonly #states: Record<AsyncEventKind, EventState> = {
    namespaceChanged: "idle",
    discoveryChanged: "idle",
  };
  /** Asynchronous Event Configuration (feature 0x0B): events whose bit is clear are not sent. */
  configuration = 0;

  /** @param complete - Completes a waiting request with success and this DW0. */
  constructor(complete: (cid: number, dw0: number) => void) {
    this.#complete = complete;
  }

  /** Parks a request, or answers it at once with what is pending. False: the limit is reached. */
  request(cid: number): boolean {
    if (this.#requests.length >= asyncEventRequestCountMax) return false;
    this.#requests.push(cid);
    this.#deliver();
    return true;
  }

  raise(kind: AsyncEventKind): void {
    if (this.#states[kind] !== "idle" || (this.configuration & kinds[kind].configurationBit) === 0) return;
    this.#states[kind] = "pending";
    this.#deliver();
  }

  /** The log page of the event was read with RAE = 0. */
  acknowledge(kind: AsyncEventKind): void {
    this.#states[kind] = "idle";
  }

  /** Takes a waiting request out, for Abort. */
  withdraw(cid: number): boolean {
    const index = this.#requests.indexOf(cid);
    if (index < 0) return false;
    this.#requests.splice(index, 1);
    return true;
  }

  /** Drops all requests and events, without completing them, and returns the CIDs: a controller reset. */
  reset(): number[] {
    this.#states.namespaceChanged = "idle";
    this.#states.discoveryChanged = "idle";
    this.configuration = 0;
    return this.#requests.splice(0);
  }

  #deliver(): void {
    for (const kind of ["namespaceChanged", "discoveryChanged"] as const) {
      if (this.#states[kind] !== "pending") continue;
      const cid = this.#requests.shift();
      if (cid === undefined) return;
      this.#states[kind] = "masked";
      this.#complete(cid, kinds[kind].completion);
    }
  }
}
