/**
 * The contract of a SnapshotMetadata service as a suite: its tests in their order, and how they are run.
 *
 * @packageDocumentation
 * @see Container Storage Interface specification, "SnapshotMetadata Service RPC".
 */
import { ServiceError } from "../../sut/port.ts";
import { type SuiteReporter, type SuiteResult, type SuiteSummary, summaryOf } from "../report.ts";
import { Bench } from "./bench.ts";
import { contentTests } from "./content-tests.ts";
import { ContractFailure, type ContractTest, type Need } from "./contract-test.ts";
import type { DriverUnderTest } from "./driver.ts";
import { messageTests } from "./message-tests.ts";
import { pagingTests } from "./paging-tests.ts";
import { refusalTests } from "./refusal-tests.ts";
import { resumeTests } from "./resume-tests.ts";
import { timeTests } from "./time-tests.ts";

export const csiTests: readonly ContractTest[] = [
  ...messageTests,
  ...pagingTests,
  ...resumeTests,
  ...refusalTests,
  ...contentTests,
  ...timeTests,
];

export interface CsiSuiteOptions {
  readonly driver: DriverUnderTest;
  readonly tests: readonly ContractTest[];
  readonly reporter: SuiteReporter;
  readonly signal: AbortSignal;
  /** Most offsets of one kind from which an answer is taken up again; 400 if absent. */
  readonly offsetsMax?: number;
}

/** Runs tests one after another; one that was stopped by the signal is not reported. */
export async function runCsiSuite(options: CsiSuiteOptions): Promise<SuiteSummary> {
  const { driver, tests, reporter, signal } = options;
  const bench = new Bench(driver, signal, options.offsetsMax ?? 400);
  const results: SuiteResult[] = [];
  const startMs = performance.now();
  for (const [index, test] of tests.entries()) {
    if (signal.aborted) break;
    const { name, title, group } = test;
    const reported = { number: index + 1, name, title, group };
    reporter.started(reported);
    const result = await runTest(bench, test);
    if (signal.aborted) break;
    results.push(result);
    reporter.finished(reported, result);
  }
  const summary = summaryOf(results, {
    durationMs: performance.now() - startMs,
    isInterrupted: signal.aborted,
  });
  reporter.done(summary);
  return summary;
}

async function runTest(bench: Bench, test: ContractTest): Promise<SuiteResult> {
  const startMs = performance.now();
  bench.notes = [];
  const told = () => ({ notes: [...new Set(bench.notes)], durationMs: performance.now() - startMs });
  const lacking = test.needs.map((need) => lack(need, bench.driver)).find((text) => text !== undefined);
  if (lacking !== undefined) return { kind: "skip", message: `needs ${lacking}`, ...told() };
  try {
    await test.run(bench);
    return { kind: "pass", ...told() };
  } catch (error) {
    return { kind: "fail", message: messageOf(error), ...told() };
  }
}

/** What a test would need and is not there. */
function lack(need: Need, { hooks, snapshots }: DriverUnderTest): string | undefined {
  switch (need) {
    case "snapshot":
      return hooks === undefined && snapshots.length < 1 ? "a snapshot: name one with --snapshot" : undefined;
    case "two snapshots":
      return hooks === undefined && snapshots.length < 2
        ? "two snapshots of one volume: name them with --snapshot, the older first"
        : undefined;
    case "hooks":
      return hooks === undefined ? "hooks that write and take snapshots" : undefined;
    case "deleting":
      return hooks?.deleteSnapshot === undefined ? "a hook that deletes snapshots" : undefined;
    case "growing":
      return hooks?.growVolume === undefined ? "a hook that makes a volume larger" : undefined;
    default:
      return need satisfies never;
  }
}

function messageOf(error: unknown): string {
  if (error instanceof ContractFailure) return error.message;
  if (error instanceof ServiceError) return `${error.code}: ${error.message}`;
  return `the test itself failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
