import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Violation } from "../src/model/violation.ts";
import { HistoryTestError, type HistoryTestOptions, runHistoryTest } from "../src/testing/history-test.ts";

/**
 * Failures that were found while harrow was built, and shrunk. Each is a folder: history.txt, and expect.json with the
 * mistake that the target makes and the name that it is to have; without a mistake, it was a false alarm.
 */
interface Expected extends Pick<Violation, "rule" | "class"> {
  readonly bug: string;
  readonly options: HistoryTestOptions;
}

const corpus = new URL("corpus/", import.meta.url);
const failures = readdirSync(corpus).filter((name) => existsSync(new URL(`${name}/history.txt`, corpus)));

describe.concurrent("the corpus of failures", () => {
  test("has failures", () => {
    expect(failures.length).toBeGreaterThan(40);
  });

  test.for(failures)(
    "%s fails by its name with its mistake, and passes without it",
    async (name, { signal }) => {
      const history = readFileSync(new URL(`${name}/history.txt`, corpus), "utf8");
      const text = readFileSync(new URL(`${name}/expect.json`, corpus), "utf8");
      const { bug, options, rule, class: faultClass } = JSON.parse(text) as Expected;
      await runHistoryTest({ name, history, options }, signal);
      const failure: unknown = await runHistoryTest(
        { name, history, options: { ...options, bug } },
        signal,
      ).catch((error: unknown) => error);
      expect(failure).toBeInstanceOf(HistoryTestError);
      const { violation } = failure as HistoryTestError;
      expect(`${violation.rule} ${violation.class}`).toBe(`${rule} ${faultClass}`);
    },
  );
});
