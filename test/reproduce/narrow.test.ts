import { describe, expect, test } from "vitest";
import { builtClass, groundOf } from "../../src/gallery/ground.ts";
import { performTrial } from "../../src/gallery/trial.ts";
import type { Ground } from "../../src/reproduce/again.ts";
import { type NarrowedDump, type NarrowOptions, narrow } from "../../src/reproduce/narrow.ts";
import { conclusionOf, narrowJson, narrowText, needsOf } from "../../src/reproduce/narrow-report.ts";

const log = { info: () => {}, warn: () => {} };
const around = { serveCommand: [], signal: new AbortController().signal, log };

interface Failed {
  readonly dump: NarrowedDump;
  readonly ground: Ground;
}

const failures = new Map<string, Promise<Failed>>();

/** What a class of the gallery leaves, and where it does so again. */
function failed(id: string): Promise<Failed> {
  const known = failures.get(id) ?? failedFirst(id);
  failures.set(id, known);
  return known;
}

async function failedFirst(id: string): Promise<Failed> {
  const entry = builtClass(id);
  const { config, result } = await performTrial({
    ...{ entry, variant: "fault", seed: 1n, ...around },
    config: { runner: { stopAfterViolations: 1 } },
  });
  const violations = result.violations.map((violation) => ({ violation, exhibit: undefined }));
  expect(violations.length).toBeGreaterThan(0);
  const bug = { class: id, seed: "1", isEager: true, setting: entry.mutant.setting };
  return {
    dump: { config, seed: 1n, plan: undefined, ltsCount: result.ltsCount, violations },
    ground: groundOf({ bug, config, target: "configured", ...around }),
  };
}

function narrowed({ dump, ground }: Failed, options: Partial<NarrowOptions> = {}) {
  return narrow(dump, {
    ...{ grounds: [ground], hasWire: false, tries: 3, durationMs: 60_000, ...around },
    ...options,
  });
}

describe("narrowing down", { timeout: 60_000 }, () => {
  test.for<[string, string, readonly string[]]>([
    ["M16", "a lost write", ["no-data"]],
    ["M54", "zeros that a diff leaves out", ["no-write", "no-zeros", "no-diffs"]],
    ["M46", "a snapshot that is written to", ["no-data", "no-snapshots"]],
    ["M51", "a diff that forgets after growth", ["no-data", "no-diffs", "no-resizes"]],
  ])("says what %s, %s, needs", async ([id, , needs]) => {
    const result = await narrowed(await failed(id));
    expect(result.asItWas).toMatchObject({ failures: 1, tries: 1, verdict: "fails" });
    expect(needsOf(result.rows).map((row) => row.id)).toEqual(needs);
    for (const row of result.rows) expect(row.undecided).toEqual([]);
    expect(result.unfinished).toEqual([]);
  });

  test("tells what it takes several lts in flight for", async () => {
    const result = await narrowed(await failed("M50"));
    expect(result.asItWas.tries).toBe(3);
    const needs = needsOf(result.rows).map(({ id }) => id);
    expect(needs[0]).toMatch(/^(sequential|depth-2)$/);
    expect(needs.slice(1)).toEqual(["no-data", "no-diffs", "snapshots-at-rest"]);
  });

  test("prints a table, and in a sentence what it depends on", async () => {
    const result = await narrowed(await failed("M54"));
    const text = narrowText(result, { path: "failures/x" });
    const lines = text.split("\n");
    expect(lines[0]).toBe("omission (rule diff) of failures/x");
    expect(lines[1]).toMatch(
      /^the whole history, \d+ lts, on volumes in memory, .*, made whenever it can be$/,
    );
    expect(lines[3]).toMatch(/^switch +failed +another failure +verdict$/);
    expect(text).toMatch(/^as it was +1 of 1 +- +fails$/m);
    expect(text).toMatch(/^without write-zeroes +1 of 1 +- +still fails$/m);
    expect(text).toMatch(/^without anything that makes zeros +0 of 1 +- +vanishes$/m);
    expect(lines.at(-2)).toBe(
      "It needs write, something that makes zeros and diffs; does not need several operations of an lts in flight, write-fua, flush or content that compresses.",
    );
    const json = JSON.parse(narrowJson(result, { version: "1", dump: { path: "x", seed: 1n } }));
    expect(json).toMatchObject({
      class: "omission",
      needs: ["no-write", "no-zeros", "no-diffs"],
      unfinished: [],
    });
    expect(json.switches).toContainEqual({
      ...{ id: "no-diffs", title: "without diffs", failures: 0, tries: 1 },
      ...{ others: [], undecided: [], verdict: "vanishes", byChance: 0 },
    });
  });

  test("says so if the failure does not come back, and tries nothing else", async () => {
    const { dump, ground } = await failed("M16");
    const honest = groundOf({ config: dump.config, target: "memory", ...around });
    const result = await narrowed({ dump, ground: honest });
    expect(result).toMatchObject({ asItWas: { failures: 0, tries: 1 }, rows: [], unfinished: [] });
    expect(conclusionOf(result)).toContain("did not come back as it was");
    const second = await narrowed({ dump, ground: honest }, { grounds: [honest, ground] });
    expect(second.ground).toBe(ground);
    expect(second.asItWas.failures).toBe(1);
  });

  test("counts tries of what fails now and then, and tells how likely it only seems to vanish", async () => {
    const { dump, ground } = await failed("M16");
    const honest = groundOf({ config: dump.config, target: "memory", ...around });
    const now: Ground = {
      ...{ description: "now and then", isEager: false, isRepeatable: false },
      open: (config, run) => (run.attempt % 2 === 0 ? honest : ground).open(config, run),
    };
    const result = await narrowed({ dump, ground: now }, { tries: 4 });
    expect(result.asItWas).toMatchObject({ failures: 2, tries: 4 });
    expect(result.rows.find(({ id }) => id === "no-data")).toMatchObject({
      ...{ failures: 0, tries: 4, verdict: "vanishes", byChance: 1 / 16 },
    });
    expect(narrowText(result, { path: "x" })).toMatch(/0 of 4 +- +vanishes \(or missed: 6 %\)/);
    expect(result.rows.find(({ id }) => id === "no-flush")).toMatchObject({
      failures: 2,
      verdict: "still fails",
    });
  });

  test("goes by rule and class, and names what else is found", async () => {
    const { dump, ground } = await failed("M16");
    const [first] = dump.violations;
    const violation = { ...first!.violation, class: "bit-flip" } as const;
    const result = await narrowed({
      dump: { ...dump, violations: [{ violation, exhibit: undefined }] },
      ground,
    });
    expect(result.asItWas).toMatchObject({ failures: 0, tries: 1, others: ["lost-write"] });
  });

  test("has no answer from a target that can not be opened, and says why", async () => {
    const { dump, ground } = await failed("M16");
    const broken = { ...ground, open: () => Promise.reject(new Error("no room left")) };
    const result = await narrowed({ dump, ground: broken });
    expect(result.asItWas).toMatchObject({ tries: 0, verdict: "no answer", undecided: ["no room left"] });
    expect(narrowText(result, { path: "x" })).toContain("No answer, as it was: no room left");
  });

  test("that is interrupted tells what it has, and what it has not", async () => {
    const stop = new AbortController();
    const failure = await failed("M54");
    const result = await narrowed(failure, {
      signal: stop.signal,
      onRow: ({ id }) => {
        if (id === "no-write") stop.abort();
      },
    });
    expect(result.wasInterrupted).toBe(true);
    expect(result.rows.map(({ id }) => id)).toEqual(["one-operation", "no-write"]);
    expect(result.unfinished).toContain("without diffs");
    expect(narrowText(result, { path: "x" })).toContain(
      "Interrupted; not tried, or not as often: without write-fua,",
    );
  });

  test("that has no time left tells what it has", async () => {
    const result = await narrowed(await failed("M54"), { durationMs: 1 });
    expect(result.wasInterrupted).toBe(false);
    expect(result.asItWas.tries).toBeLessThanOrEqual(1);
  });
});

describe("of a long history", { timeout: 60_000 }, () => {
  const base = { ...around, grounds: [], hasWire: false, tries: 1, durationMs: 60_000 };

  test("the extents of the violations and those beside them are performed, or the newest lts", async () => {
    const { dump, ground } = await failed("M16");
    const long = { ...dump, ltsCount: 30_000 };
    const idle: Ground = { ...ground, open: () => Promise.reject(new Error("not now")) };
    const near = await narrow(long, { ...base, grounds: [idle] });
    expect(near.scope).toMatch(/^the \d+ lts, of 30000, on the extents of the violations and beside them$/);
    const { violation } = dump.violations[0]!;
    const nowhere = { violation: { ...violation, blockCount: 0 }, exhibit: undefined };
    const newest = await narrow({ ...long, violations: [nowhere] }, { ...base, grounds: [idle] });
    expect(newest.scope).toBe("the newest 20000 lts of 30000");
  });
});
