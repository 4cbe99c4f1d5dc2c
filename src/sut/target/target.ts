/**
 * What the connections of a target share: configuration, controllers, counters, and the clock that expires.
 *
 * There is no socket here; `server.ts` has those.
 *
 * @packageDocumentation
 */
import { discoveryNqn } from "../nvme/names.ts";
import { Controller, type AdminConnection, type SubsystemKind } from "./controller.ts";
import { c2hDataLengthMax, type TargetConfiguration } from "./options.ts";
import { SlabPool } from "./outbox.ts";
import { VolumeCalls } from "./volume-calls.ts";

const cntlidMax = 0xffef;
/** Memory that idle slabs may keep, per pool. */
const keptBytesMax = 16 * 1024 * 1024;
/** Headers, digests and padding that stand beside the data in a slab. */
const outboxSlabLengthBytes = 2 * c2hDataLengthMax + 8192;

export class Target {
  readonly configuration: TargetConfiguration;
  /** Slabs for what is sent. */
  readonly outboxPool: SlabPool;
  /** Slabs that data from hosts is gathered in. */
  readonly transferPool: SlabPool;
  readonly volumes: VolumeCalls;
  /** Generation of the discovery log. */
  generation = 1n;
  readonly #controllers = new Map<number, Controller>();
  readonly #unsubscribe: () => void;
  #nextCntlid = 1;
  #isPublished = true;

  constructor(configuration: TargetConfiguration) {
    this.configuration = configuration;
    this.outboxPool = pool(outboxSlabLengthBytes);
    this.transferPool = pool(configuration.transferLengthMax);
    this.volumes = new VolumeCalls(configuration, this.transferPool);
    this.#unsubscribe = configuration.store.onChange((change) => {
      if (!("nsid" in change)) return;
      for (const controller of this.#of("nvm")) controller.noteNamespaceChange(change.nsid);
    });
  }

  /** Subsystem that an NQN names, or `undefined`. */
  subsystem(nqn: string | undefined): SubsystemKind | undefined {
    if (nqn === discoveryNqn) return "discovery";
    return nqn === this.configuration.subsystemNqn ? "nvm" : undefined;
  }

  controller(cntlid: number): Controller | undefined {
    return this.#controllers.get(cntlid);
  }

  /** Makes a controller under an identifier that was not used for long, or `undefined` if none is free. */
  createController(options: {
    readonly kind: SubsystemKind;
    readonly hostNqn: string;
    readonly hostId: Uint8Array;
    readonly keepAliveMs: number;
    readonly nowMs: number;
    readonly admin: AdminConnection;
  }): Controller | undefined {
    if (this.#controllers.size >= cntlidMax) return undefined;
    while (this.#controllers.has(this.#nextCntlid)) this.#nextCntlid = this.#following(this.#nextCntlid);
    const cntlid = this.#nextCntlid;
    this.#nextCntlid = this.#following(cntlid);
    const onClosed = () => void this.#controllers.delete(cntlid);
    const controller = new Controller({ ...options, cntlid, onClosed });
    this.#controllers.set(cntlid, controller);
    return controller;
  }

  /** Whether the discovery log lists the subsystem; a change is announced to persistent discovery. */
  get isPublished(): boolean {
    return this.#isPublished;
  }

  set isPublished(isPublished: boolean) {
    if (isPublished === this.#isPublished) return;
    this.#isPublished = isPublished;
    this.generation++;
    for (const controller of this.#of("discovery")) controller.events.raise("discoveryChanged");
  }

  /**
   * Ends associations whose host has gone silent.
   *
   * @param lagMs - How late this call is: while this process stood still no host could be heard, so a long
   *   lag starts the timers anew.
   */
  expire(nowMs: number, lagMs: number): void {
    for (const controller of [...this.#controllers.values()]) {
      const { keepAliveMs, expiresAtMs } = controller;
      if (keepAliveMs !== 0 && lagMs > keepAliveMs / 2) controller.lastActivityMs = nowMs;
      else if (expiresAtMs !== undefined && nowMs >= expiresAtMs) {
        const silentMs = Math.round(nowMs - controller.lastActivityMs);
        const limit = keepAliveMs === 0 ? "no keep alive" : `keep alive time-out ${keepAliveMs} ms`;
        this.configuration.log.warn(
          `controller ${controller.cntlid} of ${controller.hostNqn}: silent for ${silentMs} ms (${limit}), ` +
            "closing its connections",
        );
        controller.close("keep alive expired");
      }
    }
  }

  close(): void {
    this.#unsubscribe();
    for (const controller of [...this.#controllers.values()]) controller.close("target is closing");
  }

  *#of(kind: SubsystemKind): Generator<Controller> {
    for (const controller of this.#controllers.values()) if (controller.kind === kind) yield controller;
  }

  #following(cntlid: number): number {
    return cntlid === cntlidMax ? 1 : cntlid + 1;
  }
}

function pool(slabLengthBytes: number): SlabPool {
  return new SlabPool({ slabLengthBytes, keptCountMax: Math.ceil(keptBytesMax / slabLengthBytes) });
}
