import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { HistoryTextError } from "../../src/selectors/history-text.ts";
import {
  type HistoryTestOptions,
  HistoryTestError,
  runHistoryTest,
  triesOf,
} from "../../src/testing/history-test.ts";
import { losingWrites, openMemory } from "./memory-target.ts";

beforeEach(() => {
  for (const one of ["BUG", "TARGET", "TRIES"]) vi.stubEnv(`HARROW_${one}`, undefined);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const history = `
harrow history 1
seed           0x1
block-size     4096
extent-blocks  8
volume-blocks  16

0.0  0/0  write  3
after 0   snapshot a
1.0  0/0  write  3
2.0  0/1  write  1..2
`;

function run(options: HistoryTestOptions = {}, text = history): Promise<void> {
  return runHistoryTest({ name: "a history (1)", history: text, options });
}

async function failureOf(options: HistoryTestOptions): Promise<HistoryTestError> {
  const error = await run(options).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(HistoryTestError);
  return error as HistoryTestError;
}

describe("a test of a history", () => {
  test.for<[string, HistoryTestOptions]>([
    ["volumes in memory", {}],
    ["volumes in memory, at random instants", { target: "jittery", tries: 3 }],
    ["a target of its own", { target: (config) => openMemory(config) }],
    ["a target that a configuration names", { config: { target: { kind: "memory" } } }],
  ])("passes on %s", async ([, options]) => {
    await run(options);
  });

  test("fails with the violation, the history, and how to run it again", async () => {
    const { violation, message } = await failureOf({ bug: "M46" });
    expect(violation).toMatchObject({ rule: "snapshot", class: "mutated" });
    expect(message).toMatch(/^mutated\n\nmutated: volume 0, block 3 of snapshot 0/);
    expect(message).toContain("  2.0  0/1  write  1..2\n");
    expect(message.split("\n").at(-1)).toBe("  HARROW_BUG=M46 npx vitest run -t 'a history \\(1\\)'");
  });

  test("fails on a target of its own that loses writes", async () => {
    const { violation } = await failureOf({
      target: (config) => openMemory(config, { faultsOf: losingWrites }),
    });
    expect(violation.rule).toBe("quiescent");
  });

  test("makes no mistake of a class whose checks are off", async () => {
    await run({ bug: "M46", checks: { snapshots: { extents: 0, atEnd: false }, recent: { every: 1 } } });
  });

  test("is told by the environment which mistake, which target and how often", async () => {
    vi.stubEnv("HARROW_BUG", "M46");
    await failureOf({});
    vi.stubEnv("HARROW_BUG", undefined);
    vi.stubEnv("HARROW_TARGET", "memory");
    await run({ target: () => Promise.reject(new Error("is not opened")) });
    vi.stubEnv("HARROW_TRIES", "7");
    expect(triesOf({ name: "", history, options: { tries: 2 } })).toBe(7);
  });

  test.for([
    ["HARROW_TARGET", "the moon", "expected memory, jittery or embedded"],
    ["HARROW_TRIES", "0", "expected a number from 1 to 999999"],
    ["HARROW_BUG", "M99", "expected a class of the gallery"],
  ] as const)("refuses %s=%s", async ([name, value, message]) => {
    vi.stubEnv(name, value);
    await expect(run()).rejects.toThrow(message);
  });

  test("refuses what is no history, and a target that can not be put to trouble", async () => {
    await expect(run({}, "harrow history 9")).rejects.toThrow(HistoryTextError);
    const troubled = `${history}after 2 reset-connections\n`;
    await run({}, troubled);
    await expect(
      run({ target: (config) => openMemory(config), config: { target: { kind: "embedded" } } }, troubled),
    ).rejects.toThrow("can not be put to trouble");
  });

  test("that is stopped does not pass", async () => {
    const test = { name: "stopped", history, options: {} };
    await expect(runHistoryTest(test, AbortSignal.abort(new Error("stopped")))).rejects.toThrow();
  });
});
