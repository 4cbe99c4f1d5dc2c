import type { BlockDevice, BlockRange } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { chunkBlocks } from "../../sut/store/port.ts";
import { nowAndThen } from "../chances.ts";
import type { PortMutant, Scene } from "../mutant.ts";
import { isZeros } from "../bytes.ts";
import { type BlockLog, type Change, logged, opening, shareUnit } from "../port-lies.ts";

/** A deallocation zeroes what was written to fresh blocks of its chunk while it was in flight. */
export const discardVersusReprovision: PortMutant = {
  level: "port",
  setting: "jittery",
  config: {
    // Extents of whole chunks, so that nobody looks while a chunk is being deallocated; many of them in turns, so that
    // little is overwritten before it is looked at.
    geometry: { volumeSize: "512KiB", extentSize: "32KiB", blockSize: 512 },
    window: { size: 16 },
    operations: { weights: { deallocate: 30 } },
    checks: { recent: { every: 1, extents: 8 } },
  },
  service: (service, scene) => {
    const logs = new Map<string, BlockLog>();
    return logged(
      opening(service, { volume: (uuid, device) => zeroesFresh(device, () => logs.get(uuid)!, scene) }),
      scene.clock,
      logs,
    );
  },
};

interface Deallocation {
  readonly ranges: readonly BlockRange[];
  /** Writes to blocks of the same chunk that held nothing before. */
  readonly writes: FreshWrite[];
}

interface FreshWrite extends BlockRange {
  /** By block. */
  readonly changes: readonly Change[];
}

function zeroesFresh(device: BlockDevice, log: () => BlockLog, scene: Scene): BlockDevice {
  const isHit = nowAndThen(scene, { oneOf: 1, most: 30 });
  const inFlight = new Set<Deallocation>();
  return replaced(device, {
    write: (request, options) => {
      const { block, blockCount } = request;
      const histories = Array.from({ length: blockCount }, (_, index) => log().of(block + index));
      const isFresh = histories.every((changes) => changes.length < 2 || isZeros(changes.at(-2)!.bytes));
      for (const { ranges, writes } of inFlight)
        if (isFresh && ranges.some((range) => shareUnit(range, request, chunkBlocks)))
          writes.push({ block, blockCount, changes: histories.map((changes) => changes.at(-1)!) });
      return device.write(request, options);
    },
    deallocate: async (request, options) => {
      const deallocation: Deallocation = { ranges: request.ranges, writes: [] };
      inFlight.add(deallocation);
      const outcome = await device.deallocate(request, options);
      inFlight.delete(deallocation);
      for (const { block, blockCount, changes } of deallocation.writes) {
        const isStanding = changes.every(
          (change, index) =>
            change.completed <= scene.clock.now() &&
            log()
              .of(block + index)
              .at(-1) === change,
        );
        if (isStanding && isHit()) await device.deallocate({ ranges: [{ block, blockCount }] });
      }
      return outcome;
    },
  });
}
