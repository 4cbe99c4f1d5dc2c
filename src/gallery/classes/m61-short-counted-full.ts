import { sectorBytes } from "../../generators/content.ts";
import { withDeviceFaults } from "../../sut/faults.ts";
import { between, nthOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { opening } from "../port-lies.ts";

/** Of one write only so many sectors are stored, which end inside a block, and all of it is acknowledged. */
export const shortCountedFull: PortMutant = {
  level: "port",
  setting: "memory",
  service: (service, scene) => {
    const isShort = nthOf(scene, { min: 100, max: 300 });
    return opening(service, {
      volume: (_uuid, device) => {
        const sectorsPerBlock = device.capabilities.blockSizeBytes / sectorBytes;
        return withDeviceFaults(device, {
          write: ({ blockCount }) => {
            if (!isShort()) return undefined;
            const whole = between(scene, { min: 0, max: blockCount - 1 }) * sectorsPerBlock;
            const sectorCount = whole + between(scene, { min: 1, max: sectorsPerBlock - 1 });
            return { kind: "tear", lengthBytes: sectorCount * sectorBytes };
          },
        });
      },
    });
  },
};
