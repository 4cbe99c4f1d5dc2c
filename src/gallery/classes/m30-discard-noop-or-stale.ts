import { ok } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { holdsData, opening } from "../port-lies.ts";

/** Some deallocations of blocks that hold data change nothing, on a device that says that deallocated blocks are zeros. */
export const discardNoop: PortMutant = {
  level: "port",
  setting: "memory",
  config: { operations: { weights: { deallocate: 15 } } },
  service: (service, scene) => {
    const isIgnored = nowAndThen(scene, { oneOf: 4, most: 10 });
    return opening(service, {
      volume: (_, device) =>
        replaced(device, {
          deallocate: async (request, options) => {
            const held = await Promise.all(request.ranges.map((range) => holdsData(device, range)));
            return held.includes(true) && isIgnored() ? ok : device.deallocate(request, options);
          },
        }),
    });
  },
};
