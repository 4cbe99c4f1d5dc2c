import { oneOf, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { type BlockLog, logged, onVolumes } from "../port-lies.ts";

/** Now and then a write lands on other blocks of the volume. */
export const misdirectedWrite: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    // Where it is missing and where it lands may be one extent, of which no more than eight blocks are explained.
    operations: { blocks: { max: 4 } },
    // Where it lands need not be visited again soon; where it is missing is reported again and again.
    checks: { recent: { every: 0 }, all: { every: 3 } },
    runner: { stopAfterViolations: 100 },
  },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 5, apart: { min: 120, max: 180 } });
    const logs = new Map<string, BlockLog>();
    const misdirected = onVolumes(service, (uuid) => ({
      write: ({ blockCount }) => {
        if (!strikes.isDue()) return undefined;
        // Its own blocks are under way, and are none of these.
        const others = new Set(logs.get(uuid)!.dataBlocks);
        const block = oneOf(
          scene,
          [...others].filter((first) => hasAll(others, first, blockCount)),
        );
        if (block === undefined) return undefined;
        strikes.strike();
        return { kind: "redirect", block };
      },
    }));
    return logged(misdirected, scene.clock, logs);
  },
};

function hasAll(blocks: ReadonlySet<number>, first: number, count: number): boolean {
  for (let block = first; block < first + count; block++) if (!blocks.has(block)) return false;
  return true;
}
