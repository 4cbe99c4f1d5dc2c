/**
 * One association with a controller, from Connect to the loss of any of its queues.
 *
 * An association is never repaired: when one queue dies, all of them are closed at once, and `controller.ts`
 * makes a new association. What is said to the controller on the way up and down is in `bring-up.ts`.
 *
 * @packageDocumentation
 */
import { feature, identifyCns, nlbMax } from "../nvme/commands.ts";
import { cntlidDynamic } from "../nvme/fabrics.ts";
import {
  type CommandSetLimits,
  type ControllerIdentity,
  decodeControllerIdentity,
  inCapsuleLengthBytes,
} from "../nvme/identify.ts";
import { uuidToBytes } from "../nvme/names.ts";
import { AdminQueue } from "./admin-queue.ts";
import type { AssociationOptions } from "./association-options.ts";
import { awaitEvents, configureEvents } from "./async-events.ts";
import { checkIdentity, enableController, readLimits, shutDownController } from "./bring-up.ts";
import type { Loss } from "./command-slot.ts";
import { QueueConnection } from "./connection.ts";
import { ControllerError, messageOf } from "./errors.ts";
import { KeepAlive } from "./keep-alive.ts";
import { type Ticker, ticksOf } from "./ticker.ts";

export interface AssociationEvents {
  /** Room for I/O commands. */
  readonly onRoom: () => void;
  /** A live association died; all its commands have been told. */
  readonly onLost: (association: Association, loss: Loss) => void;
  /** DW0 of an async event. */
  readonly onAsyncEvent: (association: Association, event: number) => void;
}

const adminSlotCount = 31;
/** In-capsule data that every controller takes on its admin queue. */
const adminInCapsuleLengthMax = 8192;
const pageLengthBytes = 4096;
/** Longest transfer where the controller names no limit: the Linux target refuses more than 4 MiB. */
const transferLengthBytesDefault = 1024 * 1024;

export class Association {
  readonly ticker: Ticker;
  readonly #options: AssociationOptions;
  readonly #events: AssociationEvents;
  readonly #queues: QueueConnection[] = [];
  readonly #abort = new AbortController();
  readonly #keepAlive: KeepAlive;
  #admin!: AdminQueue;
  #identity!: ControllerIdentity;
  #limits: CommandSetLimits | undefined;
  #cntlid = 0;
  #isLive = false;
  #loss: Loss | undefined;

  /**
   * Connects and brings the controller up until I/O can go out.
   *
   * @throws {ControllerError} At the first thing that does not work; nothing stays open then.
   */
  static async open(
    options: AssociationOptions,
    events: AssociationEvents,
    ticker: Ticker,
    signal: AbortSignal | undefined,
  ): Promise<Association> {
    const association = new Association(options, events, ticker);
    const onAbort = () => association.lose({ code: "ERR_ABORTED", message: "aborted" });
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal?.aborted) onAbort();
      await association.#bringUp();
      return association;
    } catch (error) {
      const message = messageOf(error);
      association.lose({ code: "ERR_CONNECTION_LOST", message: `bring-up failed: ${message}` });
      throw error;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  private constructor(options: AssociationOptions, events: AssociationEvents, ticker: Ticker) {
    this.#options = options;
    this.#events = events;
    this.ticker = ticker;
    this.#keepAlive = new KeepAlive(options);
    ticker.add(this.#onTick);
  }

  get admin(): AdminQueue {
    return this.#admin;
  }

  get identity(): ControllerIdentity {
    return this.#identity;
  }

  /** Limits of the NVM command set, if the controller tells them. */
  get commandSetLimits(): CommandSetLimits | undefined {
    return this.#limits;
  }

  /** I/O queues. */
  get queues(): readonly QueueConnection[] {
    return this.#queues;
  }

  get cntlid(): number {
    return this.#cntlid;
  }

  get isLive(): boolean {
    return this.#isLive;
  }

  /** Longest transfer of one command in blocks of the given size, 1..65536. */
  transferBlocksMax(blockSizeBytes: number): number {
    const { mdts } = this.#identity;
    // Beyond 2^20 pages the limit is ours anyway, and a shift by an absurd MDTS would overflow.
    const limit = mdts === 0 ? transferLengthBytesDefault : pageLengthBytes * 2 ** Math.min(mdts, 20);
    const lengthBytes = Math.min(limit, transferLengthBytesDefault);
    return Math.min(nlbMax, Math.max(1, Math.floor(lengthBytes / blockSizeBytes)));
  }

  /** Ends every queue at once. May be repeated. */
  lose(loss: Loss): void {
    if (this.#loss !== undefined) return;
    this.#loss = loss;
    const wasLive = this.#isLive;
    this.#isLive = false;
    this.ticker.remove(this.#onTick);
    this.#keepAlive.stop();
    this.#abort.abort(new ControllerError(loss.code, loss.message, loss));
    for (const queue of this.#queues) queue.close(loss);
    this.#admin?.queue.close(loss);
    this.#admin?.clear(loss);
    if (wasLive) this.#events.onLost(this, loss);
  }

  /** Shuts the controller down in good order: no I/O may be in flight any more. */
  async shutDown(): Promise<void> {
    if (!this.#isLive) return;
    this.#isLive = false;
    this.#keepAlive.stop();
    const closing: Loss = { code: "ERR_CLOSED", message: "the controller is being closed" };
    for (const queue of this.#queues) queue.close(closing);
    try {
      await shutDownController(this.#admin, this.#options.clock);
    } catch (error) {
      this.#options.log.debug(`shutdown of ${this.#options.subsystemNqn}: ${messageOf(error)}`);
    } finally {
      this.lose(closing);
    }
  }

  readonly #onTick = (): void => {
    const { tick } = this.ticker;
    const isLate =
      this.#admin?.queue.hasExpired(tick) || this.#queues.some((queue) => queue.hasExpired(tick));
    if (isLate) {
      const { commandTimeoutMs, keepAliveMs } = this.#options;
      const limits = `${commandTimeoutMs} ms, Keep Alive ${keepAliveMs} ms`;
      this.lose({ code: "ERR_TIMEOUT", message: `a command was not answered in time (${limits})` });
    }
  };

  /** @see NVM Express Base Specification, controller initialization for message-based controllers. */
  async #bringUp(): Promise<void> {
    const options = this.#options;
    const adminConnection = await this.#openQueue(0, adminSlotCount, adminInCapsuleLengthMax);
    this.#admin = new AdminQueue(adminConnection, this.ticker, this.#timeoutTicks);
    if (this.#loss !== undefined) adminConnection.close(this.#loss);
    const admin = this.#admin;
    const dw0 = await admin.connect(
      { qid: 0, sqsize: adminSlotCount, disablesSqFlowControl: true, keepAliveMs: options.keepAliveMs },
      this.#connectData(cntlidDynamic),
    );
    this.#cntlid = dw0 & 0xffff;
    if ((dw0 & 0x6_0000) !== 0) {
      const message = "the controller demands authentication, which is not supported here";
      throw new ControllerError("ERR_UNSUPPORTED", message, { isPermanent: true });
    }
    const mqes = await enableController(admin, options.clock, this.#abort.signal);
    this.#identity = decodeControllerIdentity(await admin.identify(identifyCns.controller, 0));
    checkIdentity(this.#identity, this.#cntlid, options);
    if (options.ioQueueCount > 0) {
      this.#limits = await readLimits(admin, options.log);
      await this.#openIoQueues(mqes);
    }
    if (this.#loss !== undefined) throw new ControllerError(this.#loss.code, this.#loss.message, this.#loss);
    this.#isLive = true;
    this.#keepAlive.start(admin);
    if (options.ioQueueCount === 0 || !(await configureEvents(admin, this.#identity, options))) return;
    void awaitEvents(
      admin,
      options,
      () => this.#isLive,
      (event) => this.#events.onAsyncEvent(this, event),
    );
  }

  get #timeoutTicks(): number {
    return ticksOf(this.#options.commandTimeoutMs);
  }

  #connectData(cntlid: number) {
    const { hostId, hostNqn, subsystemNqn } = this.#options;
    return { hostId: uuidToBytes(hostId), hostNqn, subsystemNqn, cntlid };
  }

  #openQueue(qid: number, slotCount: number, inCapsuleLengthMax: number): Promise<QueueConnection> {
    return QueueConnection.open({
      ...this.#options,
      qid,
      slotCount,
      inCapsuleLengthMax,
      ticker: this.ticker,
      signal: this.#abort.signal,
      onRoom: qid === 0 ? () => this.#admin.pump() : this.#events.onRoom,
      onLost: (loss) => this.lose(loss),
    });
  }

  async #openIoQueues(mqes: number): Promise<void> {
    const { ioQueueCount, queueDepth, log } = this.#options;
    const asked = ioQueueCount - 1;
    const granted = await this.#admin.setFeatures(feature.numberOfQueues, (asked << 16) | asked);
    const count = Math.min(ioQueueCount, (granted & 0xffff) + 1, (granted >>> 16) + 1);
    if (count < ioQueueCount) log.info(`${count} of ${ioQueueCount} I/O queues were granted`);
    const { maxcmd, ioccsz } = this.#identity;
    const sqsize = Math.max(1, Math.min(queueDepth, mqes, maxcmd === 0 ? queueDepth : maxcmd - 1));
    const inCapsuleLengthMax = inCapsuleLengthBytes(ioccsz);
    const results = await Promise.allSettled(
      Array.from({ length: count }, async (_, index) => {
        const queue = await this.#openQueue(index + 1, sqsize, inCapsuleLengthMax);
        this.#queues.push(queue);
        if (this.#loss !== undefined) queue.close(this.#loss);
        await new AdminQueue(queue, this.ticker, this.#timeoutTicks).connect(
          { qid: index + 1, sqsize, disablesSqFlowControl: true, keepAliveMs: 0 },
          this.#connectData(this.#cntlid),
        );
      }),
    );
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }
}
