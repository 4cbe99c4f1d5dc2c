import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { flipDataBytes } from "./flip-data-bytes.ts";
import { harrow, start } from "./harrow.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

const small = `
geometry: { volumeSize: 32MiB }
window: { size: 8, slideAfterRepeats: 4 }
snapshots: { every: 150, keep: 3 }
checks: { diffs: { precision: exact } }
runner: { lts: 1500 }
`;

async function config(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe("harrow fuzz", () => {
  test("proves a run over NVMe/TCP on the embedded target, and prints it as one JSON object", async () => {
    const path = await config("small.yml", small);
    const { code, stdout, stderr } = await harrow("fuzz", path, "--seed", "0x5eed", "--json");
    expect(stderr).toBe("harrow 0.1.0, seed 0x5eed\n");
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      seed: "0x5eed",
      verdict: "consistent",
      violations: [],
      ltsCount: 1500,
      failureFolder: null,
      ledger: { lastVersions: { provenPercent: 100 }, snapshots: { taken: 10 } },
    });
    expect(result.ledger.diffs.proven).toBeGreaterThanOrEqual(9);
    expect(code).toBe(0);
    // Byte for byte the history that the same seed has on any other target.
    const memory = JSON.parse(
      (await harrow("fuzz", path, "--seed", "0x5eed", "--json", "--target", "memory")).stdout,
    );
    expect(memory.historyDigest).toBe(result.historyDigest);
  });

  test("keeps volumes in a directory, with digests on, 512-byte blocks and two queues", async () => {
    const path = await config(
      "digests.yml",
      `geometry: { volumeSize: 8MiB, extentSize: 256KiB, blockSize: 512 }
window: { size: 8, slideAfterRepeats: 4 }
operations: { blocks: { max: 400 } }
snapshots: { every: 100, keep: 3 }
runner: { lts: 600 }
runs: ${join(folder, "runs")}
target: { kind: embedded, directory: ${join(folder, "volumes")}, headerDigest: true, dataDigest: true, ioQueues: 2 }
`,
    );
    const { code, stdout } = await harrow("fuzz", path, "--seed", "3", "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      verdict: "consistent",
      ledger: { lastVersions: { provenPercent: 100 } },
    });
    expect(code).toBe(0);
  });

  test("tells people what was proven, and what was not checked", async () => {
    const { code, stdout } = await harrow(
      "fuzz",
      await config("small.yml", small),
      "--seed",
      "7",
      "--lts",
      "200",
      "--quiet",
    );
    expect(stdout).toMatch(/^verdict +consistent\nseed +0x7\n/);
    expect(stdout).toMatch(/^last versions .* 100 % proven$/m);
    expect(stdout).toMatch(/^not checked +durability: faults\.crash is not set$/m);
    expect(code).toBe(0);
  });

  test("draws a seed and prints it, if none is given", async () => {
    const seeds = new Set<string>();
    for (let run = 0; run < 2; run++) {
      const { stdout } = await harrow("fuzz", "--target", "memory", "--lts", "5", "--json");
      seeds.add(JSON.parse(stdout).seed);
    }
    expect(seeds.size).toBe(2);
  });

  test("ends in order on Ctrl-C, with the ledger and exit code 130", async () => {
    const { process: child, ended } = start(["fuzz", "--duration", "60s"]);
    await new Promise<void>((resolve) => {
      child.stderr!.on("data", (text: string) => text.includes("lts") && resolve());
    });
    child.kill("SIGINT");
    const { code, stdout } = await ended;
    expect(stdout).toMatch(/^verdict +consistent as far as it came \(interrupted\)$/m);
    expect(stdout).toMatch(/^last versions/m);
    expect(code).toBe(130);
  });

  test("ends in order on Ctrl-C also where nothing is ever waited for", async () => {
    const directory = await mkdtemp(join(tmpdir(), "harrow-test-"));
    const file = join(directory, "memory.yml");
    await writeFile(file, "target: { kind: memory }\nrunner: { kind: sequential, duration: 60s }\n");
    const { process: child, ended } = start(["fuzz", file]);
    await new Promise<void>((resolve) => {
      child.stderr!.on("data", (text: string) => text.includes("lts") && resolve());
    });
    const stopped = performance.now();
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    expect(performance.now() - stopped).toBeLessThan(20_000);
  });

  test("says at once that the target's process is gone, and what was proven until then", async () => {
    const { process: child, ended } = start(["fuzz", "--duration", "60s", "--log-level", "error"]);
    await new Promise<void>((resolve) => {
      child.stderr!.on("data", (text: string) => text.includes("lts") && resolve());
    });
    for (const pid of await childrenOf(child.pid!)) process.kill(pid, "SIGKILL");
    const { code, stdout } = await ended;
    expect(stdout).toMatch(/^verdict +undecided: the embedded target was not stopped, and ended by SIGKILL/);
    expect(stdout).toMatch(/^last versions/m);
    expect(code).toBe(3);
  });

  const mistakes: Record<string, [readonly string[], string | undefined, RegExp]> = {
    "an unknown key": [[], "geometri: {}", /:1:1: geometri: unknown key; known here: seed, geometry,/],
    "a value out of range": [[], "geometry: { blockSize: 1000 }", /:1:24: geometry\.blockSize: .*512\|4096/],
    "broken YAML": [[], "geometry: {", /:1:\d+: /],
    "a window wider than the volume": [
      [],
      "geometry: { volumeSize: 4MiB }\nwindow: { size: 5 }",
      /:2:17: window\.size: expected at most 4, the number of extents/,
    ],
    "more extents than can be counted": [
      [],
      "geometry: { volumeSize: 1024TiB, extentSize: 4096 }",
      /geometry\.extentSize: \d+ extents are too many/,
    ],
    "buffers beyond the memory": [
      [],
      "geometry: { extentSize: 64MiB }\noperations: { perBatch: { max: 64 }, blocks: { max: 16384 } }",
      /operations\.blocks\.max: 68 operations of 16384 blocks and 5 extents need \d+ bytes of buffers/,
    ],
    "a duration without unit": [
      ["--duration", "fast"],
      undefined,
      /^--duration: runner\.duration: expected a duration such as/,
    ],
    "a seed that is none": [
      ["--seed", "lucky"],
      undefined,
      /^--seed: seed: expected a number, or text such as 0x5eed/,
    ],
    "an lts count that is none": [["--lts", "many"], undefined, /^--lts: runner\.lts: /],
    "trouble for a target that knows none": [
      [],
      "faults: { slow: { every: 300 } }\ntarget: { kind: memory }",
      /:1:9: faults: only the embedded target and Linux in a guest \(transport: vm\) can be put to trouble, not kind memory\n$/,
    ],
    "crashes of volumes in memory": [
      [],
      "faults: { crash: { every: 300 } }",
      /:1:18: faults\.crash: a target that keeps its volumes in memory does not come back: set target\.directory\n$/,
    ],
    "a cache before memory": [
      [],
      "target: { kind: embedded, volatileCache: true }",
      /:1:42: target\.volatileCache: .* has nothing to lose: set target\.directory\n$/,
    ],
    "lateness that lasts into the next": [
      [],
      "faults: { slow: { every: 10, ltsCount: { max: 50 } } }",
      /:1:47: faults\.slow\.ltsCount\.max: expected at most half of every\n$/,
    ],
    "a second volume beside rollbacks": [
      [],
      "checks: { secondVolume: true }\nsnapshots: { rollback: 1/8 }",
      /:1:25: checks\.secondVolume: .* set snapshots\.rollback to 0\/1\n$/,
    ],
    "two volumes on one device": [
      [],
      "geometry: { volumes: 2 }\ntarget: { kind: block, path: nowhere }",
      /:1:22: geometry\.volumes: a block target has one volume\n$/,
    ],
    "a device that grows": [
      [],
      "geometry: { growth: {} }\ntarget: { kind: block, path: nowhere }",
      /:2:17: target\.kind: a block target neither grows nor has a second volume\n$/,
    ],
    "overlap without company": [
      [],
      "runner: { kind: sequential, overlap: allow }",
      /:1:38: runner\.overlap: a sequential runner has nothing that could overlap\n$/,
    ],
    "a chain without stages": [
      [],
      "runner: { kind: chain }",
      /: runner\.stages: expected, as kind is chain\n$/,
    ],
    "stages without a chain": [
      [],
      "runner: { stages: [{ kind: sequential, lts: 5 }] }",
      /: runner\.stages: expected only if kind is chain or staged\n$/,
    ],
    "a stage without end before another": [
      [],
      "runner: { kind: chain, stages: [{ kind: sequential }, { kind: concurrent, lts: 5 }] }",
      /: runner\.stages\.0: expected a bound: lts, duration or bytes\n$/,
    ],
    "stages again and again, without end": [
      [],
      "runner: { kind: staged, stages: [{ kind: sequential, lts: 5 }] }",
      /: runner: a staged runner needs a bound of the whole: lts, duration or bytes\n$/,
    ],
    "a compare longer than any operation": [
      [],
      "operations: { compareAndWriteBlocksMax: 100 }",
      /:1:41: operations\.compareAndWriteBlocksMax: expected at most 64, the most blocks of an operation\n$/,
    ],
    "a floor above all there is": [[], "floors: { versions: 101 }", /:1:21: floors\.versions: .*<=100\n$/],
    "a way to keep runs that is none": [
      ["--record", "sometimes"],
      undefined,
      /^--record: record: .*"never"\n$/,
    ],
    "a target that is none": [
      ["--target", "floppy"],
      undefined,
      /target\.kind: .*'embedded' \| 'lightbits' \| 'linux' \| 'memory' \| 'block'/,
    ],
  };
  test.for(Object.entries(mistakes))(
    "refuses %s, says where, and exits with 2",
    async ([, [args, text, message]]) => {
      const files = text === undefined ? [] : [await config("wrong.yml", text)];
      const { code, stderr, stdout } = await harrow("fuzz", ...files, ...args);
      expect(stderr).toMatch(message);
      expect(stdout).toBe("");
      expect(code).toBe(2);
    },
  );

  test("refuses a file that is not there, and an option that is none", async () => {
    const missing = await harrow("fuzz", join(folder, "nowhere.yml"));
    expect(missing.stderr).toContain("nowhere.yml: ENOENT");
    expect(missing.code).toBe(2);
    const option = await harrow("fuzz", "--frobnicate");
    expect(option.stderr).toContain("unknown option '--frobnicate'");
    expect(option.code).toBe(2);
  });

  test("ends quietly when its reader has seen enough", async () => {
    const { process: child, ended } = start(["fuzz", "--target", "memory", "--lts", "50"]);
    child.stdout!.destroy();
    expect((await ended).stderr).not.toContain("EPIPE");
  });

  test("still gives the verdict when no failure folder can be made", async () => {
    const file = await config("not-a-directory", "");
    const directory = join(folder, "volumes-nowhere");
    const stop = new AbortController();
    const flipping = flipDataBytes(directory, stop.signal);
    const path = await config("small.yml", small);
    const { code, stdout, stderr } = await harrow(
      "fuzz",
      path,
      "--lts",
      "200000",
      "--failures",
      file,
      "--directory",
      directory,
      "--runs",
      join(folder, "runs"),
      "--json",
    );
    stop.abort();
    await flipping;
    expect(JSON.parse(stdout).verdict).toBe("violation");
    expect(stderr).toContain(`the failure folder ${file} is not complete`);
    expect(code).toBe(1);
  });

  test("says that the target failed, with exit code 3, if it can not be reached", async () => {
    const path = await config("dead.yml", "target: { kind: lightbits, endpoint: 'http://127.0.0.1:9' }");
    const { code, stderr } = await start(["fuzz", path], { env: { ...process.env, LIGHTBITS_JWT: "x" } })
      .ended;
    expect(stderr).toContain("harrow: the target failed: ");
    expect(stderr).toContain("127.0.0.1:9");
    expect(code).toBe(3);
  });

  test("asks for a token where one is needed, and never prints it", async () => {
    const path = await config("token.yml", "target: { kind: lightbits, endpoint: 'http://127.0.0.1:9' }");
    const { LIGHTBITS_JWT: _, ...env } = process.env;
    const without = await start(["fuzz", path], { env }).ended;
    expect(without.stderr).toContain("a JWT or LIGHTBITS_JWT is required");
    expect(without.code).toBe(2);
    const secret = "eyJhbGciOi.secret";
    const { stderr, stdout } = await start(["fuzz", path, "--log-level", "debug"], {
      env: { ...env, LIGHTBITS_JWT: secret },
    }).ended;
    expect(stderr + stdout).not.toContain(secret);
  });
});

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  return text.trim().split(" ").map(Number);
}

describe("a failure folder", () => {
  test("has what it takes to run the same history again", async () => {
    const directory = join(folder, "volumes-flip");
    const failures = join(folder, "failures");
    const path = await config(
      "flip.yml",
      `${small}target: { kind: embedded, directory: ${directory} }\nfailures: ${failures}\nruns: ${join(folder, "runs")}\n`,
    );
    const { process: child, ended } = start(["fuzz", path, "--seed", "21", "--lts", "200000", "--json"]);
    const stop = new AbortController();
    const flipping = flipDataBytes(directory, stop.signal);
    const { code, stdout } = await ended;
    stop.abort();
    await flipping;
    expect(child.exitCode).toBe(1);
    const result = JSON.parse(stdout);
    expect(result.verdict).toBe("violation");
    // In a snapshot that was read before, the same flip is a change of what must not change.
    expect(["bit-flip", "mutated"]).toContain(result.violations[0].class);
    expect(result.violations[0].summary).toMatch(/of byte 1000 is flipped|flipped, the first in byte 1000/);
    // What is flipped may be overwritten, or flipped once more, while it is read again.
    expect(["same", "changing"]).toContain(result.violations[0].rereads);
    expect(code).toBe(1);
    const [name] = await readdir(failures);
    expect(result.failureFolder).toBe(join(failures, name!));
    // More than one block may have been flipped in the extent where the first was found.
    const files = await readdir(join(failures, name!));
    expect(files).toEqual(
      expect.arrayContaining(["failure.json", "failure.txt", "observed-0.bin", "run.yml"]),
    );
    expect(files.filter((file) => file.startsWith("observed-"))).toHaveLength(result.violations.length);
    expect(files.filter((file) => file.endsWith(".unfinished"))).toEqual([]);
    const failure = JSON.parse(await readFile(join(failures, name!, "failure.json"), "utf8"));
    expect(failure.violations[0]).toMatchObject(result.violations[0]);
    expect(await readFile(join(failures, name!, "failure.txt"), "utf8")).toContain(": volume 0, block ");
    expect((await readFile(join(failures, name!, "observed-0.bin"))).length).toBe(4096);
    const again = await harrow("fuzz", join(failures, name!, "run.yml"), "--target", "memory", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({
      verdict: "consistent",
      historyDigest: result.historyDigest,
      ltsCount: result.ltsCount,
    });
  });
});
