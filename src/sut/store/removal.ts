/**
 * Removal of volumes, snapshots and the layers that they leave behind.
 *
 * Whatever is removed is removed in two steps, each committed before the next: first it is marked, so that
 * nobody uses it after a restart, then its layers are merged or freed. In between, a merge may hand a slot from
 * a marked layer to a living one, which then overwrites it in place; a crash finds the mark, and ends the
 * removal. Marking and committing is up to the caller; the second step, and its end after a crash, are here.
 *
 * @packageDocumentation
 */
import type { StoreBug } from "./bug.ts";
import { freeLayer, mergeIntoChild } from "./chain.ts";
import type { CommitQueue } from "./commit-queue.ts";
import type { Layer } from "./layer.ts";
import type { ObjectChanges } from "./object-changes.ts";
import type { StoreState } from "./store-state.ts";
import type { ThinSnapshot } from "./thin-volume.ts";

export class Removal {
  readonly #state: StoreState;
  readonly #commits: CommitQueue;
  readonly #changes: ObjectChanges;
  readonly #bug: StoreBug | undefined;

  constructor(options: {
    readonly state: StoreState;
    readonly commits: CommitQueue;
    readonly changes: ObjectChanges;
    readonly bug: StoreBug | undefined;
  }) {
    this.#bug = options.bug;
    this.#state = options.state;
    this.#commits = options.commits;
    this.#changes = options.changes;
  }

  /**
   * Lets go of a layer, and merges or frees it and its ancestors as far as nothing holds them. Snapshots whose
   * layer is gone are gone as well.
   *
   * @throws {StoreError} `ERR_IO` if a merge fails; the store then commits nothing any more.
   */
  release(start: Layer): void {
    start.isHeld = false;
    const { layers, snapshots, goneLayerIds } = this.#state;
    const gone: ThinSnapshot[] = [];
    let layer: Layer | undefined = start;
    try {
      while (layer !== undefined && !layer.isHeld && layer.children.size < 2) {
        const parent: Layer | undefined = layer.parent;
        const child: Layer | undefined = [...layer.children][0];
        if (child === undefined) {
          freeLayer(layer);
          goneLayerIds.push(layer.id);
        } else {
          goneLayerIds.push(this.#merge(layer, child));
        }
        layers.delete(layer);
        for (const snapshot of snapshots.values()) if (snapshot.layer === layer) gone.push(snapshot);
        layer = child === undefined ? parent : undefined;
      }
    } catch (cause) {
      // Half merged; the metadata on stable media is still whole.
      throw this.#commits.fail(cause);
    }
    for (const snapshot of gone) snapshots.delete(snapshot.uuid);
    this.#changes.note();
    for (const snapshot of gone) this.#changes.tell({ kind: "snapshot", uuid: snapshot.uuid });
  }

  #merge(layer: Layer, child: Layer): number {
    const proceed = (): number => mergeIntoChild(layer, child);
    return this.#bug?.merge === undefined ? proceed() : this.#bug.merge(layer, child, proceed);
  }

  /** Ends what a crash interrupted, before anybody uses the store. */
  settle(): void {
    const { volumes, snapshots, layers } = this.#state;
    for (const volume of volumes.values()) {
      if (volume.state === "deleting") volumes.delete(volume.uuid);
      else if (volume.state !== "available") this.#changes.setVolumeState(volume, "available");
      volume.head.isHeld = volume.state !== "deleting";
    }
    for (const snapshot of snapshots.values()) {
      if (snapshot.state === "creating") this.#changes.setSnapshotState(snapshot, "available");
      else if (snapshot.state === "deleting") this.#changes.setSnapshotState(snapshot, "deleted");
      snapshot.layer.isHeld = snapshot.state === "available";
    }
    for (const layer of [...layers]) if (layers.has(layer) && !layer.isHeld) this.release(layer);
  }
}
