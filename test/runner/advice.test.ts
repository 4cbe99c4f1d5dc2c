/**
 * Runs on volumes that promise nothing of deallocated blocks, and do with them what dm-thin does: a chunk that is
 * deallocated as a whole reads as zeros from then on, one that is not is left as it was.
 *
 * @packageDocumentation
 */
import { describe, expect, test } from "vitest";
import { opening } from "../../src/gallery/port-lies.ts";
import { describeViolation } from "../../src/model/violation.ts";
import type { BlockDevice, BlockRange, Outcome, VolumeService } from "../../src/sut/port.ts";
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

function thin(service: VolumeService, lie?: Lie): VolumeService {
  return opening(service, {
    volume: (_, device) => {
      const advised = replaced(device, {
        capabilities: { ...device.capabilities, deallocatedReads: "unreported" },
        deallocate: ({ ranges }) => {
          const whole = ranges.map((range) => wholeChunks(range, device.blockCount));
          return device.deallocate({ ranges: whole.filter(({ blockCount }) => blockCount > 0) });
        },
      });
      return lie === undefined ? advised : lying(advised, lie);
    },
  });
}

/** What comes, once a block that was deallocated has been read: what it held before, or zeros at last. */
interface Lie {
  readonly comes: "old data" | "zeros";
  struck: boolean;
}

/** The first blocks that are deallocated, and read, are read otherwise after that. */
function lying(device: BlockDevice, lie: Lie): BlockDevice {
  const { blockSizeBytes: size } = device.capabilities;
  const before = new Map<number, { readonly bytes: Uint8Array; isShown: boolean }>();
  const forget = ({ block, blockCount }: BlockRange): void => {
    for (let one = block; one < block + blockCount; one++) before.delete(one);
  };
  const forgetting = <Request extends BlockRange>(act: (request: Request) => Promise<Outcome>) => {
    return (request: Request): Promise<Outcome> => {
      forget(request);
      return act(request);
    };
  };
  return replaced(device, {
    write: forgetting((request) => device.write(request)),
    writeZeroes: forgetting((request) => device.writeZeroes(request)),
    compareAndWrite: forgetting((request) => device.compareAndWrite(request)),
    deallocate: async (request) => {
      const range = request.ranges[0]!;
      forget(range);
      const into = new Uint8Array(range.blockCount * size);
      await device.read({ ...range, into });
      const outcome = await device.deallocate(request);
      for (let index = 0; index < range.blockCount; index++) {
        const bytes = into.slice(index * size, (index + 1) * size);
        if (bytes.some((byte) => byte !== 0)) before.set(range.block + index, { bytes, isShown: false });
      }
      return outcome;
    },
    read: async (request) => {
      const known = [...before].filter(([, { isShown }]) => isShown).map(([block]) => block);
      const outcome = await device.read(request);
      for (let index = 0; index < request.blockCount; index++) {
        const one = before.get(request.block + index);
        if (one === undefined) continue;
        const at = request.into.subarray(index * size, (index + 1) * size);
        const isZeros = at.every((byte) => byte === 0);
        if (isZeros !== (lie.comes === "old data")) continue;
        if (!known.includes(request.block + index)) {
          one.isShown = true;
          continue;
        }
        at.set(lie.comes === "zeros" ? new Uint8Array(size) : one.bytes);
        lie.struck = true;
      }
      return outcome;
    },
  });
}

/** With many more deallocations, of which some are of whole chunks. */
function thinRun(seed: bigint, trouble: Trouble, lie?: Lie) {
  const { config, jitter } = randomRun(seed, trouble);
  const extentBlocks =
    Number(/extentSize: (\d+)/.exec(config)![1]) / Number(/blockSize: (\d+)/.exec(config)![1]);
  const blocks = Math.min(extentBlocks, [24, 40, 64][Number(seed % 3n)]!);
  const more = config
    .replace("weights: {", "weights: { deallocate: 20, deallocateTail: 6, deallocateExtent: 4,")
    .replace(/blocks: \{ max: \d+ \}/, (found) => (seed % 2n === 0n ? found : `blocks: { max: ${blocks} }`))
    .replace(/precision: \w+/, "precision: covering");
  return memoryRun({ seed, config: more, jitter, wrap: (service) => thin(service, lie) });
}

const troubles: readonly Trouble[] = [
  { hasLosses: true },
  { hasLosses: true, hasCrashes: true },
  { hasLosses: true, hasCrashes: true, hasVolatileCache: true },
  {},
];

/** `ADVICE_SEEDS=200 npx vitest run test/runner/advice.test.ts` is the long way. */
const seedCount = Number(process.env.ADVICE_SEEDS ?? 20);
const seeds = (count: number): readonly bigint[] =>
  Array.from({ length: count }, (_, index) => BigInt(index + 1));

describe("a run on a thin volume of which deallocation is advice", () => {
  test.for(seeds(seedCount))("raises no alarm (seed %d)", async (seed) => {
    const result = await thinRun(seed, troubles[Number(seed % 4n)]!);
    expect(result.violations.map(describeViolation)).toEqual([]);
    expect(result.crash).toBeUndefined();
    expect(result.targetFailure).toBeUndefined();
    expect(result.verdict).toBe("consistent");
  });

  test.for(["old data", "zeros"] as const)("catches %s that come after the other was read", async (comes) => {
    let struckCount = 0;
    for (const seed of seeds(8)) {
      const lie = { comes, struck: false };
      const { verdict } = await thinRun(seed, {}, lie);
      expect(verdict).toBe(lie.struck ? "violation" : "consistent");
      if (lie.struck) struckCount++;
    }
    expect(struckCount).toBeGreaterThan(4);
  });
});
