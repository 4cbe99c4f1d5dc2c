import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type ReproduceFlags, reproduce } from "../../src/cli/reproduce.ts";
import { dumpClass } from "../../src/gallery/dump-class.ts";
import { builtClass } from "../../src/gallery/ground.ts";

let failures: string;
/** Of a lost write, and of an answer that nothing is left of. */
let lost: string;
let stateless: string;
beforeAll(async () => {
  failures = await mkdtemp(join(tmpdir(), "harrow-test-"));
  lost = await dumpOf("M16");
  stateless = await dumpOf("H04");
});
afterAll(() => rm(failures, { recursive: true }));

async function dumpOf(id: string): Promise<string> {
  const { signal } = new AbortController();
  const log = { info: () => {}, warn: () => {} };
  const about = { failures, version: "0", log, serveCommand: [], signal };
  return (await dumpClass({ ...about, entry: builtClass(id), seed: 1n })).path!;
}

interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function said(
  folder: string,
  flags: Partial<ReproduceFlags>,
  { signal } = new AbortController(),
): Promise<Said> {
  const streams = [process.stdout, process.stderr].map((stream) =>
    vi.spyOn(stream, "write").mockReturnValue(true),
  );
  try {
    const code = await reproduce({
      folder,
      flags: { logLevel: "warn", ...flags } as ReproduceFlags,
      ...{ version: "0", serveCommand: [], signal },
    });
    const [stdout, stderr] = streams.map((spy) => spy.mock.calls.map(([text]) => text).join(""));
    return { code, stdout: stdout!, stderr: stderr! };
  } finally {
    for (const spy of streams) spy.mockRestore();
  }
}

describe("harrow reproduce --image", () => {
  test("tells of each violation whether it is there again, and what was looked at", async () => {
    const { code, stdout, stderr } = await said(lost, { image: true });
    expect(stderr).toBe("");
    const [head, first, text, ...rest] = stdout.trimEnd().split("\n");
    expect(head).toBe(`image: the images in ${lost}, of volumes in memory`);
    expect(first).toMatch(/^ {2}again {6}lost-write: volume 0, block \d+ \(rule quiescent, as of lts \d+\)$/);
    expect(text).toMatch(/^ {13}the image holds the bytes that were read: lost-write \(rule quiescent\): /);
    expect(rest.at(-1)).toBe("  4 violations: 4 again");
    expect(code).toBe(1);
  });

  test("tells it as one JSON object, way by way", async () => {
    const { code, stdout } = await said(lost, { image: true, live: true, json: true });
    const told = JSON.parse(stdout);
    expect(told).toMatchObject({
      ...{ version: "0", folder: lost, seed: "0x1" },
      image: {
        outcome: "violation",
        judgements: { length: 4, 0: { verdict: "again", found: { class: "lost-write" } } },
      },
      live: { outcome: "undecided", judgements: { length: 4, 0: { verdict: "not-kept" } } },
    });
    expect(code).toBe(1);
  });

  test("does not call consistent what nobody can tell", async () => {
    const { code, stdout } = await said(stateless, { image: true });
    expect(stdout).toMatch(/^ {2}not known {2}wrong-compare: /m);
    expect(stdout).toMatch(/1 violation: 1 not known\n$/);
    expect(code).toBe(3);
  });
});

test("harrow reproduce --live says that a target was gone with its process", async () => {
  const { code, stdout } = await said(lost, { live: true });
  expect(stdout).toMatch(/^live: volumes in memory\n/);
  expect(stdout).toContain("gone with its process");
  expect(code).toBe(3);
});

test("a folder that can not be used is refused, with the name of the file", async () => {
  const nowhere = await said(join(failures, "nowhere"), { image: true });
  expect(nowhere).toMatchObject({ code: 2, stdout: "" });
  expect(nowhere.stderr).toMatch(/nowhere: there is no such folder/);
  const damaged = await dumpOf("M01");
  await writeFile(join(damaged, "model", "run.sqlite"), "no database");
  const refused = await said(damaged, { image: true });
  expect(refused).toMatchObject({ code: 2, stdout: "" });
  expect(refused.stderr).toMatch(/run\.sqlite: is truncated: /);
});

test("an interrupted command says nothing more", async () => {
  const controller = new AbortController();
  controller.abort();
  expect(await said(lost, { image: true }, controller)).toEqual({ code: 130, stdout: "", stderr: "" });
});
