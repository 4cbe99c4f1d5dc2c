import { flipBit, oneOf, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { afterWrites } from "../port-lies.ts";

/** Now and then a bit of some stored block flips, on the medium, while others are written. */
export const bitFlipRest: PortMutant = {
  level: "port",
  setting: "memory",
  // Any block can be the one, not only those visited last.
  config: { checks: { all: { every: 3 } } },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 5, apart: { min: 120, max: 180 } });
    return afterWrites(service, scene.clock, async ({ volume: { log, alter } }) => {
      if (!strikes.isDue()) return;
      const block = oneOf(scene, log.dataBlocks);
      if (block === undefined) return;
      await alter(async (device) => {
        const bytes = new Uint8Array(device.capabilities.blockSizeBytes);
        const read = await device.read({ block, blockCount: 1, into: bytes });
        if (read.kind !== "ok") return read;
        flipBit(scene, bytes);
        strikes.strike();
        return device.write({ block, blockCount: 1, from: bytes });
      });
    });
  },
};
