import type { BlockDevice, BlockRange } from "../../sut/port.ts";
import { ok } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { chunkBlocks } from "../../sut/store/port.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant, Scene } from "../mutant.ts";
import { InFlight, opening } from "../port-lies.ts";

/** Of two first writes to a chunk in flight together, the second goes to a chunk that no mapping leads to. */
export const allocRace: PortMutant = {
  level: "port",
  setting: "jittery",
  config: {
    geometry: { volumeSize: "2MiB", extentSize: "32KiB", blockSize: 512 },
    operations: { perBatch: { min: 3, max: 4 } },
  },
  service: (service, scene) => opening(service, { volume: (_, device) => allocates(device, scene) }),
};

function allocates(device: BlockDevice, scene: Scene): BlockDevice {
  const isLost = nowAndThen(scene, { oneOf: 2, most: 30 });
  const allocated = new Set<number>();
  const allocating = new InFlight();
  const chunkOf = ({ block }: BlockRange): number => Math.floor(block / chunkBlocks);
  return replaced(device, {
    write: async (request, options) => {
      const chunk = chunkOf(request);
      if (allocated.has(chunk)) return device.write(request, options);
      if (allocating.hasNear(request, chunkBlocks) && isLost()) return ok;
      const outcome = await allocating.during([request], () => device.write(request, options));
      allocated.add(chunk);
      return outcome;
    },
  });
}
