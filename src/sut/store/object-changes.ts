/**
 * Changes of a store's volumes and snapshots: counted in their revision, noted for the next commit, and told
 * to those who listen.
 *
 * @packageDocumentation
 */
import type { CommitQueue } from "./commit-queue.ts";
import type { StoreChange } from "./port.ts";
import type { StoreState } from "./store-state.ts";
import type { ThinSnapshot, ThinVolume } from "./thin-volume.ts";

export class ObjectChanges {
  readonly #state: StoreState;
  readonly #commits: CommitQueue;
  readonly #listeners = new Set<(change: StoreChange) => void>();

  constructor(state: StoreState, commits: CommitQueue) {
    this.#state = state;
    this.#commits = commits;
  }

  /** Calls back, synchronously, after each change; returns the way to stop. */
  listen(listener: (change: StoreChange) => void): () => void {
    // Wrapped, so that one function may listen twice.
    const own = (change: StoreChange): void => listener(change);
    this.#listeners.add(own);
    return () => {
      this.#listeners.delete(own);
    };
  }

  tell(change: StoreChange): void {
    for (const listener of this.#listeners) listener(change);
  }

  /** Notes that objects differ from the metadata on stable media. */
  note(): void {
    this.#state.objectsAreDirty = true;
    this.#commits.touch();
  }

  setVolumeState(volume: ThinVolume, state: ThinVolume["state"]): void {
    volume.state = state;
    volume.revision++;
    this.note();
    this.tell({ kind: "volume", uuid: volume.uuid });
  }

  setSnapshotState(snapshot: ThinSnapshot, state: ThinSnapshot["state"]): void {
    snapshot.state = state;
    snapshot.revision++;
    this.note();
    this.tell({ kind: "snapshot", uuid: snapshot.uuid });
  }

  /** Tells of the new size; the change of state that goes with it counts and notes it. */
  setBlockCount(volume: ThinVolume, blockCount: number): void {
    if (volume.blockCount === blockCount) return;
    volume.blockCount = blockCount;
    this.tell({ kind: "namespace-resized", nsid: volume.nsid });
  }
}
