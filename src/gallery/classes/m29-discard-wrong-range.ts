import type { BlockRange } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant } from "../mutant.ts";
import { holdsData, opening, shareUnit } from "../port-lies.ts";

/** Some deallocations of blocks that hold data go to as many others instead. */
export const discardWrongRange: PortMutant = {
  level: "port",
  setting: "memory",
  config: { operations: { weights: { deallocate: 15 } } },
  service: (service, scene) => {
    const isWrong = nowAndThen(scene, { oneOf: 4, most: 10 });
    return opening(service, {
      volume: (_, device) => {
        const elsewhere = async (range: BlockRange): Promise<BlockRange> => {
          const { blockCount } = range;
          const other = { block: scene.choices.below(device.blockCount - blockCount + 1), blockCount };
          const isEffective =
            !shareUnit(range, other, 1) &&
            (await holdsData(device, range)) &&
            (await holdsData(device, other));
          return isEffective && isWrong() ? other : range;
        };
        return replaced(device, {
          deallocate: async (request, options) =>
            device.deallocate({ ranges: await Promise.all(request.ranges.map(elsewhere)) }, options),
        });
      },
    });
  },
};
