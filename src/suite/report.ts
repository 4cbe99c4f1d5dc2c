/**
 * How a suite of named tests tells what became of them: to people, or to the machines that gather test results.
 *
 * A suite says when a test starts and how it ended; what that looks like is the business of one reporter.
 *
 * @packageDocumentation
 */

/** A test as it is reported. */
export interface ReportedTest {
  /** Position in the suite, from 1. */
  readonly number: number;
  /** How it is chosen and found again, such as `resume_boundaries`. */
  readonly name: string;
  /** What it is about, in a sentence or half of one. */
  readonly title: string;
  /** Part of the suite that it belongs to, such as `resume`. */
  readonly group: string;
}

interface Told {
  /** What was seen, for people, line by line. */
  readonly notes: readonly string[];
  readonly durationMs: number;
}

/** What became of a test. */
export type SuiteResult =
  | (Told & { readonly kind: "pass" })
  | (Told & {
      readonly kind: "fail";
      /** What is wrong, and where. */
      readonly message: string;
    })
  | (Told & {
      readonly kind: "skip";
      /** Why it was not run, or what it would need. */
      readonly message: string;
    });

export interface SuiteSummary {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly durationMs: number;
  /** The suite was stopped before its end. */
  readonly isInterrupted: boolean;
}

/** Told of each test in turn; tests do not overlap. */
export interface SuiteReporter {
  started(test: ReportedTest): void;
  finished(test: ReportedTest, result: SuiteResult): void;
  /** Nothing follows. */
  done(summary: SuiteSummary): void;
}

/** What a reporter is made with. */
export interface ReporterOptions {
  /** Name of the suite, such as `csi-snapshot-metadata`. */
  readonly suite: string;
  readonly testCount: number;
  readonly write: (text: string) => void;
  /** What is written is seen on a terminal at once: lines may be written over, and colours be used. */
  readonly isTerminal: boolean;
}

/** Adds up results. */
export function summaryOf(
  results: readonly SuiteResult[],
  { durationMs, isInterrupted }: { readonly durationMs: number; readonly isInterrupted: boolean },
): SuiteSummary {
  const count = (kind: SuiteResult["kind"]) => results.filter((result) => result.kind === kind).length;
  return {
    passed: count("pass"),
    failed: count("fail"),
    skipped: count("skip"),
    durationMs,
    isInterrupted,
  };
}
