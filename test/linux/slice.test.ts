/**
 * The command line against Debian's own kernel: a run with snapshots, diffs, trouble and a loss of power.
 *
 * @packageDocumentation
 */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { harrow } from "../cli/harrow.ts";
import { vmDirectory } from "./vm-directory.ts";
import { unavailable } from "./unavailable.ts";

const config = `
geometry: { volumeSize: 64MiB, extentSize: 128KiB }
operations:
  blocks: { max: 16 }
  # Each flush and FUA has dm-thin commit its metadata, which takes long on a translated processor.
  weights: { writeFua: 1, flush: 1, compareAndWrite: 0, compareAndWriteMiss: 0 }
snapshots: { every: 1500, keep: 4, hot: 3/4, rollback: 1/8 }
faults: { crash: { every: 10000 }, slow: { every: 6000, delayMs: { max: 5 }, ltsCount: { min: 10, max: 50 } } }
runner: { lts: 20000 }
target: { kind: linux, transport: vm, vm: { directory: ${JSON.stringify(vmDirectory)}, diskSize: 2GiB } }
`;

describe.skipIf(unavailable !== undefined)("harrow fuzz on Linux in a guest", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "harrow-linux-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("proves 20,000 lts of a dm-thin volume, its snapshots and diffs, through a loss of power", async () => {
    const path = join(folder, "slice.yml");
    await writeFile(path, `${config}failures: ${join(folder, "failures")}\n`);
    const { code, stdout, stderr } = await harrow("fuzz", path, "--seed", "8", "--json");
    const result = JSON.parse(stdout === "" ? `{ "stderr": ${JSON.stringify(stderr)} }` : stdout);
    expect(result).toMatchObject({ verdict: "consistent", violations: [], ltsCount: 20_000 });
    const { lastVersions, snapshots, diffs, faults } = result.ledger;
    expect(lastVersions.provenPercent).toBe(100);
    expect(snapshots.taken).toBeGreaterThanOrEqual(10);
    expect(snapshots.hot).toBeGreaterThan(0);
    expect(diffs.proven).toBeGreaterThanOrEqual(10);
    expect(faults.crashes).toBeGreaterThan(0);
    expect(faults.connections).toBeGreaterThan(0);
    expect(code).toBe(0);
    // Nothing of the guest is left behind.
    expect(await readdir(join(vmDirectory, "guests"))).toEqual([]);
  });
});
