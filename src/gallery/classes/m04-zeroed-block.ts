import { oneOf, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { afterWrites, isData } from "../port-lies.ts";

/** Now and then some stored block turns to zeros, on the medium, while others are written. */
export const zeroedBlock: PortMutant = {
  level: "port",
  setting: "memory",
  // Any block can be the one, not only those visited last.
  config: { checks: { all: { every: 3 } } },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 5, apart: { min: 120, max: 180 } });
    return afterWrites(service, scene.clock, async ({ volume: { log, alter } }) => {
      if (!strikes.isDue()) return;
      // One that was zeros before its last write would look as if that had been lost.
      const block = oneOf(
        scene,
        log.dataBlocks.filter((one) => isData(log.of(one).at(-2))),
      );
      if (block === undefined) return;
      strikes.strike();
      await alter((device) => device.writeZeroes({ block, blockCount: 1 }));
    });
  },
};
