import { strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { replaced } from "../../sut/replaced.ts";
import { opening } from "../port-lies.ts";

/** Now and then the first half of a block is stored before the second, for a while in which it can be read. */
export const nonAtomicVisible: PortMutant = {
  level: "port",
  setting: "jittery",
  config: {
    reads: { perLts: { min: 4, max: 4 } },
    checks: {
      exhaustive: true,
      recent: { every: 0 },
      sample: { every: 0 },
      all: { every: 0, atEnd: false },
    },
  },
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 60, apart: { min: 2, max: 4 } });
    return opening(service, {
      volume: (_uuid, device) =>
        replaced(device, {
          write: async (request) => {
            if (!strikes.isDue()) return device.write(request);
            const size = device.capabilities.blockSizeBytes;
            const index = scene.choices.below(request.blockCount);
            const range = { block: request.block + index, blockCount: 1 };
            const bytes = new Uint8Array(size);
            const old = await device.read({ ...range, into: bytes });
            if (old.kind !== "ok") return device.write(request);
            bytes.set(request.from.subarray(index * size, index * size + size / 2));
            const half = await device.write({ ...range, from: bytes });
            if (half.kind !== "ok") return half;
            strikes.strike();
            return device.write(request);
          },
        }),
    });
  },
};
