import { withDeviceFaults } from "../../sut/faults.ts";
import { between, nthOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { opening } from "../port-lies.ts";

/** Of one write of several blocks the first are stored, the others are not. */
export const tornMultiblock: PortMutant = {
  level: "port",
  setting: "memory",
  service: (service, scene) => {
    const isTorn = nthOf(scene, { min: 100, max: 200 });
    return opening(service, {
      volume: (_uuid, device) =>
        withDeviceFaults(device, {
          write: ({ blockCount }) => {
            if (blockCount === 1 || !isTorn()) return undefined;
            const storedCount = between(scene, { min: 1, max: blockCount - 1 });
            return { kind: "tear", lengthBytes: storedCount * device.capabilities.blockSizeBytes };
          },
        }),
    });
  },
};
