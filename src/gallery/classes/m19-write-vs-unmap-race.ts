import { ok } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { chunkBlocks } from "../../sut/store/port.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { InFlight, opening } from "../port-lies.ts";

/** A write that comes while other blocks of its chunk are being deallocated is acknowledged and dropped. */
export const writeVersusUnmapRace: PortMutant = {
  level: "port",
  setting: "jittery",
  config: {
    // Many extents in turns, so that little is overwritten before it is looked at.
    window: { size: 16 },
    operations: { weights: { deallocate: 20 } },
    checks: { recent: { every: 1, extents: 8 } },
  },
  service: (service, scene) => {
    const isDropped = nowAndThen(scene, { oneOf: 6, most: 20 });
    return opening(service, {
      volume: (_, device) => {
        const deallocations = new InFlight();
        return replaced(device, {
          deallocate: (request, options) =>
            deallocations.during(request.ranges, () => device.deallocate(request, options)),
          write: (request, options) =>
            deallocations.hasNear(request, chunkBlocks) && isDropped()
              ? Promise.resolve(ok)
              : device.write(request, options),
        });
      },
    });
  },
};
