import { flipBit, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { onVolumes } from "../port-lies.ts";

/** One read of data in the middle of the run returns it with a bit flipped. */
export const bitFlipReadPath: PortMutant = {
  level: "port",
  setting: "memory",
  isOfReads: true,
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 1, apart: { min: 100, max: 300 } });
    return onVolumes(service, () => ({
      read: (_range, bytes) => {
        if (!strikes.isDue() || isZeros(bytes)) return;
        strikes.strike();
        flipBit(scene, bytes);
      },
    }));
  },
};
