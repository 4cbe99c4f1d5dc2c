import type { BlockDevice, BlockRange } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant, Scene } from "../mutant.ts";
import { holdsData, opening } from "../port-lies.ts";

/** Blocks that are zeroed together. */
const unitBlocks = 8;

/** Zeroing a range that is not aligned to 8 blocks zeroes all of the first, or of the last, of these units. */
export const zeroRangeEdges: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    geometry: { volumeSize: "512KiB" },
    operations: { weights: { deallocate: 0, deallocateTail: 0, deallocateExtent: 0 } },
  },
  service: (service, scene) => opening(service, { volume: (_, device) => roundsOutwards(device, scene) }),
};

function roundsOutwards(device: BlockDevice, scene: Scene): BlockDevice {
  const isRounded = nowAndThen(scene, { oneOf: 2, most: 20, after: 10 });
  return replaced(device, {
    writeZeroes: async (request, options) => {
      const rounded = outwards(request, device.blockCount);
      const end = request.block + request.blockCount;
      const neighbours = [
        { block: rounded.block, blockCount: request.block - rounded.block },
        { block: end, blockCount: rounded.block + rounded.blockCount - end },
      ];
      const held = await Promise.all(
        neighbours.map((range) => range.blockCount > 0 && holdsData(device, range)),
      );
      const range = held.includes(true) && isRounded() ? rounded : request;
      return device.writeZeroes({ ...request, ...range }, options);
    },
  });
}

function outwards({ block, blockCount }: BlockRange, volumeBlocks: number): BlockRange {
  const first = Math.floor(block / unitBlocks) * unitBlocks;
  const end = Math.min(volumeBlocks, Math.ceil((block + blockCount) / unitBlocks) * unitBlocks);
  return { block: first, blockCount: end - first };
}
