/**
 * A volume service whose diffs come from a SnapshotMetadata service: volumes and snapshots from one, what has changed
 * between them from the other.
 *
 * So a CSI driver's diffs are judged by the same model as those of a service that has a diff of its own.
 *
 * @packageDocumentation
 */
import type { CallOptions, DiffPage, Snapshot, VolumeService } from "../port.ts";
import { replaced } from "../replaced.ts";
import type { CsiSnapshotMetadata } from "./client.ts";
import { csiChunkBlocks, diffPages } from "./diff-pages.ts";

export interface CsiDiffOptions {
  /** Blocks that the driver always reports together; 1 if absent. */
  readonly granularityBlocks?: number;
  /** What the driver calls a snapshot; its UUID if absent. In Kubernetes a base goes by handle, a target by name. */
  readonly idOf?: (snapshot: Snapshot, role: "base" | "target") => string;
  /** Most tuples in one message; left to the driver if absent. */
  readonly maxResults?: number;
}

/** Both belong to the result, whose disposal disposes them. */
export function withCsiDiffs(
  service: VolumeService,
  client: CsiSnapshotMetadata,
  options: CsiDiffOptions = {},
): VolumeService {
  const { granularityBlocks = 1, idOf = ({ uuid }) => uuid, maxResults = 0 } = options;
  async function* diff(
    request: Parameters<VolumeService["diff"]>[0],
    callOptions?: CallOptions,
  ): AsyncGenerator<DiffPage, void, undefined> {
    const { snapshotUuid, baseSnapshotUuid, offsetLba = 0 } = request;
    const target = await service.getSnapshot(snapshotUuid, callOptions);
    const base =
      baseSnapshotUuid === undefined ? undefined : await service.getSnapshot(baseSnapshotUuid, callOptions);
    const { sectorSizeBytes } = await service.getVolume(target.sourceVolumeUuid, callOptions);
    const targetId = idOf(target, "target");
    const position = { startingOffset: offsetLba * sectorSizeBytes, maxResults };
    const messages =
      base === undefined
        ? client.metadataAllocated({ snapshotId: targetId, ...position }, callOptions)
        : client.metadataDelta({ baseId: idOf(base, "base"), targetId, ...position }, callOptions);
    yield* diffPages(messages, {
      blockSizeBytes: sectorSizeBytes,
      blockCount: Math.ceil(target.sizeBytes / sectorSizeBytes),
      offsetLba,
      where: base === undefined ? `allocated blocks of ${targetId}` : `changes to ${targetId}`,
    });
  }
  return replaced(service, {
    diffCapabilities: { granularityBlocks, chunkBlocks: csiChunkBlocks },
    diff,
    [Symbol.asyncDispose]: async () => {
      try {
        await client[Symbol.asyncDispose]();
      } finally {
        await service[Symbol.asyncDispose]();
      }
    },
  });
}
