/**
 * A Lightbits cluster, or the embedded target in its shape, as a volume service.
 *
 * Control goes over REST, data over NVMe/TCP. The service acts in the background and says "not now" in several
 * ways; this file waits where waiting helps, within limits, and reports the rest.
 *
 * @packageDocumentation
 */

import { randomUUID } from "node:crypto";
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
import { type Clock, systemClock } from "../clock.ts";
import { discover } from "../initiator/discovery.ts";
import { printable } from "../wording.ts";
import { type DiffQuestion, LightbitsApi } from "./api.ts";
import type { BitmapOrder } from "./bitmap-order.ts";
import { createByName } from "./creation.ts";
import { type ConnectNamespaces, DataPath } from "../data-path/data-path.ts";
import { type DiffFacts, DiffFactsRecorder } from "./diff-facts.ts";
import { walkDiff } from "./diff-walk.ts";
import type { DiscoverSubsystems } from "../data-path/endpoints.ts";
import { RestClient, type RestClientOptions } from "./rest-client.ts";
import { SnapshotDevice } from "../snapshot-device.ts";
import { growOrShrink } from "./resize.ts";
import { isOccupied, Patience } from "./waiting.ts";

export interface LightbitsOptions
  extends Pick<
    RestClientOptions,
    "endpoint" | "otherEndpoints" | "token" | "caFile" | "insecure" | "dispatcher"
  > {
  /** `default` if absent. */
  readonly project?: string;
  /** Replicas of a new volume, 1 to 3; 1 if absent. */
  readonly replicaCount?: number;
  /** Host NQNs that may reach a new volume; every host if absent. */
  readonly acl?: readonly string[];
  /** Deadline of one REST call; 30 s if absent. */
  readonly callTimeoutMs?: number;
  /** How long to wait for a state, or for a busy service; 2 min if absent. */
  readonly waitTimeoutMs?: number;
  /** Longest REST answer, in bytes; 16 MiB if absent. */
  readonly answerBytesMax?: number;
  /** How long one diff may take in all, with the time that its reader takes; 30 min if absent. */
  readonly diffTimeoutMs?: number;
  /** How the server orders the bits of a bitmap; `little` if absent. `probeBitmapOrder` finds it out. */
  readonly bitmapOrder?: BitmapOrder;
  /** Makes the connection that volumes are opened through. */
  readonly connectNamespaces: ConnectNamespaces;
  /** Asks a discovery controller, for clusters that name nothing else; as a host without a name if absent. */
  readonly discover?: DiscoverSubsystems;
  /** Time of every wait and deadline; the system's if absent. */
  readonly clock?: Clock;
  /** Draws from [0, 1) for the jitter of delays. */
  readonly random?: () => number;
}

/** A volume service, and what was seen of its ways. */
export interface LightbitsVolumeService extends VolumeService {
  readonly diffFacts: DiffFacts;
}

/**
 * Prepares the service; nothing is sent before the first call.
 *
 * @throws {ServiceError} `ERR_INVALID_REQUEST` if the options cannot be used.
 */
export async function connectLightbits(options: LightbitsOptions): Promise<LightbitsVolumeService> {
  const client = await RestClient.create({
    ...options,
    callTimeoutMs: options.callTimeoutMs ?? 30_000,
    answerBytesMax: options.answerBytesMax ?? 16 * 2 ** 20,
    clock: options.clock ?? systemClock,
  });
  return new LightbitsService(client, options);
}

class LightbitsService implements LightbitsVolumeService {
  readonly diffCapabilities: DiffCapabilities = { granularityBlocks: 1, chunkBlocks: 64 };
  readonly #client: RestClient;
  readonly #api: LightbitsApi;
  readonly #options: LightbitsOptions;
  readonly #dataPath: DataPath;
  readonly #patience: Patience;
  readonly #clock: Clock;
  readonly #facts = new DiffFactsRecorder();

  constructor(client: RestClient, options: LightbitsOptions) {
    this.#client = client;
    this.#options = options;
    const { waitTimeoutMs = 120_000, random = Math.random, clock = systemClock } = options;
    this.#patience = new Patience({ waitTimeoutMs, random, clock });
    this.#clock = clock;
    this.#api = new LightbitsApi(client, options.project ?? "default", {
      bitmapOrder: options.bitmapOrder ?? "little",
      facts: this.#facts,
    });
    this.#dataPath = new DataPath({
      connect: options.connectNamespaces,
      discover: options.discover ?? discoverAsNobody(clock),
      subsystem: () => this.#patience.reading(() => this.#api.clusterInfo()),
      waitTimeoutMs,
      clock,
    });
  }

  get diffFacts(): DiffFacts {
    return this.#facts.facts;
  }

  createVolume(
    request: { readonly name: string; readonly sizeBytes: number; readonly sectorSizeBytes: number },
    options?: CallOptions,
  ): Promise<Volume> {
    return this.#createVolume({ ...request, sourceSnapshotUuid: undefined }, options);
  }

  async cloneSnapshot(
    request: { readonly name: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<Volume> {
    const snapshot = await this.#patience.reading(
      () => this.#api.getSnapshot(request.snapshotUuid, options),
      options,
    );
    const { name, snapshotUuid } = request;
    const { sizeBytes, sectorSizeBytes } = snapshot;
    return this.#createVolume(
      { name, sizeBytes, sectorSizeBytes, sourceSnapshotUuid: snapshotUuid },
      options,
    );
  }

  async #createVolume(
    request: {
      readonly name: string;
      readonly sizeBytes: number;
      readonly sectorSizeBytes: number;
      readonly sourceSnapshotUuid: string | undefined;
    },
    options?: CallOptions,
  ): Promise<Volume> {
    const { replicaCount = 1, acl = ["ALLOW_ANY"] } = this.#options;
    const created = await createByName<Volume>({
      post: () => this.#api.createVolume({ ...request, replicaCount, acl }, options),
      find: async () => {
        const volumes = await this.#patience.reading(
          () => this.#api.listVolumes(request.name, options),
          options,
        );
        return volumes.find(({ name, state }) => name === request.name && state !== "deleted");
      },
      isOurs: (found, mayBe) =>
        mayBe &&
        found.sourceSnapshotUuid === request.sourceSnapshotUuid &&
        found.sizeBytes >= request.sizeBytes &&
        found.sectorSizeBytes === request.sectorSizeBytes,
      patience: this.#patience,
      options,
    });
    return this.#volumeWhen(created, isUsable, "Available", options);
  }

  getVolume(uuid: string, options?: CallOptions): Promise<Volume> {
    return this.#patience.reading(() => this.#api.getVolume(uuid, options), options);
  }

  listVolumes(options?: CallOptions): Promise<readonly Volume[]> {
    return this.#patience.reading(() => this.#api.listVolumes(undefined, options), options);
  }

  async resizeVolume(
    { uuid, sizeBytes }: { readonly uuid: string; readonly sizeBytes: number },
    options?: CallOptions,
  ): Promise<Volume> {
    const before = await growOrShrink(this.#api, this.#patience, { uuid, sizeBytes }, options);
    const isShrunk = (volume: Volume) => sizeBytes >= before.sizeBytes || volume.sizeBytes < before.sizeBytes;
    // The service may round up, so any size from the one asked for will do, as long as it has moved.
    const isDone = (volume: Volume) => isUsable(volume) && volume.sizeBytes >= sizeBytes && isShrunk(volume);
    return this.#volumeWhen(await this.getVolume(uuid, options), isDone, `of ${sizeBytes} bytes`, options);
  }

  async rollbackVolume(
    { volumeUuid: uuid, snapshotUuid }: { readonly volumeUuid: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<void> {
    const rollback = () => this.#api.rollbackVolume({ uuid, snapshotUuid }, options);
    await this.#patience.whileBusy(rollback, options, isOccupied);
    await this.#volumeWhen(await this.getVolume(uuid, options), isUsable, "Available", options);
  }

  deleteVolume(uuid: string, options?: CallOptions): Promise<void> {
    return this.#patience.remove(
      {
        what: `volume ${uuid}`,
        remove: () => this.#api.deleteVolume(uuid, options),
        read: () => this.getVolume(uuid, options),
      },
      options,
    );
  }

  async createSnapshot(
    { name, volumeUuid }: { readonly name: string; readonly volumeUuid: string },
    options?: CallOptions,
  ): Promise<Snapshot> {
    // By this mark a snapshot is known again after an answer that left open whether it was made.
    const description = `harrow ${randomUUID()}`;
    const created = await createByName({
      post: () => this.#api.createSnapshot({ name, volumeUuid, description }, options),
      find: async () => {
        const snapshots = await this.#patience.reading(() => this.#api.listSnapshots(name, options), options);
        // One that is deleted, and only kept for its clones, has lost its name.
        return snapshots.find((snapshot) => snapshot.name === name && snapshot.state !== "deleted");
      },
      isOurs: (found, mayBe) =>
        found.description === ""
          ? mayBe && found.sourceVolumeUuid === volumeUuid
          : found.description === description,
      holder: async () => {
        const snapshots = await this.listSnapshots(options);
        const other = snapshots.find(
          ({ sourceVolumeUuid, state }) => sourceVolumeUuid === volumeUuid && state === "creating",
        );
        return other === undefined
          ? undefined
          : `snapshot ${printable(other.name, 80)} (${other.uuid}) of the same volume is Creating`;
      },
      patience: this.#patience,
      options,
    });
    const read = () => this.getSnapshot(created.uuid, options);
    return this.#patience.until<Snapshot>(
      { what: `snapshot ${created.uuid}`, first: created, read },
      { name: "Available", isReached: ({ state }) => state === "available" },
      options,
    );
  }

  getSnapshot(uuid: string, options?: CallOptions): Promise<Snapshot> {
    return this.#patience.reading(() => this.#api.getSnapshot(uuid, options), options);
  }

  listSnapshots(options?: CallOptions): Promise<readonly Snapshot[]> {
    return this.#patience.reading(() => this.#api.listSnapshots(undefined, options), options);
  }

  deleteSnapshot(uuid: string, options?: CallOptions): Promise<void> {
    return this.#patience.remove(
      {
        what: `snapshot ${uuid}`,
        remove: () => this.#api.deleteSnapshot(uuid, options),
        read: () => this.getSnapshot(uuid, options),
      },
      options,
    );
  }

  diff(
    request: Parameters<VolumeService["diff"]>[0],
    options?: CallOptions,
  ): AsyncGenerator<DiffPage, void, undefined> {
    const { diffTimeoutMs: timeoutMs = 1_800_000 } = this.#options;
    const readPage = (asked: DiffQuestion) =>
      this.#patience.reading(() => this.#api.diffPage(asked, options), options);
    return walkDiff({ ...request, readPage, timeoutMs, clock: this.#clock });
  }

  openVolume(uuid: string, options?: CallOptions): Promise<BlockDevice> {
    return this.#dataPath.openNamespace(uuid, options);
  }

  async openSnapshot(uuid: string, options?: CallOptions): Promise<BlockDevice> {
    const name = `harrow-open-${uuid.slice(0, 8)}-${randomUUID()}`;
    let clone: Volume | undefined;
    try {
      clone = await this.cloneSnapshot({ name, snapshotUuid: uuid }, options);
      const cloneUuid = clone.uuid;
      const device = await this.openVolume(cloneUuid, options);
      return new SnapshotDevice(device, () => this.deleteVolume(cloneUuid));
    } catch (error) {
      await this.#removeClone(name, clone).catch((cause: unknown) => {
        throw new ServiceError(
          error instanceof ServiceError ? error.code : "ERR_TARGET",
          `${String((error as Error).message)}; its clone ${name} may be left behind: ${String((cause as Error).message)}`,
          { cause: error },
        );
      });
      throw error;
    }
  }

  /** Without the caller's signal, which may be why the clone is not wanted any more. */
  async #removeClone(name: string, clone: Volume | undefined): Promise<void> {
    const left = clone ?? (await this.#api.listVolumes(name)).find((volume) => volume.name === name);
    if (left !== undefined) await this.deleteVolume(left.uuid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#dataPath[Symbol.asyncDispose]();
    } finally {
      await this.#client[Symbol.asyncDispose]();
    }
  }

  #volumeWhen(
    first: Volume,
    isReached: (volume: Volume) => boolean,
    name: string,
    options: CallOptions | undefined,
  ): Promise<Volume> {
    const read = () => this.getVolume(first.uuid, options);
    return this.#patience.until({ what: `volume ${first.uuid}`, first, read }, { name, isReached }, options);
  }
}

/** A volume that migrates serves as before. */
function isUsable({ state }: Volume): boolean {
  return state === "available" || state === "migrating";
}

/** Discovery is open to any host, unless a cluster asks for names. */
function discoverAsNobody(clock: Clock): DiscoverSubsystems {
  const hostId = randomUUID();
  const hostNqn = `nqn.2014-08.org.nvmexpress:uuid:${hostId}`;
  return (endpoint) => discover({ ...endpoint, hostNqn, hostId, clock });
}
