import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { replaced } from "../../sut/replaced.ts";
import { opening } from "../port-lies.ts";

/** A write is refused, certainly without effect, and is stored all the same. */
export const refusedWriteStored: PortMutant = {
  level: "port",
  setting: "memory",
  service: (service, scene) => {
    const isLie = nowAndThen(scene, { oneOf: 50, most: 5, after: 50 });
    return opening(service, {
      volume: (_, device) =>
        replaced(device, {
          write: async (request, options) => {
            const outcome = await device.write(request, options);
            return outcome.kind === "ok" && isLie()
              ? { kind: "failed", code: "ERR_CAPACITY", message: "Capacity Exceeded" }
              : outcome;
          },
        }),
    });
  },
};
