import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type RunFlags, runHistory } from "../../src/cli/run.ts";
import { harrow, start } from "./harrow.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "harrow-test-"));
});
afterAll(() => rm(folder, { recursive: true }));

const head = `harrow history 1
seed           0x5eed
block-size     4096
extent-blocks  16
volume-blocks  64
`;

/** A snapshot, what is written over it, and all that can be asked about it. */
const snapshots = `${head}
0.0         0/0    write             0..7
0.1         0/0    deallocate        8..9
0           0/0    read              0..15
after 0     snapshot first
# Here M42 lets a write through to the snapshot.
1.0         0/0    write             3
1.1         0/0    compare-and-write 4..5
3.0         0/1    write-zeroes      0..15
after 3     snapshot second
after 3     diff first second
after 3     clone c of first
in c 0.0    0/0    write             1
after 3     check-clone c
after 3     sync second
after 3     rollback first
4.0         0/0    write             0..2
`;

/** FUA writes on three extents, and a crash, from which they must come back. */
const crash = `${head}
0.0         0/0    write-fua         0..7
1.0         0/1    write-fua         0..7
2.0         0/2    write-fua         0..7
after 2     crash
after 2     reset-connections
3.0         0/0    write             8
`;

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe("harrow run", () => {
  test("performs a history over NVMe/TCP on the embedded target, and the same one in memory", async () => {
    const path = await file("snapshots.history", snapshots);
    const { code, stdout, stderr } = await harrow("run", path, "--json");
    expect(stderr).toBe("harrow 0.1.0, seed 0x5eed\n");
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      seed: "0x5eed",
      verdict: "consistent",
      violations: [],
      ltsCount: 5,
      failureFolder: null,
      ledger: {
        operations: { write: 3, deallocate: 1, writeZeroes: 1, compareAndWrite: 1 },
        lastVersions: { provenPercent: 100 },
        snapshots: { taken: 2 },
        diffs: { proven: 1 },
        clones: { made: 1 },
        syncs: { done: 1 },
        rollbacks: 1,
      },
    });
    expect(code).toBe(0);
    const memory = JSON.parse((await harrow("run", path, "--json", "--target", "memory")).stdout);
    expect(memory).toMatchObject({
      verdict: "consistent",
      target: "volumes in this process's memory, without a wire",
      historyDigest: result.historyDigest,
    });
  });

  test("names a bug of the embedded target, and leaves what shows it again", async () => {
    const path = await file("again.history", snapshots);
    const failures = join(folder, "failures");
    const bug = ["--bug", "m42", "--bug-seed", "7", "--bug-eager"];
    const { code, stdout, stderr } = await harrow("run", path, ...bug, "--failures", failures);
    expect(stdout).toMatch(/^mutated: volume 0, block 3 of snapshot 0 \(rule snapshot, as of lts 0\)\n/);
    expect(stdout).toMatch(/\nverdict +VIOLATION \(\d+: mutated/);
    expect(stderr).toMatch(/\nthe bug of class M42 struck [1-9]\d* times\n/);
    expect(code).toBe(1);
    const [left] = await readdir(failures);
    const history = join(failures, left!, "history.txt");
    expect(stdout).toContain(`\nrun it again   harrow run ${history} --bug m42 --bug-seed 7 --bug-eager\n`);
    expect(await readFile(history, "utf8")).toBe(snapshots);
    for (const name of ["run.yml", "failure.json", "failure.txt", "observed-0.bin"])
      expect(existsSync(join(failures, left!, name)), name).toBe(true);
    const again = await harrow("run", history, ...bug, "--failures", failures, "--json");
    expect(JSON.parse(again.stdout).violations[0]).toMatchObject({ class: "mutated", block: 3 });
  });

  test("crashes the target with a directory of its own, which stays only if it is evidence", {
    timeout: 60_000,
  }, async () => {
    const path = await file("crash.history", crash);
    const temporary = join(folder, "temporary");
    await mkdir(temporary);
    const options = { env: { ...process.env, TMPDIR: temporary }, cwd: folder };
    const honest = await start(["run", path, "--json", "--log-level", "error"], options).ended;
    expect(JSON.parse(honest.stdout)).toMatchObject({
      verdict: "consistent",
      ledger: { faults: { crashes: 1, crashesChecked: 1, connections: 1 } },
    });
    expect(honest.code).toBe(0);
    expect(await readdir(temporary)).toEqual([]);
    const lying = await start(["run", path, "--bug", "M25", "--log-level", "error"], options).ended;
    expect(lying.stdout).toMatch(/ \(rule durability, /);
    expect(lying.code).toBe(1);
    const [kept] = await readdir(temporary);
    expect(lying.stderr).toContain(`the target's volumes are kept in ${join(temporary, kept!)}\n`);
    expect(await readdir(join(temporary, kept!))).not.toEqual([]);
  });

  test("takes target, failures and checks of a configuration, and nothing else of it", async () => {
    const path = await file("plain.history", `${head}0.0 0/0 write 3\n2.0 0/1 deallocate 0..15\n`);
    const config = await file(
      "block.yml",
      `target: { kind: block, path: ${join(folder, "volume")} }
checks: { rereads: 1, compare: false }
geometry: { volumeSize: 1MiB }
runner: { lts: 7 }
`,
    );
    const { code, stdout } = await harrow("run", path, "--config", config);
    expect(stdout).toMatch(/^verdict +consistent\n/);
    expect(stdout).toMatch(/\nhistory +3 lts /);
    expect(stdout).toMatch(
      /\nnot checked +whether compares hold and fail as they should: checks\.compare is false\n/,
    );
    expect(code).toBe(0);
    // What was left there is somebody's now.
    const occupied = await harrow("run", path, "--config", config);
    expect(occupied.stderr).toContain("overwrite");
    expect(occupied.code).toBe(2);
    expect((await harrow("run", path, "--config", config, "--overwrite")).code).toBe(0);
  });

  test("says that the target failed, if it can not be reached", async () => {
    const config = await file("nobody.yml", "target: { kind: lightbits, endpoint: 'http://127.0.0.1:1' }");
    const path = await file("snapshots.history", snapshots);
    const { code, stdout, stderr } = await start(["run", path, "--config", config, "--json"], {
      env: { ...process.env, LIGHTBITS_JWT: "none" },
    }).ended;
    expect(JSON.parse(stdout)).toMatchObject({ seed: "0x5eed", verdict: "undecided" });
    expect(stderr).toMatch(/\nharrow: the target failed: /);
    expect(code).toBe(3);
  });

  const mistakes: Record<string, [string | undefined, Partial<RunFlags>, RegExp]> = {
    "a file that there is not": [undefined, {}, /missing\.history: ENOENT/],
    "a history that is none": [
      `${head}0.0 0/9 write 3\n0.1 0/0 wrote 3\nafter 0 diff - a\n`,
      {},
      /^\S+:7: expected an operation \(.*\), got "wrote"\n$/,
    ],
    "a crash in memory": [
      crash,
      { target: "memory" },
      /crash after 2: only the embedded target and Linux in a guest \(transport: vm\) can be put to trouble, not kind memory\n.*reset-connections after 2: /,
    ],
    "a bug of memory": [
      snapshots,
      { bug: "M42", target: "memory" },
      /--bug: only the embedded target makes mistakes/,
    ],
    "a bug that there is not": [snapshots, { bug: "M99" }, /--bug: there is no class M99/],
    "a bug that is none of a target": [
      snapshots,
      { bug: "M16" },
      /--bug: M16 \(lost-write\) lies at the port/,
    ],
    "a seed of no bug": [snapshots, { bugSeed: 1n }, /--bug-seed: expected --bug/],
    "volumes of several sizes": [
      snapshots.replace("blocks  64", "blocks  64 32"),
      {},
      /volume-blocks 64 32: volumes of one size are what can be performed\n$/,
    ],
    "too many volumes": [
      snapshots.replace("blocks  64", `blocks ${" 64".repeat(65)}`),
      { target: "memory" },
      /^\S+\.history: geometry\.volumes: /,
    ],
    "a configuration that is none": [snapshots, { config: "missing.yml" }, /^missing\.yml: ENOENT/],
  };
  test.for(Object.entries(mistakes))("refuses %s in words", async ([name, [text, flags, message]]) => {
    const path =
      text === undefined
        ? join(folder, "missing.history")
        : await file(`${name.replaceAll(" ", "-")}.history`, text);
    expect(await refused(path, flags)).toMatch(message);
  });

  test("refuses snapshots of a block target, and what is no file", async () => {
    const config = await file("file.yml", `target: { kind: block, path: ${join(folder, "other")} }`);
    const path = await file("snapshots.history", snapshots);
    expect(await refused(path, { config })).toMatch(
      /snapshot after 0: a block target has no control plane, and so no snapshots\n/,
    );
    expect(await refused(folder)).toBe(`${folder}: is a directory\n`);
    expect(await refused("/dev/zero")).toBe("/dev/zero: is no regular file\n");
  });
});

/** What is said of a history that is refused before anything is done. */
async function refused(path: string, flags: Partial<RunFlags> = {}): Promise<string> {
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const { signal } = new AbortController();
    const code = await runHistory({
      file: path,
      flags: { logLevel: "warn", ...flags },
      ...{ version: "0", serveCommand: [], signal },
    });
    expect(code).toBe(2);
    return said.mock.calls.map(([text]) => text).join("");
  } finally {
    said.mockRestore();
  }
}
