import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { opening } from "../port-lies.ts";
import { ok } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";

/** A fused compare-and-write says the opposite of what its compare found, and writes nothing. */
export const falseCompare: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    operations: { weights: { compareAndWrite: 20, compareAndWriteMiss: 10 } },
    checks: { compare: true },
  },
  service: (service, scene) => {
    const isLie = nowAndThen(scene, { oneOf: 4, most: 5 });
    return opening(service, {
      volume: (_, device) =>
        replaced(device, {
          compareAndWrite: async (request, options) => {
            if (!isLie()) return device.compareAndWrite(request, options);
            const compared = await device.compare(request, options);
            return compared.kind === "ok"
              ? { kind: "failed", code: "ERR_COMPARE_FAILED", message: "Compare Failure" }
              : ok;
          },
        }),
    });
  },
};
