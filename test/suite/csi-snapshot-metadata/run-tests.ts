/**
 * Runs tests of the contract suite, and keeps what became of each.
 *
 * @packageDocumentation
 */
import type { DriverUnderTest } from "../../../src/suite/csi-snapshot-metadata/driver.ts";
import { csiTests, runCsiSuite } from "../../../src/suite/csi-snapshot-metadata/suite.ts";
import type { SuiteResult } from "../../../src/suite/report.ts";

export interface RunTestsOptions {
  /** All of them if left out. */
  readonly names?: readonly string[];
  readonly signal?: AbortSignal;
  /** 4 if left out, which is quick. */
  readonly offsetsMax?: number;
}

/** @returns The results by name. */
export async function runTests(
  driver: DriverUnderTest,
  { names, signal = new AbortController().signal, offsetsMax = 4 }: RunTestsOptions = {},
) {
  const results = new Map<string, SuiteResult>();
  const summary = await runCsiSuite({
    driver,
    tests: csiTests.filter(({ name }) => names === undefined || names.includes(name)),
    reporter: { started() {}, finished: ({ name }, result) => void results.set(name, result), done() {} },
    signal,
    offsetsMax,
  });
  return { results, summary };
}
