/**
 * Runs on volumes that promise nothing of deallocated blocks, and do with them what dm-thin does: a chunk that is
 * deallocated as a whole reads as zeros from then on, one that is not is left as it was.
 *
 * @packageDocumentation
 */
import { describe, expect, test } from "vitest";
import { opening } from "../../src/gallery/port-lies.ts";
import { describeViolation } from "../../src/model/violation.ts";
import type { BlockRange, VolumeService } from "../../src/sut/port.ts";
import { replaced } from "../../src/sut/replaced.ts";
import { memoryRun } from "../support/memory-run.ts";
import { randomRun, type Trouble } from "../support/random-run.ts";

const chunkBlocks = 16;

/** The whole chunks within a range. */
function wholeChunks({ block, blockCount }: BlockRange, volumeBlocks: number): BlockRange {
  const first = Math.ceil(block / chunkBlocks) * chunkBlocks;
  const end = block + blockCount;
  const last = end === volumeBlocks ? end : end - (end % chunkBlocks);
  return { block: first, blockCount: Math.max(0, last - first) };
}

/** Clones keep to what they are asked: a run expects zeros of what it deallocated of them itself. */
function thin(service: VolumeService): VolumeService {
  const clones = new Set<string>();
  const cloning = replaced(service, {
    cloneSnapshot: async (request) => {
      const clone = await service.cloneSnapshot(request);
      clones.add(clone.uuid);
      return clone;
    },
  });
  return opening(cloning, {
    volume: (uuid, device) =>
      replaced(device, {
        capabilities: { ...device.capabilities, deallocatedReads: "unreported" },
        deallocate: ({ ranges }) => {
          if (clones.has(uuid)) return device.deallocate({ ranges });
          const whole = ranges.map((range) => wholeChunks(range, device.blockCount));
          return device.deallocate({ ranges: whole.filter(({ blockCount }) => blockCount > 0) });
        },
      }),
  });
}

/** With many more deallocations, of which some are of whole chunks. */
function thinRun(seed: bigint, trouble: Trouble) {
  const { config, jitter } = randomRun(seed, trouble);
  const extentBlocks =
    Number(/extentSize: (\d+)/.exec(config)![1]) / Number(/blockSize: (\d+)/.exec(config)![1]);
  const blocks = Math.min(extentBlocks, [24, 40, 64][Number(seed % 3n)]!);
  const more = config
    .replace("weights: {", "weights: { deallocate: 20, deallocateTail: 6, deallocateExtent: 4,")
    .replace(/blocks: \{ max: \d+ \}/, (found) => (seed % 2n === 0n ? found : `blocks: { max: ${blocks} }`))
    .replace(/precision: \w+/, "precision: covering")
    .replace("secondVolume: true", "secondVolume: false");
  return memoryRun({ seed, config: more, jitter, wrap: thin });
}

const troubles: readonly Trouble[] = [
  { hasLosses: true },
  { hasLosses: true, hasCrashes: true },
  { hasLosses: true, hasCrashes: true, hasVolatileCache: true },
  {},
];

const count = Number(process.env.ADVICE_SEEDS ?? 20);
const from = Number(process.env.ADVICE_FROM ?? 1);

describe("a run on a thin volume of which deallocation is advice", () => {
  test.for(Array.from({ length: count }, (_, index) => BigInt(from + index)))(
    "raises no alarm (seed %d)",
    async (seed) => {
      const result = await thinRun(seed, troubles[Number(seed % 4n)]!);
      expect(result.violations.map(describeViolation)).toEqual([]);
      expect(result.crash).toBeUndefined();
      expect(result.targetFailure).toBeUndefined();
      expect(result.verdict).toBe("consistent");
    },
  );
});
