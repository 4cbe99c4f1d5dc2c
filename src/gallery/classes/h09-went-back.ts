import { delay } from "../../sut/clock.ts";
import { replaced } from "../../sut/replaced.ts";
import type { PortMutant } from "../mutant.ts";
import { type BlockLog, type Change, logged, opening } from "../port-lies.ts";

/** Most reads that lie. */
const liesMax = 200;
/** Turns for which a write stays under way after it has taken effect, so that there is time to look. */
const lateTurns = 100;

/** Beside a write, a read shows it; another read, that begins after the first has ended, shows what was there before. */
export const wentBack: PortMutant = {
  level: "port",
  setting: "jittery",
  config: {
    operations: { weights: { write: 90 } },
    reads: { perLts: { min: 1, max: 4 } },
    checks: {
      recent: { every: 0 },
      sample: { every: 0 },
      exhaustive: true,
      // Looks beside the writes as well, but asks nothing about order.
      visible: { every: 1, stateful: false },
    },
  },
  service: (service, scene) => {
    const { clock } = scene;
    const logs = new Map<string, BlockLog>();
    /** By the change that was shown: when the read that did was over. */
    const seen = new Map<Change, number>();
    let left = liesMax;
    const late = opening(service, {
      volume: (_, device) =>
        replaced(device, {
          write: async (request, options) => {
            const outcome = await device.write(request, options);
            await delay(clock, lateTurns, undefined);
            return outcome;
          },
        }),
    });
    return opening(logged(late, clock, logs), {
      volume: (uuid, device) => {
        const { blockSizeBytes: size } = device.capabilities;
        const log = logs.get(uuid)!;
        return replaced(device, {
          read: async (request, options) => {
            const began = clock.now();
            const outcome = await device.read(request, options);
            for (let index = 0; index < request.blockCount; index++) {
              const [before, last] = log.of(request.block + index).slice(-2);
              // The write is under way still, and nothing else is.
              if (before === undefined || last === undefined || before.completed >= last.submitted) continue;
              if (last.completed <= clock.now()) continue;
              const bytes = request.into.subarray(index * size, (index + 1) * size);
              const shownBy = seen.get(last);
              if (shownBy !== undefined && shownBy < began && left > 0) {
                left--;
                scene.struck();
                bytes.set(before.bytes);
              } else if (shownBy === undefined && Buffer.compare(bytes, last.bytes) === 0)
                seen.set(last, clock.now());
            }
            return outcome;
          },
        });
      },
    });
  },
};
