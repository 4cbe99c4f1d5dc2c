import { oneOf, strangeBytes, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { afterWrites } from "../port-lies.ts";

/** How far from a write the data appears, in blocks. */
const nearBlocks = 16;

/** Now and then data that nobody wrote appears where nothing was ever written, near a write. */
export const extraData: PortMutant = {
  level: "port",
  setting: "memory",
  // Few operations, so that there are blocks left that none has reached.
  config: { window: { slideAfterRepeats: 1 }, checks: { all: { every: 10 } } },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 3, apart: { min: 20, max: 40 } });
    return afterWrites(service, scene.clock, async ({ volume: { log, alter }, range }) => {
      if (!strikes.isDue()) return;
      const known = new Set(log.blocks);
      // The extent of the write: what is not reached yet is looked at before it is used.
      const first = range.block - (range.block % nearBlocks);
      const free = Array.from({ length: nearBlocks }, (_, index) => first + index).filter(
        (block) => !known.has(block),
      );
      const block = oneOf(scene, free);
      if (block === undefined) return;
      strikes.strike();
      await alter((device) =>
        device.write({
          block,
          blockCount: 1,
          from: strangeBytes(scene, device.capabilities.blockSizeBytes),
        }),
      );
    });
  },
};
