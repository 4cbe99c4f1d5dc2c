/**
 * One object of JSON, at the end.
 *
 * @packageDocumentation
 */
import type { ReportedTest, ReporterOptions, SuiteReporter, SuiteResult } from "../report.ts";

export function jsonReporter({ suite, write }: Pick<ReporterOptions, "suite" | "write">): SuiteReporter {
  const tests: (ReportedTest & Omit<SuiteResult, "kind"> & { readonly result: SuiteResult["kind"] })[] = [];
  return {
    started() {},
    finished(test, { kind, ...told }) {
      tests.push({ ...test, result: kind, ...told, durationMs: Math.round(told.durationMs) });
    },
    done({ durationMs, ...summary }) {
      write(`${JSON.stringify({ suite, ...summary, durationMs: Math.round(durationMs), tests })}\n`);
    },
  };
}
