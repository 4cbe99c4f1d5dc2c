import { chunkBlocks } from "../../sut/store/port.ts";
import { nowAndThen } from "../chances.ts";
import type { TargetMutant } from "../mutant.ts";

/** A write is split where chunks meet, and its second part begins a block too early in the buffer. */
export const splitBoundary: TargetMutant = {
  level: "target",
  setting: "memory",
  // An extent is two chunks.
  config: { geometry: { volumeSize: "4MiB", extentSize: "512KiB" } },
  bug: (chance) => {
    const isWrong = nowAndThen(chance, { oneOf: 2, most: 3 });
    return {
      write: (volume, request, proceed) => {
        const { block, blockCount, from } = request;
        const firstCount = chunkBlocks - (block % chunkBlocks);
        if (firstCount >= blockCount || !isWrong()) {
          proceed(request);
          return;
        }
        const firstBytes = firstCount * volume.blockSizeBytes;
        const wrongBytes = firstBytes - volume.blockSizeBytes;
        const secondCount = blockCount - firstCount;
        proceed({ block, blockCount: firstCount, from: from.subarray(0, firstBytes) });
        proceed({
          block: block + firstCount,
          blockCount: secondCount,
          from: from.subarray(wrongBytes, wrongBytes + secondCount * volume.blockSizeBytes),
        });
      },
    };
  },
};
