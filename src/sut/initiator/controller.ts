/**
 * A controller that stays: associations come and go, devices and waiting calls remain.
 *
 * After the loss of an association its commands are `unknown`, and none is sent again. The next association
 * is a fence: calls made meanwhile wait for it and go out only when every open device has been found again.
 *
 * @packageDocumentation
 */
import { delay, systemClock } from "../clock.ts";
import { asyncEvent, nsidBroadcast } from "../nvme/commands.ts";
import { namespaceListCountMax } from "../nvme/identify.ts";
import { logPage } from "../nvme/log-pages.ts";
import { isUuid, nqnProblem } from "../nvme/names.ts";
import { Association } from "./association.ts";
import type { AssociationOptions } from "./association-options.ts";
import { AssociationWaiters } from "./association-waiters.ts";
import { type Loss, type QueueRequest, slotCountMax } from "./command-slot.ts";
import { abortedError, ControllerError, messageOf, toldAbout } from "./errors.ts";
import { silentLog } from "../log.ts";
import type { NamespaceDevice, RequestCarrier } from "./namespace-device.ts";
import { listNames, type NamespaceNames, type NamespaceSelector } from "./namespace-list.ts";
import { OpenDevices } from "./open-devices.ts";
import { isTold, reconnectDelayMs, type ReconnectPolicy, reconnectPolicyDefault } from "./reconnect.ts";
import { RequestFifo } from "./request-fifo.ts";
import { Ticker, ticksOf } from "./ticker.ts";
import { counted } from "../wording.ts";

/** Everything but the addresses has a default. */
export type ControllerOptions = Partial<AssociationOptions> &
  Pick<AssociationOptions, "host" | "port" | "subsystemNqn" | "hostNqn" | "hostId"> & {
    readonly reconnect?: ReconnectPolicy;
    /** Stops connecting; a controller that is connected is closed by disposing it. */
    readonly signal?: AbortSignal;
  };

export const controllerDefaults = {
  ioQueueCount: 1,
  queueDepth: 128,
  headerDigest: "off",
  dataDigest: "off",
  keepAliveMs: 5_000,
  commandTimeoutMs: 30_000,
  connectTimeoutMs: 10_000,
  clock: systemClock,
  log: silentLog,
} as const satisfies Partial<AssociationOptions>;

const namespacePollMs = 200;

/**
 * Connects to a controller and brings it up.
 *
 * @throws {ControllerError} If the first attempt fails; only a controller that was connected reconnects.
 */
export async function connectController(options: ControllerOptions): Promise<Controller> {
  for (const nqn of [options.subsystemNqn, options.hostNqn]) {
    const problem = nqnProblem(nqn);
    if (problem !== undefined) throw new ControllerError("ERR_INVALID_REQUEST", problem);
  }
  if (!isUuid(options.hostId)) {
    const message = `hostId "${options.hostId}" is not a UUID`;
    throw new ControllerError("ERR_INVALID_REQUEST", message);
  }
  const { reconnect = reconnectPolicyDefault, signal, ...rest } = options;
  const merged = { ...controllerDefaults, ...rest };
  checkCount("ioQueueCount", merged.ioQueueCount, 1, 128);
  checkCount("queueDepth", merged.queueDepth, 2, slotCountMax);
  const controller = new Controller(merged, reconnect);
  await controller.connect(signal);
  return controller;
}

function checkCount(name: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new ControllerError("ERR_INVALID_REQUEST", `${name}: expected ${min} to ${max}, got ${value}`);
}

export class Controller implements RequestCarrier, AsyncDisposable {
  readonly timeoutTicks: number;
  readonly #options: AssociationOptions;
  readonly #reconnect: ReconnectPolicy;
  readonly #ticker: Ticker;
  readonly #fifo = new RequestFifo();
  readonly #devices: OpenDevices;
  readonly #closing = new AbortController();
  readonly #associationListeners = new Set<(associationCount: number) => void>();
  readonly #changeListeners = new Set<() => void>();
  readonly #waiters = new AssociationWaiters();
  /** The association that takes commands. */
  #association: Association | undefined;
  #associationCount = 0;
  /** Why there will be no association any more. */
  #end: Loss | undefined;
  #refreshing: Promise<void> = Promise.resolve();
  #disposing: Promise<void> | undefined;

  /** Use {@link connectController}. */
  constructor(options: AssociationOptions, reconnect: ReconnectPolicy) {
    this.#options = options;
    this.#reconnect = reconnect;
    this.#ticker = new Ticker(options.clock);
    this.#devices = new OpenDevices(this, options.subsystemNqn);
    this.timeoutTicks = ticksOf(options.commandTimeoutMs);
    this.#ticker.add(() => this.#fifo.expire(this.#ticker.tick, this.#waitedTooLong()));
  }

  /** Associations so far: whoever sees it grow knows that commands of before are over on this host's side. */
  get associationCount(): number {
    return this.#associationCount;
  }

  /** Calls `listener` when a new association stands, before commands go out on it; returns how to stop that. */
  onAssociation(listener: (associationCount: number) => void): () => void {
    this.#associationListeners.add(listener);
    return () => void this.#associationListeners.delete(listener);
  }

  /** The first association, once. */
  async connect(signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#associate(signal);
    } catch (error) {
      this.#finish({ code: "ERR_CLOSED", message: "the controller was never connected" });
      this.#ticker.stop();
      throw toldAbout(this.#options.subsystemNqn, error);
    }
  }

  /** Names of the active namespaces, read anew. */
  async namespaces(options: { readonly signal?: AbortSignal } = {}): Promise<NamespaceNames[]> {
    const association = await this.#live(options.signal);
    return listNames(association.admin);
  }

  /**
   * Opens a namespace by one of its names.
   *
   * @param options.waitMs - How long to wait for a namespace that is not there yet.
   * @throws {ControllerError} `ERR_NAMESPACE_GONE` if it is not there.
   */
  async openNamespace(
    selector: NamespaceSelector,
    options: { readonly signal?: AbortSignal; readonly waitMs?: number } = {},
  ): Promise<NamespaceDevice> {
    const { signal, waitMs = 0 } = options;
    for (let poll = 0; ; poll++) {
      const association = await this.#live(signal);
      const device = await this.#devices.open(association, selector);
      if (device !== undefined) return device;
      if (poll * namespacePollMs >= waitMs) break;
      await this.#pollOrChange(signal);
    }
    const present = await this.namespaces(options);
    const list = present.map((names) => `${names.nsid} (${names.uuid ?? names.nguid ?? "unnamed"})`);
    const shown = list.length === 0 ? "none" : list.slice(0, 16).join(", ");
    throw new ControllerError(
      "ERR_NAMESPACE_GONE",
      `${this.#options.subsystemNqn} has no namespace ${JSON.stringify(selector)}; active: ${shown}`,
    );
  }

  submit(request: QueueRequest): void {
    if (this.#end !== undefined) {
      request.onNeverSent(this.#end);
      return;
    }
    request.waitDeadlineTick = this.#ticker.tick + request.timeoutTicks;
    this.#fifo.push(request);
    this.#pump();
  }

  detach(request: QueueRequest): void {
    for (const queue of this.#association?.queues ?? []) queue.detach(request);
  }

  async withinDeadline(promise: Promise<void>): Promise<void> {
    const done = new AbortController();
    const deadline = delay(this.#options.clock, this.#options.commandTimeoutMs, done.signal);
    try {
      await Promise.race([promise, deadline]);
    } finally {
      deadline.catch(() => {});
      done.abort();
    }
  }

  /** Waits for calls in flight, within the deadline of a command, and shuts the controller down. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposing ??= this.#dispose();
    return this.#disposing;
  }

  async #dispose(): Promise<void> {
    const closed: Loss = { code: "ERR_CLOSED", message: "the controller is closed" };
    this.#closing.abort();
    if (this.#association === undefined) this.#finish(closed);
    await this.#devices.close();
    const association = this.#association;
    this.#finish(closed);
    await association?.shutDown();
    this.#ticker.stop();
  }

  /** There will be no association any more: whoever waits for one is told. */
  #finish(end: Loss): void {
    this.#end ??= end;
    this.#association = undefined;
    this.#fifo.clear(this.#end);
    this.#waiters.reject(this.#end);
  }

  #waitedTooLong(): Loss {
    const message = `no connection or no room on a queue within ${this.#options.commandTimeoutMs} ms`;
    return { code: "ERR_TIMEOUT", message };
  }

  #pump(): void {
    const association = this.#association;
    if (association?.isLive) this.#fifo.pump(association.queues, this.#ticker.tick);
  }

  async #associate(signal: AbortSignal | undefined): Promise<void> {
    const association = await Association.open(
      this.#options,
      {
        onRoom: () => this.#pump(),
        onLost: (lost, loss) => this.#onLost(lost, loss),
        onAsyncEvent: (source, event) => this.#onAsyncEvent(source, event),
      },
      this.#ticker,
      signal,
    );
    try {
      await this.#devices.refresh(association);
    } catch (error) {
      association.lose({ code: "ERR_CONNECTION_LOST", message: messageOf(error) });
      throw error;
    }
    if (!association.isLive || signal?.aborted) {
      const message = "the new association was lost at once";
      association.lose({ code: "ERR_CONNECTION_LOST", message });
      throw new ControllerError("ERR_CONNECTION_LOST", message);
    }
    this.#association = association;
    this.#associationCount += 1;
    const { subsystemNqn, host, port, log } = this.#options;
    const queues = counted(association.queues.length, "I/O queue");
    log.info(`${subsystemNqn} at ${host}:${port}: controller ${association.cntlid}, ${queues}`);
    this.#announce();
    this.#waiters.resolve(association);
    this.#pump();
  }

  #announce(): void {
    for (const listener of this.#associationListeners) {
      try {
        listener(this.#associationCount);
      } catch (error) {
        this.#options.log.warn(`a listener for associations failed: ${messageOf(error)}`);
      }
    }
  }

  #onLost(association: Association, loss: Loss): void {
    if (association !== this.#association) return;
    this.#association = undefined;
    if (this.#end !== undefined) return;
    this.#options.log.warn(`${this.#options.subsystemNqn}: association lost, ${loss.message}`);
    if (this.#closing.signal.aborted)
      this.#finish({ code: "ERR_CLOSED", message: "the controller is closed" });
    else void this.#reassociate(loss);
  }

  async #reassociate(loss: Loss): Promise<void> {
    const { log, clock, subsystemNqn } = this.#options;
    const { signal } = this.#closing;
    let last = loss.message;
    for (let attempt = 1; attempt <= this.#reconnect.attemptsMax; attempt++) {
      try {
        await delay(clock, reconnectDelayMs(this.#reconnect, attempt), signal);
        await this.#associate(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        last = messageOf(error);
        const attempts = `attempt ${attempt} of ${this.#reconnect.attemptsMax}`;
        if (isTold(attempt)) log.warn(`${subsystemNqn}: ${attempts} failed, ${last}`);
        if (error instanceof ControllerError && error.isPermanent) break;
      }
    }
    const message = `the connection was lost and could not be made again: ${last}`;
    log.warn(`${subsystemNqn}: ${message}`);
    this.#finish({ code: "ERR_CONNECTION_LOST", message });
    this.#ticker.stop();
  }

  /** The association in use, or the next one. */
  #live(signal: AbortSignal | undefined): Promise<Association> {
    if (this.#association?.isLive) return Promise.resolve(this.#association);
    if (this.#end === undefined) return this.#waiters.wait(signal);
    return Promise.reject(new ControllerError(this.#end.code, this.#end.message, this.#end));
  }

  #onAsyncEvent(association: Association, event: number): void {
    if (event !== asyncEvent.namespaceAttributeChanged) {
      this.#options.log.info(`event 0x${event.toString(16)} from ${this.#options.subsystemNqn}`);
      return;
    }
    this.#refreshing = this.#refreshing.then(async () => {
      try {
        // Reading the log page is what lets the controller send the next event of this kind.
        await association.admin.getLogPage({
          logId: logPage.changedNamespaces,
          lengthBytes: namespaceListCountMax * 4,
          offsetBytes: 0,
          nsid: nsidBroadcast,
        });
        await this.#devices.refresh(association);
      } catch (error) {
        this.#options.log.warn(`changed namespaces of ${this.#options.subsystemNqn}: ${messageOf(error)}`);
      }
      for (const listener of this.#changeListeners) listener();
    });
  }

  async #pollOrChange(signal: AbortSignal | undefined): Promise<void> {
    const change = new AbortController();
    const onChange = () => change.abort();
    this.#changeListeners.add(onChange);
    const signals = [change.signal, this.#closing.signal, ...(signal === undefined ? [] : [signal])];
    try {
      await delay(this.#options.clock, namespacePollMs, AbortSignal.any(signals));
    } catch {
      if (signal?.aborted) throw abortedError("waiting for a namespace", signal);
    } finally {
      this.#changeListeners.delete(onChange);
    }
  }
}
