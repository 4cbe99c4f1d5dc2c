import { describe, expect, test } from "vitest";
import { describeViolation } from "../../src/model/violation.ts";
import { memoryRun } from "../support/memory-run.ts";
import { randomRun, type Trouble } from "../support/random-run.ts";

/** A run that comes to a stand is an error; see `src/gallery/jittery/clock.ts`. */
async function expectConsistent(seed: bigint, trouble: Trouble) {
  const result = await memoryRun({ seed, ...randomRun(seed, trouble) });
  expect(result.violations.map(describeViolation)).toEqual([]);
  expect(result.crash).toBeUndefined();
  expect(result.targetFailure).toBeUndefined();
  expect(result.verdict).toBe("consistent");
  return result;
}

const seeds = (count: number): readonly bigint[] =>
  Array.from({ length: count }, (_, index) => BigInt(index + 1));

describe("a run on a target that keeps its word, at random instants", () => {
  test.for(seeds(8))("raises no alarm (seed %d)", async (seed) => {
    await expectConsistent(seed, {});
  });

  test.for(seeds(8))("raises none when connections are lost (seed %d)", async (seed) => {
    const { ledger } = await expectConsistent(seed, { hasLosses: true });
    expect(ledger.operationsInDoubt).toBeGreaterThan(0);
  });

  test.for(seeds(8))("raises none when the target crashes (seed %d)", async (seed) => {
    await expectConsistent(seed, { hasCrashes: true, hasLosses: true });
  });

  test.for(seeds(8))("raises none when a volatile cache is lost (seed %d)", async (seed) => {
    await expectConsistent(seed, {
      hasCrashes: true,
      hasLosses: true,
      hasVolatileCache: true,
      hasSnapshots: false,
    });
  });

  test.for(seeds(8))(
    "raises none when a volatile cache is lost between snapshots (seed %d)",
    async (seed) => {
      await expectConsistent(seed, { hasCrashes: true, hasLosses: true, hasVolatileCache: true });
    },
  );

  // A write that a crash has dropped was made all the same: a diff may report its blocks, whatever they hold now.
  test("accepts diffs that report what was written after the base, and dropped by a crash", async () => {
    const config = `
geometry: { blockSize: 512, volumeSize: 32KiB, extentSize: 16KiB }
operations: { blocks: { max: 4 }, weights: { flush: 0, compareAndWrite: 0, compareAndWriteMiss: 0 } }
reads: { perLts: { max: 0 }, preRead: 0/1 }
snapshots: { every: 6, clones: 0/1 }
faults: { crash: { every: 9 } }
runner: { kind: sequential, lts: 60 }
target: { kind: embedded, directory: nowhere, volatileCache: true }
`;
    const { violations } = await memoryRun({
      seed: 1n,
      config,
      jitter: { hasVolatileCache: true, turnsMax: 1 },
    });
    expect(violations.map(describeViolation)).toEqual([]);
  });

  test("is the same run each time", async () => {
    const run = () => memoryRun({ seed: 3n, ...randomRun(3n, { hasLosses: true, hasCrashes: true }) });
    const [first, second] = [await run(), await run()];
    expect(second.ledger).toEqual(first.ledger);
    expect(second.now).toBe(first.now);
  });
});
