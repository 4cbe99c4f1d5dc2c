/**
 * New volumes and snapshots, put among a store's objects in state "creating".
 *
 * A snapshot freezes its volume's head, and the volume goes on with a new, empty head on top; a clone's head
 * stands on the layer of its snapshot. Checking the request, committing and telling is up to the caller.
 *
 * @packageDocumentation
 */
import { randomUUID } from "node:crypto";
import type { CommitQueue } from "./commit-queue.ts";
import type { Arena } from "./medium.ts";
import { addLayer, type StoreState } from "./store-state.ts";
import { ThinSnapshot, ThinVolume } from "./thin-volume.ts";

/** @param request.source - Makes the volume a clone; `arena` is then the snapshot's own. */
export function addVolume(
  state: StoreState,
  request: {
    readonly name: string;
    readonly arena: Arena;
    readonly blockCount: number;
    readonly source: ThinSnapshot | undefined;
  },
  commits: CommitQueue,
): ThinVolume {
  const { name, arena, blockCount, source } = request;
  const volume = new ThinVolume(
    {
      uuid: randomUUID(),
      name,
      nsid: unusedNsid(state),
      blockSizeBytes: arena.blockSizeBytes,
      blockCount,
      state: "creating",
      sourceSnapshotUuid: source?.uuid,
      createdAtMs: Date.now(),
      revision: 1,
    },
    addLayer(state, arena, source?.layer),
    commits,
  );
  state.volumes.set(volume.uuid, volume);
  return volume;
}

/** The snapshot's point in time is this call. */
export function addSnapshot(state: StoreState, name: string, volume: ThinVolume): ThinSnapshot {
  const frozen = volume.head;
  const snapshot = new ThinSnapshot(
    {
      uuid: randomUUID(),
      name,
      volumeUuid: volume.uuid,
      volumeName: volume.name,
      blockSizeBytes: volume.blockSizeBytes,
      blockCount: volume.blockCount,
      state: "creating",
      createdAtMs: Date.now(),
      revision: 1,
      sequence: state.nextSequence++,
    },
    frozen,
  );
  volume.head = addLayer(state, frozen.arena, frozen);
  state.snapshots.set(snapshot.uuid, snapshot);
  return snapshot;
}

/** NSIDs that are given out before they begin anew at 1. */
const nsidRound = 1024;

/**
 * The next NSID that no volume has. They go round, so that the one of a deleted volume rests as long as can be.
 *
 * A host that learns of a deletion and of a creation at once would find another volume under an NSID that it
 * knows: Linux then says "identifiers changed" and leaves the namespace out until it looks again.
 */
function unusedNsid(state: StoreState): number {
  const used = new Set<number>();
  for (const volume of state.volumes.values()) used.add(volume.nsid);
  let nsid = (state.lastNsid % nsidRound) + 1;
  for (let step = 1; step < nsidRound && used.has(nsid); step++) nsid = (nsid % nsidRound) + 1;
  // There are more volumes than a round has.
  if (used.has(nsid)) nsid = nsidRound + 1;
  while (used.has(nsid)) nsid++;
  state.lastNsid = nsid;
  return nsid;
}
