import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { replaced } from "../../sut/replaced.ts";
import { type BlockLog, type Change, InFlight, logged, opening } from "../port-lies.ts";

/** Blocks that are cached together. */
const pageBlocks = 8;

/** The first read after a write shows what the cache still has of the time before it, if its page is being written to. */
export const staleCacheRead: PortMutant = {
  level: "port",
  setting: "jittery",
  config: {
    reads: { perLts: { min: 1, max: 4 } },
    checks: {
      recent: { every: 20 },
      exhaustive: true,
      // Looks beside the writes as well, but asks nothing about order.
      visible: { every: 5, stateful: false },
    },
  },
  service: (service, scene) => {
    const { clock } = scene;
    const logs = new Map<string, BlockLog>();
    const isStale = nowAndThen(scene, { oneOf: 2, most: 20 });
    return opening(logged(service, clock, logs), {
      volume: (uuid, device) => {
        const { blockSizeBytes: size } = device.capabilities;
        const log = logs.get(uuid)!;
        const writes = new InFlight();
        /** What the cache has. */
        const cached = new WeakSet<Change>();
        const staleBytes = (block: number): Uint8Array | undefined => {
          const [before, last] = log.of(block).slice(-2);
          if (last === undefined || last.completed >= clock.now() || cached.has(last)) return undefined;
          cached.add(last);
          const isLie =
            !isZeros(last.bytes) && writes.hasNear({ block, blockCount: 1 }, pageBlocks) && isStale();
          return isLie ? before!.bytes : undefined;
        };
        return replaced(device, {
          write: (request, options) => writes.during([request], () => device.write(request, options)),
          read: async (request, options) => {
            const { block, blockCount } = request;
            const stale = Array.from({ length: blockCount }, (_, index) => staleBytes(block + index));
            const outcome = await device.read(request, options);
            for (const [index, bytes] of stale.entries())
              if (bytes !== undefined) request.into.set(bytes, index * size);
            return outcome;
          },
        });
      },
    });
  },
};
