/**
 * For people who know the published suites: a head, a dotted line for each test, and a table with what was noted.
 *
 * Notes stand under the tests that failed, or under all of them.
 *
 * @packageDocumentation
 */
import type { ReportedTest, ReporterOptions, SuiteReporter, SuiteResult } from "../report.ts";
import { TestLine, words } from "./test-line.ts";

export interface ListingOptions extends ReporterOptions {
  /** Of the head, in place of the suite's name. */
  readonly title?: string;
  /** Lines of the head, each with what it is about, such as `endpoint`. */
  readonly facts?: readonly (readonly [name: string, text: string])[];
  /** Also shows the notes of tests that passed. */
  readonly isVerbose?: boolean;
}

const spinner = [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"];
const spinnerMs = 100;
const width = 70;
/** Characters of a test's line up to its result: number, name and dots. */
const placeWidth = 48;

export function listingReporter(options: ListingOptions): SuiteReporter {
  const { suite, testCount, write, title, facts = [], isVerbose = false } = options;
  const finished: { readonly test: ReportedTest; readonly result: SuiteResult }[] = [];
  const [double, single] = ["═".repeat(width), "─".repeat(width)];
  const line = new TestLine(options);
  let hasBegun = false;

  const begin = (): void => {
    if (hasBegun) return;
    hasBegun = true;
    const factWidth = Math.max(0, ...facts.map(([name]) => name.length));
    const lines = facts.map(([name, text]) => `  ${name.padEnd(factWidth)}  ${text}\n`);
    const count = `${testCount} ${testCount === 1 ? "test" : "tests"}`;
    write(`${double}\n  ${title ?? suite}  (${count})\n${lines.join("")}${double}\n\n`);
  };
  const place = ({ number, name }: ReportedTest): string =>
    `  ${`[${number}/${testCount}] ${name} `.padEnd(placeWidth, ".")}`;

  return {
    started(test) {
      begin();
      line.turn(
        spinner.map((mark) => `${place(test)} ${mark}`),
        spinnerMs,
      );
    },
    finished(test, result) {
      begin();
      line.clear();
      finished.push({ test, result });
      write(
        `${place(test)} ${line.coloured(result.kind, words[result.kind])}  (${seconds(result.durationMs)})\n`,
      );
      if (result.kind !== "pass") write(indented("      ", result.message));
    },
    done({ passed, failed, skipped, durationMs, isInterrupted }) {
      begin();
      line.clear();
      write(
        `\n${double}\n  ${"TEST".padEnd(37)}  ${"RESULT".padEnd(6)}  ${"DURATION".padStart(8)}\n${single}\n`,
      );
      for (const { test, result } of finished) {
        const word = line.coloured(result.kind, words[result.kind].padEnd(6));
        write(`  ${test.name.padEnd(37)}  ${word}  ${seconds(result.durationMs).padStart(8)}\n`);
        const isTold = isVerbose || result.kind !== "pass";
        for (const note of isTold ? result.notes : []) write(indented("    · ", note));
        if (result.kind !== "pass") write(indented("    ✗ ", result.message));
      }
      const notRun = testCount - finished.length;
      const verdict = isInterrupted
        ? `INTERRUPTED, ${notRun} not run`
        : failed > 0
          ? `${failed} FAILED${notRun > 0 ? `, ${notRun} not run` : ""}`
          : skipped > 0
            ? `${skipped} SKIPPED`
            : "ALL PASSED";
      const kind = failed > 0 ? "fail" : isInterrupted || skipped > 0 ? "skip" : "pass";
      const total = `${passed}/${testCount} passed  |  ${line.coloured(kind, verdict)}  |  total ${seconds(durationMs)}`;
      write(`${single}\n  ${total}\n${double}\n`);
    },
  };
}

/** The first line after a mark, the others below it. */
function indented(mark: string, text: string): string {
  return text
    .split("\n")
    .map((line, index) => `${index === 0 ? mark : " ".repeat(mark.length)}${line}\n`)
    .join("");
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)}s`;
}
