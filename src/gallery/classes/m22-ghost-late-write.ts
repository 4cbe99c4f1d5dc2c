import { delay } from "../../sut/clock.ts";
import type { BlockRange, Outcome } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { opening, shareUnit } from "../port-lies.ts";

/** On the run's clock. */
const timeoutMs = 30;
const lateMsMax = 20;

const timedOut: Outcome = { kind: "unknown", code: "ERR_TIMEOUT", message: "no completion in time" };

/** Some writes time out, and reach the volume when newer ones of the same blocks have completed. */
export const ghostLateWrite: PortMutant = {
  level: "port",
  setting: "jittery",
  // That a write times out is not what is to be noticed.
  config: { checks: { liveness: false } },
  service: (service, scene) => {
    const { clock, choices } = scene;
    return opening(service, {
      volume: (_, device) => {
        const isLate = nowAndThen({ choices, struck: () => {} }, { oneOf: 20, most: 20 });
        const onTheWay = new Set<BlockRange & { readonly from: Uint8Array }>();
        return replaced(device, {
          write: async (request, options) => {
            if (isLate()) {
              await delay(clock, timeoutMs, undefined);
              onTheWay.add({ ...request, from: request.from.slice() });
              return timedOut;
            }
            const outcome = await device.write(request, options);
            for (const ghost of onTheWay)
              if (shareUnit(ghost, request, 1)) {
                onTheWay.delete(ghost);
                scene.struck();
                clock.setTimeout(() => void device.write(ghost), 1 + choices.below(lateMsMax));
              }
            return outcome;
          },
        });
      },
    });
  },
};
