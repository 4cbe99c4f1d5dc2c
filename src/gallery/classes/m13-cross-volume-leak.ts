import { oneOf, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { afterWrites } from "../port-lies.ts";

/** Now and then a block that is written to one volume is stored on the other one as well, at the same address. */
export const crossVolumeLeak: PortMutant = {
  level: "port",
  setting: "memory",
  config: { geometry: { volumes: 2, volumeSize: "1MiB" }, checks: { all: { every: 3 } } },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 5, apart: { min: 120, max: 180 } });
    return afterWrites(service, scene.clock, async ({ volume, range, others }) => {
      if (!strikes.isDue()) return;
      const other = oneOf(scene, others);
      const block = range.block + scene.choices.below(range.blockCount);
      if (other === undefined || !other.log.dataBlocks.includes(block)) return;
      strikes.strike();
      const from = volume.log.of(block).at(-1)!.bytes;
      await other.alter((device) => device.write({ block, blockCount: 1, from }));
    });
  },
};
