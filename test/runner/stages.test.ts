import { describe, expect, test } from "vitest";
import { memoryRun, smallConfig } from "../support/memory-run.ts";

/** The small configuration with another runner; no reads, so that lts are all that takes time. */
function withRunner(runner: string): string {
  return smallConfig
    .replace(/^runner:.*$/m, `runner: ${runner}`)
    .replace("window:", "reads: { perLts: { max: 0 }, preRead: 0/1 }\nwindow:");
}

/** A run on a jittery target; time is its clock's. */
async function runWith(runner: string, turnsMax = 6) {
  const result = await memoryRun({ config: withRunner(runner), jitter: { turnsMax } });
  expect(result.violations).toEqual([]);
  expect(result.crash).toBeUndefined();
  expect(result.verdict).toBe("consistent");
  return result;
}

describe("a runner", () => {
  test.for(["sequential", "concurrent"])("of kind %s ends after its lts", async (kind) => {
    expect((await runWith(`{ kind: ${kind}, lts: 37 }`)).ltsCount).toBe(37);
  });

  test("ends when its time is over, on the run's clock", async () => {
    const { ltsCount, ledger } = await runWith("{ kind: sequential, duration: 2s }");
    expect(ltsCount).toBeGreaterThan(20);
    expect(ltsCount).toBeLessThan(400);
    expect(ledger.ltsCount).toBe(ltsCount);
    expect((await runWith("{ kind: sequential, duration: 4s }")).ltsCount).toBeGreaterThan(ltsCount * 1.4);
  });

  test("without any bound ends after a minute, on the run's clock", async () => {
    const { ltsCount, now } = await runWith("{ kind: sequential }", 600);
    expect(ltsCount).toBeGreaterThan(5);
    expect(now).toBeGreaterThan(60_000);
  });

  test("ends when so many bytes were written", async () => {
    const { ledger } = await runWith("{ kind: sequential, bytes: 1MiB }");
    expect(ledger.bytesWritten).toBeGreaterThanOrEqual(2 ** 20);
    // One visit more, at most: 8 operations of 16 blocks.
    expect(ledger.bytesWritten).toBeLessThan(2 ** 20 + 8 * 16 * 4096);
  });
});

describe("a chain of stages", () => {
  test("runs one after another, each to its bound, and ends", async () => {
    const stages =
      "[{ kind: sequential, lts: 20 }, { kind: concurrent, depth: 8, lts: 30 }, { kind: sequential, lts: 5 }]";
    expect((await runWith(`{ kind: chain, stages: ${stages} }`)).ltsCount).toBe(55);
  });

  test("is ended by a bound of the whole that comes first", async () => {
    const stages = "[{ kind: sequential, lts: 20 }, { kind: concurrent, lts: 30 }]";
    expect((await runWith(`{ kind: chain, lts: 33, stages: ${stages} }`)).ltsCount).toBe(33);
  });

  test("gives its last stage, if that has no bound, the bound of the whole", async () => {
    const stages = "[{ kind: sequential, lts: 20 }, { kind: concurrent, depth: 4 }]";
    expect((await runWith(`{ kind: chain, lts: 60, stages: ${stages} }`)).ltsCount).toBe(60);
  });

  test("is the same history as a runner of one kind", async () => {
    const stages = "[{ kind: sequential, lts: 20 }, { kind: concurrent, depth: 8, lts: 30 }]";
    const chain = await runWith(`{ kind: chain, stages: ${stages} }`);
    const plain = await runWith("{ kind: sequential, lts: 50 }");
    expect(chain.historyDigest).toBe(plain.historyDigest);
  });
});

describe("staged runners", () => {
  test("take turns until a bound of the whole is met", async () => {
    const stages = "[{ kind: sequential, lts: 7 }, { kind: concurrent, depth: 8, lts: 11 }]";
    expect((await runWith(`{ kind: staged, lts: 50, stages: ${stages} }`)).ltsCount).toBe(50);
  });

  test("take turns by time and bytes as well", async () => {
    const stages = "[{ kind: sequential, duration: 300ms }, { kind: concurrent, depth: 4, bytes: 256KiB }]";
    const { ledger, ltsCount } = await runWith(`{ kind: staged, bytes: 2MiB, stages: ${stages} }`);
    expect(ledger.bytesWritten).toBeGreaterThanOrEqual(2 ** 21);
    expect(ledger.bytesWritten).toBeLessThan(2 ** 21 + 5 * 8 * 16 * 4096);
    expect(ltsCount).toBeGreaterThan(20);
  });
});
