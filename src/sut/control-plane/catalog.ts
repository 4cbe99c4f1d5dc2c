/**
 * Volumes and snapshots as the REST interface shows them.
 *
 * The store keeps what a volume is; this file keeps what only the interface knows: access lists, labels,
 * descriptions, and how long a new object is still shown as Creating, so that clients have something to wait
 * for. These notes live in memory and go with the object. Access lists are shown back and not enforced: the
 * target serves each of its namespaces to every host.
 *
 * @packageDocumentation
 */

import type { StoredSnapshot, StoredVolume, VolumeStore } from "../store/port.ts";
import { withoutZeroes } from "./proto-json.ts";
import { StatusError } from "./status.ts";

/** The one project of this target. */
export const defaultProjectName = "default";

interface Label {
  readonly key: string;
  readonly value: string;
}

export interface Notes {
  acl?: readonly string[];
  ipAcl?: readonly string[];
  compression?: string;
  labels?: readonly Label[];
  description?: string;
  /** Shown as Creating until this reading of the clock. */
  creatingUntilMs?: number;
  /** Counts changes of the notes, which are part of the ETag. */
  revision?: number;
}

export type ShownVolumeState = "Creating" | "Available" | "Deleting" | "Updating" | "Rollback";
export type ShownSnapshotState = "Creating" | "Available" | "Deleting" | "Deleted";

const volumeStates = {
  creating: "Creating",
  available: "Available",
  updating: "Updating",
  rollback: "Rollback",
  deleting: "Deleting",
} as const satisfies Record<StoredVolume["state"], ShownVolumeState>;

const snapshotStates = {
  creating: "Creating",
  available: "Available",
  deleting: "Deleting",
  deleted: "Deleted",
} as const satisfies Record<StoredSnapshot["state"], ShownSnapshotState>;

export interface CatalogOptions {
  readonly store: VolumeStore;
  readonly nodeUuid: string;
  readonly clusterUuid: string;
  /** For how long an object is at least shown as Creating. */
  readonly creatingMs: number;
  /** Monotonic clock in milliseconds. */
  readonly now: () => number;
}

export class Catalog implements Disposable {
  readonly store: VolumeStore;
  readonly #options: CatalogOptions;
  readonly #notes = new Map<string, Notes>();
  readonly #unsubscribe: () => void;

  constructor(options: CatalogOptions) {
    this.#options = options;
    this.store = options.store;
    this.#unsubscribe = options.store.onChange((change) => {
      if (change.kind !== "volume" && change.kind !== "snapshot") return;
      const { uuid } = change;
      if (this.store.volume(uuid) === undefined && this.store.snapshot(uuid) === undefined)
        this.#notes.delete(uuid);
    });
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }

  /** @throws {StatusError} `NotFound`. */
  volume(uuid: string): StoredVolume {
    const volume = this.store.volume(uuid);
    if (volume === undefined) throw new StatusError("NotFound", `volume ${uuid} not found`);
    return volume;
  }

  /** @throws {StatusError} `NotFound`. */
  snapshot(uuid: string): StoredSnapshot {
    const snapshot = this.store.snapshot(uuid);
    if (snapshot === undefined) throw new StatusError("NotFound", `snapshot ${uuid} not found`);
    return snapshot;
  }

  /** The volume with a UUID, else with a name; the UUID wins if both are given. */
  volumeBy(uuid: string | undefined, name: string | undefined): StoredVolume {
    if (uuid !== undefined) return this.volume(uuid);
    if (name === undefined) throw new StatusError("InvalidArgument", "name a volume by UUID or by name");
    const volume = this.store.volumeByName(name);
    if (volume === undefined) throw new StatusError("NotFound", `volume named ${name} not found`);
    return volume;
  }

  /** The snapshot with a UUID or a name, of which exactly one is given. */
  snapshotBy(uuid: string | undefined, name: string | undefined): StoredSnapshot {
    if ((uuid === undefined) === (name === undefined)) {
      throw new StatusError("InvalidArgument", "name a snapshot by UUID or by name, and not by both");
    }
    if (uuid !== undefined) return this.snapshot(uuid);
    const snapshot = this.store.snapshotByName(name ?? "");
    if (snapshot === undefined) throw new StatusError("NotFound", `snapshot named ${name} not found`);
    return snapshot;
  }

  /** Notes down what the interface knows about a new object, and starts its time as Creating. */
  created(uuid: string, notes: Notes): void {
    const { creatingMs, now } = this.#options;
    this.#notes.set(uuid, { ...notes, ...(creatingMs > 0 && { creatingUntilMs: now() + creatingMs }) });
  }

  /** Changes notes of an object, and with them its ETag. */
  annotate(uuid: string, changes: Notes): void {
    const notes = this.notes(uuid);
    this.#notes.set(uuid, { ...notes, ...changes, revision: (notes.revision ?? 0) + 1 });
  }

  notes(uuid: string): Notes {
    return this.#notes.get(uuid) ?? {};
  }

  volumeState(volume: StoredVolume): ShownVolumeState {
    return volume.state === "available" && this.#isYoung(volume.uuid)
      ? "Creating"
      : volumeStates[volume.state];
  }

  snapshotState(snapshot: StoredSnapshot): ShownSnapshotState {
    return snapshot.state === "available" && this.#isYoung(snapshot.uuid)
      ? "Creating"
      : snapshotStates[snapshot.state];
  }

  #isYoung(uuid: string): boolean {
    const until = this.#notes.get(uuid)?.creatingUntilMs;
    return until !== undefined && this.#options.now() < until;
  }

  etag(object: StoredVolume | StoredSnapshot): string {
    const revision = this.notes(object.uuid).revision ?? 0;
    return revision === 0 ? object.etag : `${object.etag}-${revision}`;
  }

  volumeJson(volume: StoredVolume): Readonly<Record<string, unknown>> {
    const notes = this.notes(volume.uuid);
    const state = this.volumeState(volume);
    const source =
      volume.sourceSnapshotUuid === undefined ? undefined : this.store.snapshot(volume.sourceSnapshotUuid);
    return withoutZeroes({
      state,
      protectionState: state === "Creating" ? "Unknown" : "FullyProtected",
      replicaCount: 1,
      nodeList: [this.#options.nodeUuid],
      UUID: volume.uuid,
      nsid: volume.nsid,
      acl: { values: notes.acl ?? ["ALLOW_ANY"] },
      compression: notes.compression ?? "false",
      size: String(volume.sizeBytes),
      name: volume.name,
      rebuildProgress: "None",
      IPAcl: { values: notes.ipAcl ?? ["ALLOW_ANY"] },
      ETag: this.etag(volume),
      sectorSize: volume.blockSizeBytes,
      projectName: defaultProjectName,
      sourceSnapshotUUID: volume.sourceSnapshotUuid,
      sourceSnapshotName: source?.name,
      primaryNodeUUID: this.#options.nodeUuid,
      creationTime: volume.createdAt.toISOString(),
      labels: notes.labels,
      clusterId: this.#options.clusterUuid,
    });
  }

  snapshotJson(snapshot: StoredSnapshot): Readonly<Record<string, unknown>> {
    const notes = this.notes(snapshot.uuid);
    const state = this.snapshotState(snapshot);
    return withoutZeroes({
      state,
      UUID: snapshot.uuid,
      name: snapshot.name,
      description: notes.description,
      // The service does not show a time before the snapshot is there.
      creationTime: state === "Creating" ? undefined : snapshot.createdAt.toISOString(),
      sourceVolumeUUID: snapshot.sourceVolumeUuid,
      sourceVolumeName: snapshot.sourceVolumeName,
      replicaCount: 1,
      nodeList: [this.#options.nodeUuid],
      acl: { values: notes.acl ?? ["ALLOW_ANY"] },
      compression:
        notes.compression !== undefined && ["true", "enable", "enabled"].includes(notes.compression),
      size: String(snapshot.sizeBytes),
      IPAcl: { values: notes.ipAcl ?? ["ALLOW_ANY"] },
      sectorSize: snapshot.blockSizeBytes,
      ETag: this.etag(snapshot),
      projectName: defaultProjectName,
      primaryNodeUUID: this.#options.nodeUuid,
      labels: notes.labels,
      clusterId: this.#options.clusterUuid,
    });
  }
}
