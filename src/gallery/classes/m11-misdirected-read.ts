import { oneOf, strikesOf } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { replaced } from "../../sut/replaced.ts";
import { type BlockLog, logged, opening } from "../port-lies.ts";

/** One read in the middle of the run returns the data of another block in the place of that of one of its own. */
export const misdirectedRead: PortMutant = {
  level: "port",
  setting: "memory",
  isOfReads: true,
  service: (service, scene) => {
    const strikes = strikesOf(scene, { count: 1, apart: { min: 100, max: 300 } });
    const logs = new Map<string, BlockLog>();
    const misdirected = opening(service, {
      volume: (uuid, device) =>
        replaced(device, {
          read: async (request) => {
            const outcome = await device.read(request);
            if (outcome.kind !== "ok" || !strikes.isDue()) return outcome;
            const wanted = request.block + scene.choices.below(request.blockCount);
            const blocks = logs.get(uuid)!.dataBlocks;
            const block = oneOf(
              scene,
              blocks.filter((one) => one !== wanted),
            );
            if (block === undefined || !blocks.includes(wanted)) return outcome;
            strikes.strike();
            const size = device.capabilities.blockSizeBytes;
            const at = (wanted - request.block) * size;
            return device.read({ block, blockCount: 1, into: request.into.subarray(at, at + size) });
          },
        }),
    });
    return logged(misdirected, scene.clock, logs);
  },
};
