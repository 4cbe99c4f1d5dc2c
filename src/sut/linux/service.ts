/**
 * A Linux host as a volume service: thin devices, exported by the kernel's own NVMe/TCP target.
 *
 * Volumes are exported as long as they exist, snapshots as long as they are open. Disposing leaves the host as it is,
 * with pool, subsystem and port; whoever gave the shell and the pool closes them.
 *
 * @packageDocumentation
 */
import { setMaxListeners } from "node:events";
import { type Clock, systemClock } from "../clock.ts";
import { type ConnectNamespaces, DataPath } from "../data-path/data-path.ts";
import {
  type BlockDevice,
  type CallOptions,
  type DiffCapabilities,
  type DiffPage,
  ServiceError,
  type Snapshot,
  type Volume,
  type VolumeService,
} from "../port.ts";
import { SnapshotDevice } from "../snapshot-device.ts";
import { type ConnectionFaults, TargetFaultError } from "../target-faults.ts";
import { chunkPages } from "./chunk-pages.ts";
import { Nvmet } from "./nvmet.ts";
import { OpenSnapshots } from "./open-snapshots.ts";
import { isUnclear } from "./scripts.ts";
import type { Shell } from "./shell.ts";
import type { ThinDevice, ThinPool } from "./thin-pool.ts";

export interface LinuxOptions {
  /** Of the host that serves. */
  readonly shell: Shell;
  readonly pool: ThinPool;
  /** Of the subsystem that is made there, or used if it is there. */
  readonly subsystemNqn: string;
  /** Where hosts reach it. */
  readonly endpoint: { readonly host: string; readonly port: number };
  /** Where the kernel listens, by IP address; the endpoint if absent. */
  readonly listen?: { readonly address: string; readonly port: number };
  /** Makes the connection that volumes are opened through. */
  readonly connectNamespaces: ConnectNamespaces;
  /** Deadline for opening a volume; 2 min if absent. */
  readonly waitTimeoutMs?: number;
  readonly clock?: Clock;
}

export interface LinuxVolumeService
  extends VolumeService,
    Pick<ConnectionFaults, "resetConnections" | "setCut"> {
  /**
   * Makes pool, devices, subsystem, namespaces and port as they should be, whatever state the host is in: just
   * started, half set up, or up already. Hosts that were cut off are let back.
   *
   * @throws {ServiceError}
   */
  bringUp(options?: CallOptions): Promise<void>;
}

/** Brings the host up. @throws {ServiceError} */
export async function connectLinux(options: LinuxOptions): Promise<LinuxVolumeService> {
  const service = new LinuxService(options);
  try {
    await service.bringUp();
  } catch (error) {
    await service[Symbol.asyncDispose]();
    throw error;
  }
  return service;
}

class LinuxService implements LinuxVolumeService {
  readonly #pool: ThinPool;
  readonly #nvmet: Nvmet;
  readonly #dataPath: DataPath;
  readonly #open = new OpenSnapshots();
  /** As they were told last; what the pool holds no more, it refuses itself. */
  readonly #seen = new Map<string, ThinDevice>();
  /** Snapshots whose export could not be ended, because the host did not answer. */
  readonly #stale = new Set<string>();
  #isFirst = true;
  /** Ends what waits for a host that does not come back. */
  readonly #closing = new AbortController();

  constructor(options: LinuxOptions) {
    const { shell, pool, subsystemNqn, endpoint, connectNamespaces, clock = systemClock } = options;
    const { address, port } = options.listen ?? { address: endpoint.host, port: endpoint.port };
    this.#pool = pool;
    // Any number of calls listens to it.
    setMaxListeners(0, this.#closing.signal);
    this.#nvmet = new Nvmet(shell, { subsystemNqn, address, port });
    const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
    this.#dataPath = new DataPath({
      connect: connectNamespaces,
      discover: async () => [],
      subsystem: async () => ({
        subsystemNqn,
        nvmeEndpoints: [`${host}:${endpoint.port}`],
        discoveryEndpoints: [],
      }),
      waitTimeoutMs: options.waitTimeoutMs ?? 120_000,
      clock,
    });
  }

  get diffCapabilities(): DiffCapabilities {
    const chunkBlocks = this.#pool.chunkBytes / this.#pool.blockSizeBytes;
    return { granularityBlocks: chunkBlocks, chunkBlocks };
  }

  async bringUp(options?: CallOptions): Promise<void> {
    await this.#pool.bringUp(this.#untilClosed(options));
    const devices = await this.#list(options);
    const isShown = ({ uuid, role }: ThinDevice) => role === "volume" || this.#open.has(uuid);
    const shown = devices.filter(isShown);
    // At first also what another process had open when it was ended.
    const isHidden = (device: ThinDevice) =>
      !isShown(device) && (this.#isFirst || this.#stale.has(device.uuid));
    const hidden = devices.filter(isHidden).map(({ uuid }) => uuid);
    const exports: { readonly uuid: string; readonly path: string }[] = [];
    await inLanes(shown, async ({ uuid }) => {
      exports.push({ uuid, path: await this.#pool.activate(uuid, this.#untilClosed(options)) });
    });
    await this.#nvmet.bringUp({ exports, unexported: hidden }, options);
    await inLanes(hidden, (uuid) => this.#pool.deactivate(uuid, options));
    for (const uuid of hidden) this.#stale.delete(uuid);
    this.#isFirst = false;
  }

  async createVolume(
    request: { readonly name: string; readonly sizeBytes: number; readonly sectorSizeBytes: number },
    options?: CallOptions,
  ): Promise<Volume> {
    const { name, sizeBytes, sectorSizeBytes } = request;
    const { blockSizeBytes } = this.#pool;
    if (sectorSizeBytes !== blockSizeBytes)
      throw new ServiceError(
        "ERR_INVALID_REQUEST",
        `volume ${name}: blocks of ${sectorSizeBytes} bytes can not be had from ${this.#pool.description}, whose disks have ${blockSizeBytes}; ask for that, or use disks that have ${sectorSizeBytes}`,
      );
    return this.#exported(
      this.#see(await this.#pool.create({ name, sizeBytes }, this.#untilClosed(options))),
      options,
    );
  }

  async cloneSnapshot(
    { name, snapshotUuid }: { readonly name: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<Volume> {
    await this.#device(snapshotUuid, "snapshot", options);
    const made = await this.#pool.snapshot(
      { name, sourceUuid: snapshotUuid, role: "volume" },
      this.#untilClosed(options),
    );
    return this.#exported(this.#see(made), options);
  }

  /** A volume that nobody can reach is not left behind. */
  async #exported(device: ThinDevice, options?: CallOptions): Promise<Volume> {
    const { uuid } = device;
    try {
      const path = await this.#pool.activate(uuid, this.#untilClosed(options));
      await this.#nvmet.export({ uuid, path }, options);
    } catch (error) {
      await this.deleteVolume(uuid).catch((cause: unknown) => {
        throw new ServiceError(
          error instanceof ServiceError ? error.code : "ERR_TARGET",
          `${(error as Error).message}; volume ${uuid} is left behind: ${(cause as Error).message}`,
          { cause: error },
        );
      });
      throw error;
    }
    return this.#asVolume(device);
  }

  async getVolume(uuid: string, options?: CallOptions): Promise<Volume> {
    await this.#list(options);
    return this.#asVolume(await this.#device(uuid, "volume", options));
  }

  async listVolumes(options?: CallOptions): Promise<readonly Volume[]> {
    const devices = await this.#list(options);
    return devices.filter(({ role }) => role === "volume").map((device) => this.#asVolume(device));
  }

  async resizeVolume(
    { uuid, sizeBytes }: { readonly uuid: string; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<Volume> {
    await this.#device(uuid, "volume", options);
    await this.#pool.grow(uuid, sizeBytes, this.#untilClosed(options));
    await this.#nvmet.revalidate(uuid, options);
    return this.getVolume(uuid, options);
  }

  async rollbackVolume(
    request: { readonly volumeUuid: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<void> {
    const { volumeUuid: uuid, snapshotUuid } = request;
    await this.#device(uuid, "volume", options);
    await this.#device(snapshotUuid, "snapshot", options);
    this.#seen.delete(uuid);
    await this.#pool.rollback(
      request,
      (work) => this.#nvmet.detached(uuid, work, options),
      this.#untilClosed(options),
    );
    // The volume has the size that it had then.
    await this.#nvmet.revalidate(uuid, options);
  }

  async deleteVolume(uuid: string, options?: CallOptions): Promise<void> {
    await this.#device(uuid, "volume", options);
    await this.#nvmet.unexport(uuid, options);
    await this.#remove(uuid, options);
  }

  async createSnapshot(
    { name, volumeUuid }: { readonly name: string; readonly volumeUuid: string },
    options?: CallOptions,
  ): Promise<Snapshot> {
    await this.#device(volumeUuid, "volume", options);
    const request = { name, sourceUuid: volumeUuid, role: "snapshot" } as const;
    return asSnapshot(this.#see(await this.#pool.snapshot(request, this.#untilClosed(options))));
  }

  async getSnapshot(uuid: string, options?: CallOptions): Promise<Snapshot> {
    await this.#list(options);
    return asSnapshot(await this.#device(uuid, "snapshot", options));
  }

  async listSnapshots(options?: CallOptions): Promise<readonly Snapshot[]> {
    const devices = await this.#list(options);
    return devices.filter(({ role }) => role === "snapshot").map(asSnapshot);
  }

  async deleteSnapshot(uuid: string, options?: CallOptions): Promise<void> {
    if (this.#open.has(uuid))
      throw new ServiceError("ERR_BUSY", `snapshot ${uuid} is open; close it before it is deleted`);
    await this.#device(uuid, "snapshot", options);
    if (this.#stale.has(uuid)) await this.#nvmet.unexport(uuid, options);
    await this.#remove(uuid, options);
    this.#stale.delete(uuid);
  }

  async #remove(uuid: string, options?: CallOptions): Promise<void> {
    await this.#pool.remove(uuid, this.#untilClosed(options));
    this.#seen.delete(uuid);
  }

  async *diff(request: Parameters<VolumeService["diff"]>[0], options?: CallOptions): AsyncIterable<DiffPage> {
    const { snapshotUuid, baseSnapshotUuid, offsetLba = 0 } = request;
    const { sizeBytes } = await this.#device(snapshotUuid, "snapshot", options);
    const blockCount = sizeBytes / this.#pool.blockSizeBytes;
    if (!Number.isSafeInteger(offsetLba) || offsetLba < 0 || offsetLba >= blockCount)
      throw new ServiceError(
        "ERR_INVALID_REQUEST",
        `diff of ${snapshotUuid}: offset ${offsetLba} is not below its ${blockCount} blocks`,
      );
    const changes = await this.#pool.changes(
      { baseUuid: baseSnapshotUuid, uuid: snapshotUuid },
      this.#untilClosed(options),
    );
    const { chunkBlocks } = this.diffCapabilities;
    yield* chunkPages(changes, { chunkBlocks, blockCount, offsetLba });
  }

  async openVolume(uuid: string, options?: CallOptions): Promise<BlockDevice> {
    if (this.#nvmet.nsidOf(uuid) === undefined) await this.#device(uuid, "volume", options);
    return this.#dataPath.openNamespace(uuid, options);
  }

  async openSnapshot(uuid: string, options?: CallOptions): Promise<BlockDevice> {
    await this.#device(uuid, "snapshot", options);
    const letGo = await this.#open.take(uuid, {
      begin: async () => {
        if (this.#nvmet.nsidOf(uuid) !== undefined) return;
        const path = await this.#pool.activate(uuid, this.#untilClosed(options));
        await this.#nvmet.export({ uuid, path }, options);
      },
      end: () => this.#endExport(uuid),
    });
    try {
      return new SnapshotDevice(await this.#dataPath.openNamespace(uuid, options), letGo);
    } catch (error) {
      await letGo().catch(() => {});
      throw error;
    }
  }

  async #endExport(uuid: string): Promise<void> {
    try {
      await this.#nvmet.unexport(uuid);
      await this.#pool.deactivate(uuid);
    } catch (error) {
      if (!isUnclear(error)) throw error;
      // A host that was started anew exports nothing, and bringing up sees to the rest.
      this.#stale.add(uuid);
    }
  }

  resetConnections(): Promise<void> {
    return asFault(this.#nvmet.resetConnections());
  }

  setCut(isCut: boolean): Promise<void> {
    return asFault(this.#nvmet.setCut(isCut));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    return this.#dataPath[Symbol.asyncDispose]();
  }

  #untilClosed({ signal }: CallOptions = {}): CallOptions {
    const closing = this.#closing.signal;
    return { signal: signal === undefined ? closing : AbortSignal.any([closing, signal]) };
  }

  async #device(uuid: string, role: ThinDevice["role"], options?: CallOptions): Promise<ThinDevice> {
    if (!this.#seen.has(uuid)) await this.#list(options);
    const device = this.#seen.get(uuid);
    if (device?.role !== role)
      throw new ServiceError("ERR_NOT_FOUND", `there is no ${role} ${uuid} in ${this.#pool.description}`);
    return device;
  }

  async #list(options?: CallOptions): Promise<readonly ThinDevice[]> {
    const devices = await this.#pool.list(this.#untilClosed(options));
    this.#seen.clear();
    for (const device of devices) this.#see(device);
    return devices;
  }

  #see(device: ThinDevice): ThinDevice {
    this.#seen.set(device.uuid, device);
    return device;
  }

  #asVolume({ uuid, name, sizeBytes, sourceUuid }: ThinDevice): Volume {
    return {
      ...{ uuid, name, sizeBytes, state: "available" },
      sectorSizeBytes: this.#pool.blockSizeBytes,
      nsid: this.#nvmet.nsidOf(uuid),
      sourceSnapshotUuid: sourceUuid,
    };
  }
}

function asSnapshot({ uuid, name, sizeBytes, sourceUuid }: ThinDevice): Snapshot {
  if (sourceUuid === undefined)
    throw new ServiceError("ERR_BAD_ANSWER", `it is not known what snapshot ${uuid} was taken of`);
  return { uuid, name, sizeBytes, state: "available", sourceVolumeUuid: sourceUuid };
}

/** A few at a time, so that a host is not flooded. */
async function inLanes<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const rest = [...items];
  const lane = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all([lane(), lane(), lane()]);
}

async function asFault(done: Promise<void>): Promise<void> {
  try {
    await done;
  } catch (cause) {
    if (!(cause instanceof ServiceError)) throw cause;
    throw new TargetFaultError(cause.message, { cause });
  }
}
