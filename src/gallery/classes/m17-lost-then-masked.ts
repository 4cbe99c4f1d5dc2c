import { nthOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { onVolumes } from "../port-lies.ts";

/** One write is dropped; each block is written so often that none of what it lost is left to be seen at the end. */
export const lostThenMasked: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    geometry: { volumeSize: "128KiB", extentSize: "32KiB" },
    reads: { preRead: "1/1" },
    checks: { recent: { every: 0 }, sample: { every: 0 } },
  },
  service: (service, scene) => {
    const isLost = nthOf(scene, { min: 50, max: 200 });
    return onVolumes(service, () => ({ write: () => (isLost() ? { kind: "drop" } : undefined) }));
  },
};
