/**
 * Somebody who works on clones, and believes what they show.
 *
 * With the checker switched off that is responsible for clones, nobody in a run makes any, and none could be wrong.
 *
 * @packageDocumentation
 */
import type { VolumeService } from "../sut/port.ts";
import { replaced } from "../sut/replaced.ts";

/** Blocks that are emptied at once. */
const pieceBlocks = 64;

/** A service of which each snapshot is cloned, and the clone emptied, piece by piece, and deleted. */
export function cloned(service: VolumeService): VolumeService {
  return replaced(service, {
    createSnapshot: async (request, options) => {
      const snapshot = await service.createSnapshot(request, options);
      const { uuid: snapshotUuid, name } = snapshot;
      const { uuid } = await service.cloneSnapshot({ name: `clone-of-${name}`, snapshotUuid }, options);
      const clone = await service.openVolume(uuid, options);
      for (let block = 0; block < clone.blockCount; block += pieceBlocks) {
        const blockCount = Math.min(pieceBlocks, clone.blockCount - block);
        await clone.deallocate({ ranges: [{ block, blockCount }] }, options);
      }
      await clone[Symbol.asyncDispose]();
      await service.deleteVolume(uuid, options);
      return snapshot;
    },
  });
}
