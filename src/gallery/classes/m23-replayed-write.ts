import type { BlockDevice, BlockRange } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant, Scene } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { type BlockLog, type Change, logged, opening } from "../port-lies.ts";

/** A write is delivered again when each of its blocks has been changed at least twice since. */
export const replayedWrite: PortMutant = {
  level: "port",
  setting: "memory",
  config: { geometry: { volumeSize: "512KiB" } },
  service: (service, scene) => {
    const logs = new Map<string, BlockLog>();
    return logged(
      opening(service, { volume: (uuid, device) => replays(device, () => logs.get(uuid)!, scene) }),
      scene.clock,
      logs,
    );
  },
};

/** A write that may be delivered again. */
interface Kept extends BlockRange {
  readonly from: Uint8Array;
  /** By block. */
  readonly changes: readonly Change[];
}

function replays(device: BlockDevice, log: () => BlockLog, scene: Scene): BlockDevice {
  const isKept = nowAndThen({ ...scene, struck: () => {} }, { oneOf: 20, most: 20 });
  const kept = new Set<Kept>();
  const isOutdated = ({ block, changes }: Kept): boolean =>
    changes.every((change, index) => {
      const all = log().of(block + index);
      return all.length - all.indexOf(change) > 2 && !isZeros(all.at(-1)!.bytes);
    });
  return replaced(device, {
    write: async (request, options) => {
      const { block, blockCount } = request;
      const changes = Array.from(
        { length: blockCount },
        (_, index) =>
          log()
            .of(block + index)
            .at(-1)!,
      );
      const outcome = await device.write(request, options);
      for (const old of kept)
        if (isOutdated(old)) {
          kept.delete(old);
          scene.struck();
          await device.write(old);
        }
      if (isKept()) kept.add({ block, blockCount, from: request.from.slice(), changes });
      return outcome;
    },
  });
}
