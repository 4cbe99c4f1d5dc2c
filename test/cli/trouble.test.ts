import { mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { harrow } from "./harrow.ts";

let folder: string;
let kept: readonly string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-trouble-"));
  kept = ["--runs", join(folder, "runs"), "--failures", join(folder, "failures")];
});
afterAll(() => rm(folder, { recursive: true }));

describe("harrow fuzz", () => {
  test("crashes the target of conf/trouble.yml, and finds nothing wrong", { timeout: 90_000 }, async () => {
    const directory = join(folder, "volumes");
    const path = join(folder, "trouble.yml");
    const text = await readFile("conf/trouble.yml", "utf8");
    await writeFile(path, text.replace("crash: { every: 1500 }", "crash: { every: 250 }"));
    const flags = ["--lts", "900", "--seed", "1", "--directory", directory, "--log-level", "error", "--json"];
    const { stdout, stderr, code } = await harrow("fuzz", path, ...flags, ...kept);
    expect(stderr).toBe("harrow 0.1.0, seed 0x1\n");
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      verdict: "consistent",
      violations: [],
      ltsCount: 900,
      ledger: { lastVersions: { provenPercent: 100 } },
    });
    expect(result.ledger.faults.crashes).toBeGreaterThan(0);
    expect(result.target).toContain(directory);
    expect(code).toBe(0);
  });

  test("says which floors were missed, with exit code 4", async () => {
    const path = join(folder, "floors.yml");
    await writeFile(
      path,
      "geometry: { volumeSize: 16MiB }\nfloors: { lastVersions: 100, versions: 99.5, snapshots: 10 }\n",
    );
    const { stdout, code } = await harrow("fuzz", path, "--target", "memory", "--lts", "50", "--quiet");
    expect(stdout).toMatch(/^verdict +consistent, but less was proven than asked for$/m);
    expect(stdout.match(/^below floor .*$/gm)).toEqual([
      expect.stringMatching(/versions proven, in percent: [\d.]+, floors\.versions asks for 99\.5$/),
      expect.stringMatching(/snapshots taken: 0, floors\.snapshots asks for 10$/),
    ]);
    expect(code).toBe(4);
  });
});

describe("a block target", () => {
  async function onDevice(path: string, extra = ""): Promise<string> {
    const file = join(folder, "block.yml");
    await writeFile(
      file,
      `geometry: { volumeSize: 16MiB }
operations: { weights: { compareAndWrite: 0, compareAndWriteMiss: 0 } }
target: { kind: block, path: ${path} }
${extra}`,
    );
    return file;
  }

  test("is proven without a control plane, and not overwritten by the next run", async () => {
    const path = join(folder, "device");
    const flags = ["--lts", "300", "--json", ...kept];
    const { stdout, code } = await harrow("fuzz", await onDevice(path), ...flags);
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: "consistent",
      ltsCount: 300,
      ledger: { lastVersions: { provenPercent: 100 }, snapshots: { taken: 0 } },
    });
    expect(code).toBe(0);
    const next = await harrow("fuzz", await onDevice(path), ...flags);
    expect(next.stderr).toMatch(/holds data of a run of harrow at block \d+; .* Set overwrite: true/);
    expect(next.code).toBe(2);
  });

  test("says what is wrong with its path", async () => {
    const directory = await harrow("fuzz", await onDevice(folder), ...kept);
    expect(directory.stderr).toContain(`${folder} is a directory: name a file in it, or a block device\n`);
    expect(directory.stdout).toBe("");
    expect(directory.code).toBe(2);
    const small = join(folder, "small");
    await writeFile(small, "");
    await truncate(small, 2 ** 20);
    const short = await harrow("fuzz", await onDevice(small), ...kept);
    expect(short.stderr).toContain(`${small} has 1048576 bytes, `);
    expect(short.code).toBe(2);
  });
});
