/**
 * Finding a store's volumes and snapshots, and saying so when they cannot be used now.
 *
 * @packageDocumentation
 */
import { StoreError } from "./port.ts";
import type { StoreState } from "./store-state.ts";
import type { ThinSnapshot, ThinVolume } from "./thin-volume.ts";

/** A volume with nothing going on; `ERR_NOT_FOUND` or `ERR_NOT_NOW` if there is none. */
export function idleVolume(state: StoreState, uuid: string): ThinVolume {
  const volume = state.volumes.get(uuid);
  if (volume === undefined) throw new StoreError("ERR_NOT_FOUND", `there is no volume ${uuid}`);
  if (volume.state !== "available") {
    throw new StoreError("ERR_NOT_NOW", `volume ${uuid} is ${volume.state}; wait until it is available`);
  }
  for (const snapshot of state.snapshots.values()) {
    if (snapshot.volumeUuid === uuid && snapshot.state === "creating") {
      throw new StoreError("ERR_NOT_NOW", `snapshot ${snapshot.uuid} of volume ${uuid} is still creating`);
    }
  }
  return volume;
}

/** An available snapshot; `ERR_NOT_FOUND` or `ERR_NOT_NOW` if there is none. */
export function usableSnapshot(state: StoreState, uuid: string): ThinSnapshot {
  const snapshot = state.snapshots.get(uuid);
  if (snapshot === undefined || snapshot.state === "deleted") {
    throw new StoreError("ERR_NOT_FOUND", `there is no snapshot ${uuid}`);
  }
  if (snapshot.state !== "available") {
    throw new StoreError("ERR_NOT_NOW", `snapshot ${uuid} is ${snapshot.state}`);
  }
  return snapshot;
}

export function volumeNamed(state: StoreState, name: string): ThinVolume | undefined {
  for (const volume of state.volumes.values()) if (volume.name === name) return volume;
  return undefined;
}

/** A snapshot that lingers as "deleted" no longer goes by its name. */
export function snapshotNamed(state: StoreState, name: string): ThinSnapshot | undefined {
  for (const snapshot of state.snapshots.values()) {
    if (snapshot.name === name && snapshot.state !== "deleted") return snapshot;
  }
  return undefined;
}

/** Volumes that hosts see, by ascending NSID. */
export function servedVolumes(state: StoreState): readonly ThinVolume[] {
  return [...state.volumes.values()].filter(hasNamespace).sort((a, b) => a.nsid - b.nsid);
}

/** The volume that hosts see under `nsid`. */
export function servedVolume(state: StoreState, nsid: number): ThinVolume | undefined {
  for (const volume of state.volumes.values()) {
    if (volume.nsid === nsid) return hasNamespace(volume) ? volume : undefined;
  }
  return undefined;
}

function hasNamespace({ state }: ThinVolume): boolean {
  return state !== "creating" && state !== "deleting";
}
