/**
 * One association with a controller, from Connect to the loss of any of its queues.
 *
 * An association is never repaired: when one queue dies, all of them are closed at once, and `controller.ts`
 * makes a new association.
 *
 * @packageDocumentation
 */
import { adminOpcode, asyncEventNotice, feature, identifyCns, nlbMax, writeSqe } from "../nvme/commands.ts";
import {
  cntlidDynamic,
  controllerConfiguration,
  controllerStatus,
  decodeCapabilities,
  property,
} from "../nvme/fabrics.ts";
import {
  type CommandSetLimits,
  type ControllerIdentity,
  controllerType,
  decodeCommandSetLimits,
  decodeControllerIdentity,
  inCapsuleLengthBytes,
} from "../nvme/identify.ts";
import { uuidToBytes } from "../nvme/names.ts";
import { describeStatus } from "../nvme/status.ts";
import { AdminQueue } from "./admin-queue.ts";
import type { Loss } from "./command-slot.ts";
import { type DigestMode, QueueConnection } from "./connection.ts";
import { ControllerError, messageOf } from "./errors.ts";
import type { Log } from "./log.ts";
import { delay, type Ticker, type Timers, ticksOf } from "./timers.ts";

export interface AssociationOptions {
  readonly host: string;
  readonly port: number;
  readonly subsystemNqn: string;
  readonly hostNqn: string;
  /** UUID of this host; keep it and `hostNqn` a stable pair. */
  readonly hostId: string;
  /** I/O queues asked for; 0 for a discovery controller. */
  readonly ioQueueCount: number;
  /** Commands in flight per I/O queue. */
  readonly queueDepth: number;
  readonly headerDigest: DigestMode;
  readonly dataDigest: DigestMode;
  /** 0 turns keep alive off. */
  readonly keepAliveMs: number;
  /** Longest wait for the answer to a command; afterwards the association is given up. */
  readonly commandTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly timers: Timers;
  readonly log: Log;
}

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
const shutdownPollMs = 20;
const shutdownPollsMax = 50;

export class Association {
  readonly ticker: Ticker;
  readonly #options: AssociationOptions;
  readonly #events: AssociationEvents;
  readonly #queues: QueueConnection[] = [];
  readonly #abort = new AbortController();
  #admin!: AdminQueue;
  #identity!: ControllerIdentity;
  #limits: CommandSetLimits | undefined;
  #cntlid = 0;
  #isLive = false;
  #loss: Loss | undefined;
  #keepAlive: unknown;

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
    this.#options.timers.clearTimeout(this.#keepAlive);
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
    this.#options.timers.clearTimeout(this.#keepAlive);
    const closing: Loss = { code: "ERR_CLOSED", message: "the controller is being closed" };
    for (const queue of this.#queues) queue.close(closing);
    try {
      const { enable, entrySizes, shutdownNormal } = controllerConfiguration;
      await this.#admin.setProperty("CC", property.cc, enable | entrySizes | shutdownNormal);
      for (let poll = 0; poll < shutdownPollsMax; poll++) {
        const { low } = await this.#admin.getProperty("CSTS", property.csts, false);
        if ((low & controllerStatus.shutdownMask) === controllerStatus.shutdownComplete) break;
        await delay(this.#options.timers, shutdownPollMs, undefined);
      }
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
    const mqes = await this.#enable();
    this.#identity = decodeControllerIdentity(await admin.identify(identifyCns.controller, 0));
    this.#checkIdentity();
    this.#limits = await this.#readLimits();
    if (options.ioQueueCount > 0) await this.#openIoQueues(mqes);
    if (this.#loss !== undefined) throw new ControllerError(this.#loss.code, this.#loss.message, this.#loss);
    this.#isLive = true;
    this.#scheduleKeepAlive();
    if (options.ioQueueCount > 0) await this.#askForEvents();
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

  /** Enables the controller and returns MQES. */
  async #enable(): Promise<number> {
    const admin = this.#admin;
    const { low, high } = await admin.getProperty("CAP", property.cap, true);
    const cap = decodeCapabilities(low, high);
    const { enable, entrySizes, allCommandSets } = controllerConfiguration;
    const configuration = entrySizes | (cap.supportsCommandSets ? allCommandSets : 0);
    await admin.setProperty("CC", property.cc, configuration | enable);
    const polls = (cap.timeoutHalfSeconds + 1) * 25;
    for (let poll = 0; poll < polls; poll++) {
      const { low: csts } = await admin.getProperty("CSTS", property.csts, false);
      if ((csts & controllerStatus.fatal) !== 0) {
        throw new ControllerError(
          "ERR_TARGET",
          `controller reports a fatal status: CSTS 0x${csts.toString(16)}`,
        );
      }
      if ((csts & controllerStatus.ready) !== 0) return cap.mqes;
      await delay(this.#options.timers, 20, this.#abort.signal);
    }
    throw new ControllerError("ERR_TIMEOUT", `controller was not ready within ${polls * 20} ms`);
  }

  #checkIdentity(): void {
    const { cntlid, icdoff, ioccsz, controllerType: type, kas } = this.#identity;
    const problem = (message: string) => new ControllerError("ERR_TARGET", message, { isPermanent: true });
    if (cntlid !== this.#cntlid) {
      throw problem(`Identify names CNTLID ${cntlid}, Connect returned ${this.#cntlid}`);
    }
    if (icdoff !== 0) throw problem(`ICDOFF ${icdoff} is not supported, only 0 is`);
    if (this.#options.ioQueueCount > 0 && type !== controllerType.discovery && ioccsz < 4) {
      throw problem(`IOCCSZ ${ioccsz} is below 4, which leaves no room for a command`);
    }
    if (this.#options.keepAliveMs > 0 && kas === 0) {
      this.#options.log.debug(`${this.#options.subsystemNqn} reports no keep alive granularity (KAS 0)`);
    }
  }

  async #readLimits(): Promise<CommandSetLimits | undefined> {
    if (this.#options.ioQueueCount === 0) return undefined;
    try {
      return decodeCommandSetLimits(await this.#admin.identify(identifyCns.commandSetController, 0));
    } catch (error) {
      if (!(error instanceof ControllerError) || error.status === undefined) throw error;
      this.#options.log.debug(`limits of the NVM command set are not told: ${error.message}`);
      return undefined;
    }
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

  async #askForEvents(): Promise<void> {
    const { log, subsystemNqn } = this.#options;
    const notices = this.#identity.oaes & asyncEventNotice.namespaceAttribute;
    if (notices === 0) {
      log.info(`${subsystemNqn} sends no events: changes are seen when namespaces are listed`);
      return;
    }
    try {
      await this.#admin.setFeatures(feature.asyncEventConfiguration, notices);
    } catch (error) {
      if (!(error instanceof ControllerError) || error.status === undefined) throw error;
      log.warn(`${subsystemNqn} refuses to configure events: ${error.message}`);
    }
    void this.#awaitEvents();
  }

  /** Keeps one async event request posted; ends with the association, or when it is refused. */
  async #awaitEvents(): Promise<void> {
    const { log, subsystemNqn } = this.#options;
    try {
      while (this.#isLive) {
        const { status, isSuccess, dw0 } = await this.#admin.execute({
          name: "Async Event Request",
          write: (slab, at, cid) => writeSqe(slab, at, adminOpcode.asyncEventRequest, cid, 0),
          timeoutTicks: Number.POSITIVE_INFINITY,
        });
        if (!isSuccess) {
          log.warn(`${subsystemNqn} refuses to report events: ${describeStatus(status)}`);
          return;
        }
        // Posted again first, by the next turn of this loop; the owner reads the log page meanwhile.
        queueMicrotask(() => this.#events.onAsyncEvent(this, dw0));
      }
    } catch (error) {
      log.debug(`events of ${subsystemNqn} end: ${messageOf(error)}`);
    }
  }

  #scheduleKeepAlive(): void {
    const { keepAliveMs, timers, log } = this.#options;
    if (keepAliveMs === 0) return;
    this.#keepAlive = timers.setTimeout(() => {
      this.#scheduleKeepAlive();
      this.#admin
        .execute({
          name: "Keep Alive",
          write: (slab, at, cid) => writeSqe(slab, at, adminOpcode.keepAlive, cid, 0),
          timeoutTicks: ticksOf(keepAliveMs),
        })
        .then(
          ({ isSuccess, status }) => {
            if (!isSuccess) log.warn(`Keep Alive: ${describeStatus(status)}`);
          },
          (error: unknown) => log.debug(messageOf(error)),
        );
    }, keepAliveMs / 2);
  }
}
