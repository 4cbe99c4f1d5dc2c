import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { harrow } from "./harrow.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-acceptance-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("100,000 lts on the embedded target, directory-backed, over TCP", () => {
  test("are proven: every last version, 25 snapshots and all adjacent diffs, with the history of any other run", {
    timeout: 600_000,
  }, async () => {
    const path = join(folder, "acceptance.yml");
    await writeFile(
      path,
      `geometry: { volumeSize: 256MiB }
operations: { blocks: { max: 24 }, weights: { writeFua: 1, flush: 1 } }
snapshots: { every: 4000, keep: 4 }
checks:
  recent: { every: 50, extents: 2 }
  sample: { every: 1000, extents: 4 }
  diffs: { precision: exact }
runner: { kind: sequential, lts: 100000 }
runs: ${join(folder, "runs")}
failures: ${join(folder, "failures")}
`,
    );
    const { stdout, code } = await harrow(
      "fuzz",
      path,
      "--seed",
      "0xacce97",
      "--directory",
      join(folder, "volumes"),
      "--json",
    );
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      verdict: "consistent",
      violations: [],
      ltsCount: 100_000,
      targetErrorCount: 0,
      ledger: {
        lastVersions: { provenPercent: 100 },
        snapshots: { taken: 25 },
        operationsInDoubt: 0,
        operationsFailed: 0,
      },
    });
    expect(result.ledger.diffs.proven).toBeGreaterThanOrEqual(24);
    expect(result.ledger.lastVersions.blocks).toBeGreaterThan(50_000);
    expect(code).toBe(0);
    const again = JSON.parse(
      (await harrow("fuzz", path, "--seed", "0xacce97", "--target", "memory", "--json")).stdout,
    );
    expect(again.historyDigest).toBe(result.historyDigest);
    // What a target promises of itself is its own; whether a read meets an operation is a matter of time.
    const { notChecked: _, reads, ...proven } = result.ledger;
    expect(again.ledger).toMatchObject(proven);
    const { underLoad: __, ...checked } = reads;
    expect(again.ledger.reads).toMatchObject(checked);
  });
});
