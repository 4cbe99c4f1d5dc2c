import { describe, expect, test } from "vitest";
import { describeViolation } from "../../src/model/violation.ts";
import { memoryRun } from "../support/memory-run.ts";
import { randomRun, type Trouble } from "../support/random-run.ts";

/** A run that comes to a stand is an error; see `jittery-clock.ts`. */
async function expectConsistent(seed: bigint, trouble: Trouble) {
  const result = await memoryRun({ seed, ...randomRun(seed, trouble) });
  expect(result.violations.map(describeViolation)).toEqual([]);
  expect(result.crash).toBeUndefined();
  expect(result.targetFailure).toBeUndefined();
  expect(result.verdict).toBe("consistent");
  return result;
}

const seeds = (count: number): readonly bigint[] => Array.from({ length: count }, (_, index) => BigInt(index + 1));

describe("a run on a target that keeps its word, at random instants", () => {
  test.for(seeds(12))("raises no alarm (seed %d)", async (seed) => {
    await expectConsistent(seed, {});
  });

  test.for(seeds(12))("raises none when connections are lost (seed %d)", async (seed) => {
    const { ledger } = await expectConsistent(seed, { hasLosses: true });
    expect(ledger.operationsInDoubt).toBeGreaterThan(0);
  });

  test.for(seeds(8))("raises none when the target crashes (seed %d)", async (seed) => {
    await expectConsistent(seed, { hasCrashes: true, hasLosses: true });
  });

  test.for(seeds(8))("raises none when a volatile cache is lost (seed %d)", async (seed) => {
    await expectConsistent(seed, { hasCrashes: true, hasLosses: true, hasVolatileCache: true, hasSnapshots: false });
  });

  test.for(seeds(8))("raises none when a volatile cache is lost between snapshots (seed %d)", async (seed) => {
    await expectConsistent(seed, { hasCrashes: true, hasLosses: true, hasVolatileCache: true });
  });

  test("is the same run each time", async () => {
    const run = () => memoryRun({ seed: 3n, ...randomRun(3n, { hasLosses: true, hasCrashes: true }) });
    const [first, second] = [await run(), await run()];
    expect(second.ledger).toEqual(first.ledger);
    expect(second.now).toBe(first.now);
  });
});
