/**
 * Somebody who reads what is stored, and believes it.
 *
 * With the checker switched off that looks at volumes, nobody in a run reads any, and no read could be wrong.
 *
 * @packageDocumentation
 */
import type { BlockDevice } from "../sut/port.ts";
import { replaced } from "../sut/replaced.ts";

/** A device of which the blocks of each write are read when it has completed. */
export function readBack(device: BlockDevice): BlockDevice {
  const { blockSizeBytes } = device.capabilities;
  return replaced(device, {
    write: async (request, options) => {
      const outcome = await device.write(request, options);
      const { block, blockCount } = request;
      await device.read({ block, blockCount, into: new Uint8Array(blockCount * blockSizeBytes) });
      return outcome;
    },
  });
}
