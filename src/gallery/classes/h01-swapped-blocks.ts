import { strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { afterWrites } from "../port-lies.ts";

/** Now and then two stored blocks change places. */
export const swappedBlocks: PortMutant = {
  level: "port",
  setting: "memory",
  // Any block can be one of the two, not only those visited last.
  config: { checks: { all: { every: 10 } } },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 3, apart: { min: 150, max: 200 } });
    return afterWrites(service, scene.clock, async ({ volume: { log, alter } }) => {
      if (!strikes.isDue()) return;
      const [a, b] = scene.choices.shuffled(log.dataBlocks);
      if (a === undefined || b === undefined) return;
      await alter(async (device) => {
        const { blockSizeBytes: size } = device.capabilities;
        const [first, second] = [new Uint8Array(size), new Uint8Array(size)];
        await device.read({ block: a, blockCount: 1, into: first });
        await device.read({ block: b, blockCount: 1, into: second });
        strikes.strike();
        await device.write({ block: a, blockCount: 1, from: second });
        return device.write({ block: b, blockCount: 1, from: first });
      });
    });
  },
};
