import type { BlockDevice } from "../../sut/port.ts";
import { replaced } from "../../sut/replaced.ts";
import { between } from "../chances.ts";
import type { PortMutant, Scene } from "../mutant.ts";
import { opening } from "../port-lies.ts";

/** Values that vdbench's generation counter takes before it begins anew. */
const keyCount = 126;
/** The same where it is to happen in a short history. */
const keyCountEager = 2;
const blockCount = 16;

/** From some time on one block holds what was written to it 126, or 252, writes before. */
export const lostNMultiple: PortMutant = {
  level: "port",
  setting: "memory",
  config: {
    geometry: { volumeSize: blockCount * 512, extentSize: blockCount * 512, blockSize: 512 },
    window: { size: 1 },
    operations: {
      weights: { writeZeroes: 0, deallocate: 0, deallocateTail: 0, deallocateExtent: 0 },
    },
    // Most of the writes are never looked at.
    checks: { recent: { every: 0 }, sample: { every: 0 } },
    runner: { lts: 1000 },
  },
  service: (service, scene) => opening(service, { volume: (_, device) => fallsBehind(device, scene) }),
};

function fallsBehind(device: BlockDevice, scene: Scene): BlockDevice {
  const { blockSizeBytes: size } = device.capabilities;
  const { isEager = false } = scene;
  let block = isEager ? undefined : scene.choices.below(blockCount);
  const lag = isEager ? keyCountEager : keyCount * between(scene, { min: 1, max: 2 });
  const start = lag + (isEager ? 1 : between(scene, { min: 1, max: 40 }));
  /** The last of the block, oldest first. */
  const versions: Uint8Array[] = [];
  let writes = 0;
  return replaced(device, {
    write: (request, options) => {
      block ??= request.block;
      const at = (block - request.block) * size;
      if (at < 0 || at >= request.from.length) return device.write(request, options);
      versions.push(request.from.slice(at, at + size));
      if (versions.length > lag + 1) versions.shift();
      if (++writes < start) return device.write(request, options);
      scene.struck();
      const from = request.from.slice();
      from.set(versions[0]!, at);
      return device.write({ ...request, from }, options);
    },
  });
}
