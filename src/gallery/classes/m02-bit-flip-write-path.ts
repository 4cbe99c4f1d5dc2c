import { flipBit, nthOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { onVolumes } from "../port-lies.ts";

/** One write in the middle of the run is stored with a bit flipped. */
export const bitFlipWritePath: PortMutant = {
  level: "port",
  setting: "memory",
  service: (service, scene) => {
    const isDamaged = nthOf(scene, { min: 100, max: 300 });
    return onVolumes(service, () => ({
      write: () => (isDamaged() ? { kind: "alter", alter: (bytes) => flipBit(scene, bytes) } : undefined),
    }));
  },
};
