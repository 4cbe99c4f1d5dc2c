/**
 * One controller: an association of a host with a subsystem, made by an admin Connect.
 *
 * It knows its queues only as something to close or to abort a command on. Registers are in
 * `properties.ts`; keep alive is checked by the target's clock.
 *
 * @packageDocumentation
 */
import { changedNamespacesOverflow } from "../nvme/log-pages.ts";
import { namespaceListCountMax } from "../nvme/identify.ts";
import { AsyncEvents } from "./async-events.ts";

export type SubsystemKind = "nvm" | "discovery";

/** What a controller needs of a connection. */
export interface QueueConnection {
  close(reason: string): void;
  /** True if the command was taken out and completed as aborted. */
  abort(cid: number): boolean;
}

export interface AdminConnection extends QueueConnection {
  completeAsyncEvent(cid: number, dw0: number): void;
  /** Forgets commands without completing them. */
  forget(cids: readonly number[]): void;
}

/** Time that a controller lives without a sign of its host when keep alive is off and it is not in use. */
const idleTimeoutMs = 120_000;

export class Controller {
  readonly cntlid: number;
  readonly kind: SubsystemKind;
  readonly hostNqn: string;
  readonly hostId: Uint8Array;
  readonly events: AsyncEvents;
  /** I/O queues by QID. */
  readonly ioQueues = new Map<number, QueueConnection>();
  /** Controller configuration and status, as the properties show them. */
  configuration = 0;
  status = 0;
  /** Keep alive time-out, ms; 0 for none. */
  keepAliveMs: number;
  lastActivityMs: number;
  isWriteCacheEnabled = true;
  isClosed = false;
  /** Features that are kept and otherwise of no effect, by identifier. */
  readonly storedFeatures = new Map<number, number>();
  readonly #admin: AdminConnection;
  readonly #onClosed: (controller: Controller) => void;
  readonly #changedNamespaces = new Set<number>();

  constructor(options: {
    readonly cntlid: number;
    readonly kind: SubsystemKind;
    readonly hostNqn: string;
    readonly hostId: Uint8Array;
    readonly keepAliveMs: number;
    readonly nowMs: number;
    readonly admin: AdminConnection;
    readonly onClosed: (controller: Controller) => void;
  }) {
    this.cntlid = options.cntlid;
    this.kind = options.kind;
    this.hostNqn = options.hostNqn;
    this.hostId = options.hostId;
    this.keepAliveMs = options.keepAliveMs;
    this.lastActivityMs = options.nowMs;
    this.#admin = options.admin;
    this.#onClosed = options.onClosed;
    this.events = new AsyncEvents((cid, dw0) => this.#admin.completeAsyncEvent(cid, dw0));
  }

  /** Whether the host may send commands other than fabrics commands: CC.EN is set and no shutdown was asked. */
  isReady = false;

  /** A namespace was added, removed or resized. */
  noteNamespaceChange(nsid: number): void {
    // One more than the page can hold is enough to know that it overflows.
    if (this.#changedNamespaces.size <= namespaceListCountMax) this.#changedNamespaces.add(nsid);
    this.events.raise("namespaceChanged");
  }

  /** NSIDs for the changed namespace list, ascending. */
  get changedNamespaces(): readonly number[] {
    if (this.#changedNamespaces.size > namespaceListCountMax) return [changedNamespacesOverflow];
    return [...this.#changedNamespaces].sort((a, b) => a - b);
  }

  clearChangedNamespaces(): void {
    this.#changedNamespaces.clear();
  }

  abort(sqid: number, cid: number): boolean {
    const queue = sqid === 0 ? this.#admin : this.ioQueues.get(sqid);
    return queue?.abort(cid) ?? false;
  }

  /** Controller level reset (CC.EN to 0): I/O queues go, settings return to what they were. */
  reset(): void {
    this.isReady = false;
    this.#admin.forget(this.events.reset());
    this.#changedNamespaces.clear();
    this.storedFeatures.clear();
    this.isWriteCacheEnabled = true;
    this.#closeIoQueues("controller reset");
  }

  /** Moment at which the association ends unless the host gives a sign, or `undefined` for never. */
  get expiresAtMs(): number | undefined {
    const { keepAliveMs } = this;
    if (keepAliveMs !== 0) return this.lastActivityMs + Math.max(keepAliveMs * 1.5, keepAliveMs + 1000);
    return this.isReady && this.kind === "nvm" ? undefined : this.lastActivityMs + idleTimeoutMs;
  }

  /** Ends the association: all its connections go. May be repeated. */
  close(reason: string): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isReady = false;
    this.events.reset();
    this.#closeIoQueues(reason);
    this.#admin.close(reason);
    this.#onClosed(this);
  }

  #closeIoQueues(reason: string): void {
    for (const queue of [...this.ioQueues.values()]) queue.close(reason);
    this.ioQueues.clear();
  }
}
