import { nthOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { onVolumes } from "../port-lies.ts";

/** One write in the middle of the run is dropped. */
export const lostWrite: PortMutant = {
  level: "port",
  setting: "memory",
  service: (service, scene) => {
    const isLost = nthOf(scene, { min: 100, max: 300 });
    return onVolumes(service, () => ({ write: () => (isLost() ? { kind: "drop" } : undefined) }));
  },
};
