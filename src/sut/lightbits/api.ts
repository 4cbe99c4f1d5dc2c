/**
 * The calls of the REST API v2 that harrow needs, one method each: paths, fields and decoding.
 *
 * Policy (waiting, trying again) is elsewhere.
 *
 * @packageDocumentation
 */

import { type CallOptions, type DiffPage, ServiceError, type Volume } from "../port.ts";
import { type BitmapOrder, inPortOrder } from "./bitmap-order.ts";
import {
  type ClusterInfo,
  type DescribedSnapshot,
  decodeClusterInfo,
  decodeDiff,
  decodeNothing,
  decodeSnapshot,
  decodeSnapshots,
  decodeVolume,
  decodeVolumes,
  decodeVolumeVersion,
  type VolumeVersion,
} from "./decode.ts";
import type { DiffFactsRecorder } from "./diff-facts.ts";
import type { RestClient } from "./rest-client.ts";

/** Objects per page of a list; the most that the service gives. */
const pageLimit = 1000;
/** Pages after which a list counts as endless. */
const listPagesMax = 100;

export interface CreateVolumeRequest {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sectorSizeBytes: number;
  readonly replicaCount: number;
  /** Host NQNs, or `ALLOW_ANY`. */
  readonly acl: readonly string[];
  readonly sourceSnapshotUuid: string | undefined;
}

export interface DiffQuestion {
  readonly snapshotUuid: string;
  readonly baseSnapshotUuid: string | undefined;
  /** Rounded down to its chunk by the service, and sent as it is. */
  readonly offsetLba: number;
}

/** How the diffs of a service are read. */
interface DiffReading {
  readonly bitmapOrder: BitmapOrder;
  readonly facts: DiffFactsRecorder;
}

export class LightbitsApi {
  readonly #client: RestClient;
  readonly #project: string;
  readonly #projectPath: string;
  readonly #diffs: DiffReading;

  constructor(client: RestClient, project: string, diffs: DiffReading) {
    this.#client = client;
    this.#project = project;
    this.#diffs = diffs;
    this.#projectPath = `/api/v2/projects/${encodeURIComponent(project)}`;
  }

  clusterInfo(options?: CallOptions): Promise<ClusterInfo> {
    return this.#client.call({ method: "GET", path: "/api/v2/clusterinfo" }, decodeClusterInfo, options);
  }

  createVolume(request: CreateVolumeRequest, options?: CallOptions): Promise<Volume> {
    const body = {
      name: request.name,
      size: `${request.sizeBytes}b`,
      sectorSize: request.sectorSizeBytes === 512 ? "sectorSize_512B" : "sectorSize_4K",
      replicaCount: request.replicaCount,
      acl: { values: request.acl },
      projectName: this.#project,
      ...(request.sourceSnapshotUuid !== undefined && { sourceSnapshotUUID: request.sourceSnapshotUuid }),
    };
    return this.#client.call(
      { method: "POST", path: `${this.#projectPath}/volumes`, body },
      decodeVolume,
      options,
    );
  }

  getVolume(uuid: string, options?: CallOptions): Promise<Volume> {
    return this.#client.call({ method: "GET", path: this.#volumePath(uuid) }, decodeVolume, options);
  }

  getVolumeVersion(uuid: string, options?: CallOptions): Promise<VolumeVersion> {
    return this.#client.call({ method: "GET", path: this.#volumePath(uuid) }, decodeVolumeVersion, options);
  }

  /** @param name - Only the volume of this name, in whatever state. */
  listVolumes(name?: string, options?: CallOptions): Promise<readonly Volume[]> {
    return this.#list((offsetUUID) => {
      const query = {
        limit: String(pageLimit),
        offsetUUID,
        ...(name !== undefined && { name, showAll: "true" }),
      };
      const decode = (call: string, document: unknown) => decodeVolumes(call, document).volumes;
      return this.#client.call(
        { method: "GET", path: `${this.#projectPath}/volumes`, query },
        decode,
        options,
      );
    });
  }

  /** @param request.etag - Of the version of the volume that the request is made for; any if empty. */
  resizeVolume(
    request: {
      readonly uuid: string;
      readonly sizeBytes: number;
      readonly force: boolean;
      readonly etag: string;
    },
    options?: CallOptions,
  ): Promise<undefined> {
    const { uuid, sizeBytes, force, etag } = request;
    const body = { size: `${sizeBytes}b`, ...(force && { Force: true }) };
    const ifMatch = etag === "" ? {} : { ifMatch: etag };
    return this.#client.call(
      { method: "PUT", path: this.#volumePath(uuid), body, ...ifMatch },
      decodeNothing,
      options,
    );
  }

  rollbackVolume(
    { uuid, snapshotUuid }: { readonly uuid: string; readonly snapshotUuid: string },
    options?: CallOptions,
  ): Promise<undefined> {
    const body = { srcSnapshotUUID: snapshotUuid, projectName: this.#project };
    const path = `${this.#volumePath(uuid)}/rollback`;
    return this.#client.call({ method: "PUT", path, body }, decodeNothing, options);
  }

  deleteVolume(uuid: string, options?: CallOptions): Promise<undefined> {
    return this.#client.call({ method: "DELETE", path: this.#volumePath(uuid) }, decodeNothing, options);
  }

  createSnapshot(
    request: { readonly name: string; readonly volumeUuid: string; readonly description: string },
    options?: CallOptions,
  ): Promise<DescribedSnapshot> {
    const body = {
      name: request.name,
      sourceVolumeUUID: request.volumeUuid,
      description: request.description,
      projectName: this.#project,
    };
    return this.#client.call(
      { method: "POST", path: `${this.#projectPath}/snapshots`, body },
      decodeSnapshot,
      options,
    );
  }

  getSnapshot(uuid: string, options?: CallOptions): Promise<DescribedSnapshot> {
    return this.#client.call({ method: "GET", path: this.#snapshotPath(uuid) }, decodeSnapshot, options);
  }

  /** @param name - Only the snapshot of this name, in whatever state. */
  listSnapshots(name?: string, options?: CallOptions): Promise<readonly DescribedSnapshot[]> {
    return this.#list((offsetUUID) => {
      const query = {
        limit: String(pageLimit),
        offsetUUID,
        ...(name !== undefined && { Name: name, showAll: "true" }),
      };
      const decode = (call: string, document: unknown) => decodeSnapshots(call, document).snapshots;
      return this.#client.call(
        { method: "GET", path: `${this.#projectPath}/snapshots`, query },
        decode,
        options,
      );
    });
  }

  deleteSnapshot(uuid: string, options?: CallOptions): Promise<undefined> {
    return this.#client.call({ method: "DELETE", path: this.#snapshotPath(uuid) }, decodeNothing, options);
  }

  async diffPage(request: DiffQuestion, options?: CallOptions): Promise<DiffPage> {
    const { offsetLba } = request;
    const path = `${this.#projectPath}/snapshots/diff/${encodeURIComponent(request.snapshotUuid)}`;
    const query = {
      baseSnapshotUUID: request.baseSnapshotUuid,
      offsetLBA: offsetLba === 0 ? undefined : String(offsetLba),
    };
    const page = await this.#client.call({ method: "GET", path, query }, decodeDiff, options);
    const { bitmapOrder, facts } = this.#diffs;
    facts.note(page);
    const ranges = page.lbaRanges.map(({ lbaStart, bitmap }) => ({
      lbaStart,
      bitmap: inPortOrder(bitmap, bitmapOrder),
    }));
    return { offsetLba, ranges, nextOffsetLba: page.nextOffsetLBA };
  }

  #volumePath(uuid: string): string {
    return `${this.#projectPath}/volumes/${encodeURIComponent(uuid)}`;
  }

  #snapshotPath(uuid: string): string {
    return `${this.#projectPath}/snapshots/${encodeURIComponent(uuid)}`;
  }

  /** All pages of a list: the last is the one that is not full, or brings nothing new. */
  async #list<Item extends { readonly uuid: string }>(
    readPage: (offsetUuid: string | undefined) => Promise<readonly Item[]>,
  ): Promise<readonly Item[]> {
    const items = new Map<string, Item>();
    let offsetUuid: string | undefined;
    for (let pageCount = 0; pageCount < listPagesMax; pageCount++) {
      const page = await readPage(offsetUuid);
      const knownCount = items.size;
      for (const item of page) items.set(item.uuid, item);
      if (page.length < pageLimit || items.size === knownCount) return [...items.values()];
      offsetUuid = page.at(-1)?.uuid;
    }
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `a list did not end within ${listPagesMax} pages of ${pageLimit}`,
    );
  }
}
