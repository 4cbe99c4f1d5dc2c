import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Violation } from "../../../src/model/violation.ts";
import type { AgainOptions, Case, Ground } from "../../../src/reproduce/again.ts";
import type { NotAgain, Shrunk, ShrinkOptions } from "../../../src/reproduce/shrink/shrink.ts";
import { shrink } from "../../../src/reproduce/shrink/shrink.ts";
import { DumpError } from "../../../src/reproduce/dump.ts";
import { readState, type ShrinkState, writeState } from "../../../src/reproduce/shrink/state.ts";
import { parseConfig } from "../../../src/runner/config/load.ts";
import type { RunResult } from "../../../src/runner/runner.ts";
import type { HistoryPlan } from "../../../src/selectors/history-builder.ts";
import { drawnPlan, violationOf } from "./histories.ts";

const config = parseConfig("target: { kind: memory }", "test");
const seed = 5n;

const ground: Ground = {
  description: "nothing at all",
  isEager: false,
  isRepeatable: true,
  open: () => Promise.reject(new Error("is never opened")),
};

function resultOf(violations: readonly Violation[]): RunResult {
  return { verdict: violations.length > 0 ? "violation" : "consistent", violations } as unknown as RunResult;
}

/** Fails while a tail is deallocated and something is written with FUA. */
function isCause({ visits }: HistoryPlan): boolean {
  const kinds = new Set(visits.flatMap(({ operations }) => operations.map(({ kind }) => kind)));
  return kinds.has("deallocateTail") && kinds.has("writeFua");
}

const plan = drawnPlan(5n, [0, 13, 20, 2, 1, 24, 6, 30, 9, 19, 36, 4, 3, 26, 70, 8]);

/** Options with a fake that performs nothing. */
function optionsWith(
  perform: (plan: HistoryPlan, what: Case, options: AgainOptions) => readonly Violation[],
  more: Partial<ShrinkOptions> = {},
): ShrinkOptions & { readonly states: ShrinkState[] } {
  const states: ShrinkState[] = [];
  return {
    subject: { config, seed, plan, ltsCount: plan.visits.length, violation: violationOf() },
    ...{ grounds: [ground], durationMs: 60_000, triesMax: 100, states },
    signal: new AbortController().signal,
    log: { info: () => {}, warn: () => {} },
    onState: (state) => void states.push(structuredClone(state)),
    perform: async (what, options) => resultOf(perform(what.plan!, what, options)),
    ...more,
  };
}

function expectShrunk(result: Shrunk | NotAgain): Shrunk {
  if (!("plan" in result)) throw new Error(`it did not fail again: ${result.trouble}`);
  return result;
}

const failing = (plan: HistoryPlan) => (isCause(plan) ? [violationOf()] : []);

describe("shrinking a run", () => {
  test("ends with a history that fails and from which nothing goes, and says what became of it", async () => {
    const shrunk = expectShrunk(await shrink(optionsWith(failing)));
    expect(isCause(shrunk.plan)).toBe(true);
    expect(shrunk.size).toMatchObject({ operations: 2, reads: 0, steps: 0 });
    expect(shrunk.from.lts).toBe(plan.visits.length);
    expect(shrunk).toMatchObject({ isDone: true, looks: "plain", rate: { failures: 2, tries: 2 } });
  });

  test("counts any violation of a run that is like the one that was found, and no other", async () => {
    const other = violationOf("garbage");
    const besides = await shrink(optionsWith((plan) => [other, ...failing(plan)]));
    expect(expectShrunk(besides).size.operations).toBe(2);
    const result = await shrink(
      optionsWith((plan) => (isCause(plan) ? [violationOf("zeroed", "sync")] : [])),
    );
    expect(result).toMatchObject({ trouble: undefined });
    expect(result).not.toHaveProperty("plan");
  });

  test("goes by another name of the class, if a written history has another one for the same wrong block", async () => {
    const shrunk = expectShrunk(
      await shrink(optionsWith((plan) => (isCause(plan) ? [violationOf("garbage")] : []))),
    );
    expect(shrunk.violation.class).toBe("garbage");
    expect(shrunk.size.operations).toBe(2);
  });

  test("performs each try with a number of its own", async () => {
    const attempts: number[] = [];
    await shrink(
      optionsWith((plan, _, { attempt }) => {
        attempts.push(attempt!);
        return failing(plan);
      }),
    );
    expect(attempts).toEqual(attempts.map((_, index) => index));
  });

  test("uses another ground, and looks as the run did, if it fails nowhere else", async () => {
    const eager: Ground = { ...ground, description: "another", isEager: true };
    const dumped = parseConfig(
      "target: { kind: memory }\nchecks: { recent: { every: 17 }, snapshots: { extents: 3 } }",
      "test",
    );
    const shrunk = expectShrunk(
      await shrink({
        ...optionsWith((plan, { config }, { ground }) =>
          ground.isEager && config.checks.recent.every === 17 ? failing(plan) : [],
        ),
        subject: { config: dumped, seed, plan, ltsCount: 20, violation: violationOf() },
        grounds: [ground, eager],
      }),
    );
    expect(shrunk).toMatchObject({ looks: "dumped", ground: eager });
    expect(shrunk.config.checks.snapshots.extents).toBe(3);
  });

  test("says so if it never fails again, and what was the trouble", async () => {
    const result = await shrink(optionsWith(() => []));
    expect(result).not.toHaveProperty("plan");
    const trouble = await shrink({
      ...optionsWith(() => []),
      perform: () => Promise.reject(new Error("no such target")),
    });
    expect(trouble).toMatchObject({ trouble: "no such target" });
  });

  test("keeps what fails only 1 time in 5, and says how often the smallest fails", async () => {
    const jittery = { ...ground, isRepeatable: false };
    let state = 12_345;
    const random = (): number => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
    const shrunk = expectShrunk(
      await shrink({ ...optionsWith((plan) => (random() < 0.2 ? failing(plan) : [])), grounds: [jittery] }),
    );
    expect(isCause(shrunk.plan)).toBe(true);
    expect(shrunk.size.operations).toBeLessThan(5);
    expect(shrunk.rate.tries).toBe(20);
    expect(shrunk.baseline.tries).toBeGreaterThanOrEqual(20);
  });

  test("goes on where it was stopped, to the same end", async () => {
    const straight = expectShrunk(await shrink(optionsWith(failing)));
    for (const stopAfter of [3, 10, 25]) {
      const stop = new AbortController();
      let tries = 0;
      const first = optionsWith(
        (plan) => {
          if (++tries === stopAfter) stop.abort();
          return failing(plan);
        },
        { signal: stop.signal },
      );
      const stopped = await shrink(first);
      expect(stopped).toMatchObject({ isDone: false });
      const kept = first.states.at(-1)!;
      const second = optionsWith(failing, { state: JSON.parse(JSON.stringify(kept)) as ShrinkState });
      const resumed = expectShrunk(await shrink(second));
      expect(resumed.text).toBe(straight.text);
      expect(resumed.tries).toBeGreaterThanOrEqual(kept.tries);
      expect(resumed.from).toEqual(straight.from);
      // What is done is not done again.
      const again = optionsWith(() => [], { state: second.states.at(-1)! });
      expect(expectShrunk(await shrink(again))).toMatchObject({ text: straight.text, tries: resumed.tries });
    }
  });

  test("has the best so far, and has kept it, when time is up", async () => {
    const options = optionsWith(failing, { durationMs: 150 });
    const slow = expectShrunk(
      await shrink({
        ...options,
        perform: async (what, again) => {
          await new Promise((resolve) => setTimeout(resolve, 10));
          return options.perform!(what, again);
        },
      }),
    );
    expect(slow.isDone).toBe(false);
    expect(isCause(slow.plan)).toBe(true);
    expect(options.states.at(-1)!.history).toBe(slow.text);
  });

  test("does not go on from the state of something else", async () => {
    const options = optionsWith(failing);
    await shrink(options);
    const state = options.states.at(-1)!;
    const other = optionsWith(failing, { state, grounds: [{ ...ground, description: "elsewhere" }] });
    await expect(shrink(other)).rejects.toThrow(/on nothing at all: use --afresh/);
  });
});

describe("the state of shrinking", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "harrow-shrink-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("is read as it was written, and absent where none was", async () => {
    const options = optionsWith(failing);
    await shrink(options);
    const state = options.states.at(-1)!;
    const place = join(folder, "a");
    expect(readState(place)).toBeUndefined();
    writeState(place, state);
    expect(readState(place)).toEqual(state);
  });

  test("that can not be written says so, and what to do", async () => {
    const options = optionsWith(failing);
    await shrink(options);
    const file = join(folder, "no-directory");
    await writeFile(file, "");
    expect(() => writeState(join(file, "shrunk"), options.states.at(-1)!)).toThrow(DumpError);
    expect(() => writeState(join(file, "shrunk"), options.states.at(-1)!)).toThrow(
      /state\.json: can not be written .*make room/,
    );
  });

  test("that is damaged is refused with its name, and with what to do", async () => {
    const options = optionsWith(failing);
    await shrink(options);
    const place = join(folder, "b");
    writeState(place, options.states.at(-1)!);
    const file = join(place, "state.json");
    const text = await readFile(file, "utf8");
    for (const damaged of ["", text.slice(0, 100), text.replace('"format":1', '"format":9'), "[]"]) {
      await writeFile(file, damaged);
      expect(() => readState(place)).toThrow(file);
      expect(() => readState(place)).toThrow("use --afresh");
    }
  });
});
