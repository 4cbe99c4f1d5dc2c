import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { harrow, type Started, start } from "./harrow.ts";

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-resume-"));
  path = join(folder, "kept.yml");
  await writeFile(
    path,
    `geometry: { volumeSize: 16MiB }
window: { size: 8 }
snapshots: { every: 150, keep: 3 }
failures: ${join(folder, "failures")}
target: { kind: embedded, directory: ${join(folder, "volumes")} }
`,
  );
});
afterAll(() => rm(folder, { recursive: true }));

/** A run that is kept in a directory of its own, as soon as it has begun to write. */
async function underWay(name: string, ...args: string[]): Promise<Started & { readonly run: string }> {
  const runs = join(folder, name);
  const started = start(["fuzz", path, "--runs", runs, ...args]);
  await new Promise<void>((resolve, reject) => {
    started.process.stderr!.on("data", (text: string) => text.includes("lts 1 ") && resolve());
    started.ended.then(({ stderr }) => reject(new Error(stderr)), reject);
  });
  await new Promise((resolve) => setTimeout(resolve, 700));
  const [run] = await readdir(runs);
  return { ...started, run: join(runs, run!) };
}

describe("harrow fuzz --resume", () => {
  test("goes on with a run that was killed, to the end that it would have had", {
    timeout: 90_000,
  }, async () => {
    const bounds = ["--seed", "21", "--lts", "1200"];
    const { process: child, ended, run } = await underWay("killed", ...bounds);
    child.kill("SIGKILL");
    expect((await ended).stdout).toBe("");
    const resumed = await harrow("fuzz", "--resume", run, "--json");
    expect(resumed.code).toBe(0);
    const result = JSON.parse(resumed.stdout);
    expect(result).toMatchObject({
      seed: "0x15",
      verdict: "consistent",
      violations: [],
      ltsCount: 1200,
      runDirectory: null,
      ledger: { lastVersions: { provenPercent: 100 } },
    });
    const memory = await harrow("fuzz", path, "--target", "memory", ...bounds, "--json");
    const { historyDigest, ltsCount } = JSON.parse(memory.stdout);
    expect(result).toMatchObject({ historyDigest, ltsCount });
    const again = await harrow("fuzz", "--resume", run);
    expect(again.stderr).toMatch(
      /^\S+: run harrow-15-\w+ finished at .*, with verdict consistent: start a new one\n$/,
    );
    expect(again.stdout).toBe("");
    expect(again.code).toBe(2);
  });

  test("goes on after Ctrl-C as the last line had said, but for as long as the run is in use", {
    timeout: 90_000,
  }, async () => {
    const { process: child, ended, run } = await underWay("interrupted", "--lts", "100000");
    const second = await harrow("fuzz", "--resume", run);
    expect(second.stderr).toMatch(
      /^\S+: the run is in use by a process that is alive; stop that one first.*\n$/,
    );
    expect(second.code).toBe(2);
    child.kill("SIGINT");
    const { stdout, code } = await ended;
    expect(stdout).toMatch(/^verdict +consistent as far as it came \(interrupted\)$/m);
    expect(stdout).toMatch(new RegExp(`^go on with it +harrow fuzz --resume ${run}\n$`, "m"));
    expect(code).toBe(130);
    const resumed = await harrow("fuzz", "--resume", run, "--lts", "1200", "--json");
    expect(JSON.parse(resumed.stdout)).toMatchObject({
      verdict: "consistent",
      ltsCount: 1200,
      ledger: { lastVersions: { provenPercent: 100 } },
    });
    expect(resumed.code).toBe(0);
  });

  test("refuses what is no run, and what would make another run of it, in one line", async () => {
    const empty = join(folder, "empty");
    await mkdir(empty);
    for (const what of [empty, join(folder, "nowhere"), path]) {
      const { stderr, stdout, code } = await harrow("fuzz", "--resume", what);
      expect(stderr).toMatch(new RegExp(`^${what}: is not the directory of a run .*\n$`));
      expect(stdout).toBe("");
      expect(code).toBe(2);
    }
    for (const [args, name] of [
      [[path], "a configuration file"],
      [["--seed", "4"], "--seed"],
      [["--target", "memory"], "--target"],
    ] as const) {
      const { stderr, code } = await harrow("fuzz", ...args, "--resume", empty);
      expect(stderr).toBe(`${name}: a run that goes on has its own, leave it out with --resume\n`);
      expect(code).toBe(2);
    }
  });
});
