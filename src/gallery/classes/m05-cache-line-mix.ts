import { between, oneOf, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { type BlockLog, logged, onVolumes } from "../port-lies.ts";

const lineBytes = 64;
/** Pieces come from an offset that is the same modulo this. */
const distanceBytes = 8192;
const linesMax = 8;

/** Some cache lines of a block are stored as those of another block, at the same offset. */
export const cacheLineMix: PortMutant = {
  level: "port",
  setting: "memory",
  service: (service, scene) => {
    const { choices, clock } = scene;
    const strikes = strikesOf(scene, { count: 1, apart: { min: 150, max: 300 } });
    const logs = new Map<string, BlockLog>();
    const damaged = onVolumes(service, (uuid) => ({
      write: ({ block, blockCount }) => {
        if (!strikes.isDue()) return undefined;
        const log = logs.get(uuid)!;
        const index = choices.below(blockCount);
        const size = log.of(block)[0]!.bytes.length;
        const stride = Math.max(1, distanceBytes / size);
        // The blocks of the write itself are under way, and are none of these.
        const other = oneOf(
          scene,
          log.dataBlocks.filter((one) => (one - block - index) % stride === 0),
        );
        if (other === undefined) return undefined;
        const others = log.of(other).at(-1)!.bytes;
        strikes.strike();
        return {
          kind: "alter",
          alter: (bytes) => {
            const lines = choices.shuffled([...Array(size / lineBytes).keys()]);
            for (const line of lines.slice(0, between(scene, { min: 1, max: linesMax }))) {
              const at = line * lineBytes;
              bytes.set(others.subarray(at, at + lineBytes), index * size + at);
            }
          },
        };
      },
    }));
    return logged(damaged, clock, logs);
  },
};
