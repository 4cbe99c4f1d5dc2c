import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { shrinkDump } from "../../../src/cli/shrink.ts";
import { dumpClass } from "../../../src/gallery/dump-class.ts";
import { builtClass } from "../../../src/gallery/ground.ts";
import type { Violation } from "../../../src/model/violation.ts";
import { planConfig } from "../../../src/runner/perform-history.ts";
import { parseConfig } from "../../../src/runner/config/load.ts";
import { parseHistory } from "../../../src/selectors/history-text.ts";
import {
  HistoryTestError,
  runHistoryTest,
  type HistoryTestOptions,
} from "../../../src/testing/history-test.ts";

const log = { info: () => {}, warn: () => {} };
const { signal } = new AbortController();

let failures: string;
let printed = "";
beforeAll(async () => {
  failures = await mkdtemp(join(tmpdir(), "harrow-shrink-"));
});
afterAll(() => rm(failures, { recursive: true }));
beforeEach(() => {
  printed = "";
  for (const name of ["BUG", "TARGET", "TRIES"]) vi.stubEnv(`HARROW_${name}`, undefined);
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

async function dumped(id: string): Promise<string> {
  const options = { entry: builtClass(id), seed: 1n, failures, version: "0.0.0", log, signal };
  const { path } = await dumpClass({ ...options, serveCommand: [] });
  return path!;
}

function shrink(folder: string, more: object = {}): Promise<number> {
  return shrinkDump({
    ...{ folder, version: "0.0.0", serveCommand: [], signal },
    flags: { duration: "60s", tries: 100, logLevel: "silent", ...more },
  });
}

/** What a test file declares, as vitest would run it. */
async function declaredBy(file: string): Promise<{ history: string; options: HistoryTestOptions }> {
  const text = await readFile(file, "utf8");
  expect(text).toContain('import { historyTest } from "harrow/vitest";');
  const module = file.replace(/\.test\.ts$/, ".mjs");
  const declared = text.replace(
    /^import .*$/m,
    "export const calls = [];\nconst historyTest = (...call) => calls.push(call);",
  );
  await writeFile(module, declared);
  const { calls } = (await import(pathToFileURL(module).href)) as {
    calls: [string, string, HistoryTestOptions][];
  };
  expect(calls).toHaveLength(1);
  return { history: calls[0]![1], options: calls[0]![2] };
}

describe("a failure of the gallery", () => {
  test.for([
    ["M16", 2],
    ["M42", 3],
    ["M46", 3],
    ["M52", 4],
    ["M54", 4],
    ["H02", 3],
  ] as const)("of class %s is shrunk to at most %i operations, which a test shows", async ([id, most]) => {
    const folder = await dumped(id);
    expect(await shrink(folder, { json: true })).toBe(0);
    const { size, files, violation, isMinimal } = JSON.parse(printed) as {
      size: { operations: number; reads: number; steps: number };
      files: Record<"history" | "config" | "test", string>;
      violation: Violation;
      isMinimal: boolean;
    };
    expect(size.operations + size.reads).toBeLessThanOrEqual(most);
    expect(isMinimal).toBe(true);

    const plan = parseHistory(await readFile(files.history, "utf8"), files.history);
    const config = parseConfig(await readFile(files.config, "utf8"), files.config);
    expect(config.target.kind).toBe("memory");
    expect(planConfig(plan).geometry.volumes).toBe(plan.geometry.volumeBlocks.length);

    const { history, options } = await declaredBy(files.test);
    expect(options).not.toHaveProperty("bug");
    await runHistoryTest({ name: "correct", history, options });
    vi.stubEnv("HARROW_BUG", id);
    const error = await runHistoryTest({ name: "buggy", history, options }).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(HistoryTestError);
    expect((error as HistoryTestError).violation).toMatchObject({
      rule: violation.rule,
      class: violation.class,
    });
  });

  test("that was shrunk is told again by the same command, and shrunk anew if that is asked for", async () => {
    const folder = await dumped("M16");
    expect(await shrink(folder)).toBe(0);
    expect(printed).toMatch(/^from \d+ operations in \d+ lts to 1 in 1; \d+ tries/);
    expect(printed).toContain("nothing more can be left out");
    expect(printed).toContain("lost-write: volume 0, block");
    expect(printed).toContain("fails each time on volumes in memory");
    const first = printed;
    printed = "";
    expect(await shrink(folder)).toBe(0);
    expect(printed).toBe(first);
    printed = "";
    expect(await shrink(folder, { afresh: true })).toBe(0);
    expect(printed.split("\n").slice(3)).toEqual(first.split("\n").slice(3));
  });

  test("that takes effect at random instants is shrunk, and shown by a test each time", async () => {
    const folder = await dumped("H05");
    expect(await shrink(folder, { json: true })).toBe(0);
    const { files, setting } = JSON.parse(printed) as { files: { test: string }; setting: string };
    expect(setting).toBe("jittery");
    const { history, options } = await declaredBy(files.test);
    await runHistoryTest({ name: "correct", history, options });
    vi.stubEnv("HARROW_BUG", "H05");
    await expect(runHistoryTest({ name: "buggy", history, options })).rejects.toThrow(HistoryTestError);
  });
});

describe("harrow shrink", () => {
  test("says so and exits 1 if the failure does not come back", async () => {
    const folder = await dumped("M16");
    // Without its mistake the target keeps its word.
    const file = join(folder, "failure.json");
    const { bug: _, ...rest } = JSON.parse(await readFile(file, "utf8")) as { bug: unknown };
    await writeFile(file, JSON.stringify(rest));
    expect(await shrink(folder, { allowEdited: true })).toBe(1);
  });

  test("exits 2 with what is wrong about a duration or a folder", async () => {
    expect(await shrink(failures, { duration: "soon" })).toBe(2);
    expect(await shrink(join(failures, "none"))).toBe(2);
  });

  test("exits 130 when it is interrupted", async () => {
    const folder = await dumped("M46");
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 50);
    const code = await shrinkDump({
      ...{ folder, version: "0.0.0", serveCommand: [], signal: stop.signal },
      flags: { duration: "60s", tries: 100, logLevel: "silent" },
    });
    expect(code).toBe(130);
  });
});
