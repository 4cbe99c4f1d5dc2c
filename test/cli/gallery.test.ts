import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { gallery } from "../../src/cli/gallery.ts";
import { harrow } from "./harrow.ts";

describe("harrow gallery", () => {
  test("prints a line for each class, the sum, and ends with 0", async () => {
    const { code, stdout } = await harrow("gallery", "m16", "M45", "--seeds", "2");
    expect(stdout).toMatch(/^M16 {2}lost-write +killed +by quiescent +as lost-write /);
    expect(stdout).toMatch(/\nM45 {2}group-skew +not built: /);
    expect(stdout).toMatch(/\nruns +2 of 2 killed by the checker responsible, 2 with the right name\n/);
    expect(stdout).toMatch(/\ncontrols +2 of 2 consistent without the fault\n/);
    expect(code).toBe(0);
  });

  test("prints one JSON object for machines", async () => {
    const { code, stdout } = await harrow("gallery", "M16", "--seeds", "1", "--seed", "7", "--json");
    const { seed, classes } = JSON.parse(stdout);
    expect(seed).toBe("0x7");
    expect(classes).toHaveLength(1);
    expect(classes[0]).toMatchObject({ id: "M16", killed: true, by: ["quiescent"], diagnosis: "lost-write" });
    expect(code).toBe(0);
  });

  test("says what the failure folders lack that it leaves", async () => {
    const failures = mkdtempSync(join(tmpdir(), "harrow-test-"));
    const spies = [process.stdout, process.stderr].map((stream) =>
      vi.spyOn(stream, "write").mockReturnValue(true),
    );
    try {
      const { signal } = new AbortController();
      const flags = { seeds: 1, seed: 1n, failures };
      const code = await gallery(["M10", "M16"], flags, { version: "0", serveCommand: [], signal });
      const [stdout, stderr] = spies.map((spy) => spy.mock.calls.map(([text]) => text).join(""));
      expect(stderr).toMatch(
        /^M10: the failure folder lacks image\/volume-0\.img: \d+ bytes: an image has at most \d+\n$/,
      );
      expect(stdout).toMatch(/^M10 .*\nM16 .*\n$/);
      expect(code).toBe(0);
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });

  test("lists what there is without running it", async () => {
    const { code, stdout } = await harrow("gallery", "--list");
    expect(stdout.match(/^[MH]\d\d /gm)).toHaveLength(71);
    expect(code).toBe(0);
  });

  test.for([
    [["M99"], "there is no class M99; harrow gallery --list shows them all"],
    [["M16", "--seeds", "0"], "expected an integer from 1 to 10000"],
    [["M16", "--seed", "-1"], "expected an integer from 0 to 2^64 - 1"],
  ] as const)("refuses %j in words", async ([flags, message]) => {
    const { code, stderr } = await harrow("gallery", ...flags);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe("harrow demo corruption", () => {
  test("shows the fault, the alarm, its evidence and the run without the fault", async () => {
    const failures = mkdtempSync(join(tmpdir(), "harrow-test-"));
    const { code, stdout } = await harrow("demo", "corruption", "M09", "--failures", failures);
    expect(stdout).toMatch(/^M09 {2}misdirected-write: /);
    expect(stdout).toMatch(
      /\ntarget +embedded target at 127\.0\.0\.1:\d+, in memory, with a liar before it\n/,
    );
    expect(stdout).toMatch(/\nalarm +after [\d,]+ operations, /);
    expect(stdout).toMatch(/\n(misdirected|lost-write): volume 0, block \d+ \(rule quiescent, /);
    expect(stdout).toMatch(/\ncontrol +the same without the fault: consistent, /);
    const folder = /\nevidence +(.+)\n/.exec(stdout)?.[1] ?? "";
    for (const name of ["run.yml", "failure.json", "failure.txt", "observed-0.bin"])
      expect(existsSync(join(folder, name)), name).toBe(true);
    expect(readFileSync(join(folder, "failure.txt"), "utf8")).toContain("rule quiescent");
    expect(code).toBe(0);
  });

  test("shows a bug inside of the target", async () => {
    const failures = mkdtempSync(join(tmpdir(), "harrow-test-"));
    const { code, stdout } = await harrow("demo", "corruption", "M46", "--failures", failures);
    expect(stdout).toMatch(/, with a bug inside\n/);
    expect(stdout).toMatch(/\nmutated: volume 0, block \d+ of snapshot \d+ /);
    expect(code).toBe(0);
  });

  test("shows a bug that needs operations on their way while a snapshot is taken", async () => {
    const failures = mkdtempSync(join(tmpdir(), "harrow-test-"));
    const { code, stdout } = await harrow("demo", "corruption", "M50", "--failures", failures);
    expect(stdout).toMatch(/\nomission: volume 0, blocks? \d+.* in the diff of snapshot \d+ /);
    expect(code).toBe(0);
  });

  test("takes the target of a configuration, if the fault lies at the port", async () => {
    const directory = mkdtempSync(join(tmpdir(), "harrow-test-"));
    const file = join(directory, "memory.yml");
    writeFileSync(file, "target: { kind: memory }\n");
    const { code, stdout } = await harrow(
      ...["demo", "corruption", "M16", "--config", file, "--failures", directory],
    );
    expect(stdout).toMatch(
      /\ntarget +volumes in this process's memory, without a wire, with a liar before it\n/,
    );
    expect(code).toBe(0);
    const refused = await harrow("demo", "corruption", "M46", "--config", file);
    expect(refused.stderr).toBe(
      "harrow demo: M46 (snap-mutable) is a bug of the embedded target: leave --config out\n",
    );
    expect(refused.code).toBe(2);
  });

  test("spoils a file as it does any other target", async () => {
    const directory = mkdtempSync(join(tmpdir(), "harrow-test-"));
    const file = join(directory, "block.yml");
    writeFileSync(file, `target: { kind: block, path: ${join(directory, "image")} }\n`);
    const { code, stdout } = await harrow(
      ...["demo", "corruption", "M16", "--config", file, "--failures", directory],
    );
    expect(stdout).toMatch(/\nlost-write: volume 0, block \d+ \(rule quiescent, /);
    expect(stdout).toContain(`\nagain     harrow demo corruption M16 --seed 1 --config ${file}\n`);
    expect(code).toBe(0);
  });

  test.for([
    [["M99"], "harrow demo: there is no class M99; harrow gallery --list shows all 71\n"],
    [["M45"], /^harrow demo: M45 \(group-skew\) is not built: .+\n$/],
    [["M16", "--config", "nowhere.yml"], /nowhere\.yml: .*ENOENT/],
  ] as const)("refuses %j in words", async ([flags, message]) => {
    const { code, stderr } = await harrow("demo", "corruption", ...flags);
    if (typeof message === "string") expect(stderr).toBe(message);
    else expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});

describe("harrow serve --bug", () => {
  test.for([
    ["M99", "harrow serve: --bug: there is no class M99; harrow gallery --list shows them all\n"],
    ["M16", "harrow serve: --bug: M16 (lost-write) lies at the port, it is no bug of a target\n"],
    ["M45", "harrow serve: --bug: M45 (group-skew) is not built, it is no bug of a target\n"],
  ])("refuses %s, which is no bug of a target", async ([id, message]) => {
    const { code, stderr } = await harrow("serve", "--bug", id!);
    expect(stderr).toBe(message);
    expect(code).toBe(2);
  });
});
