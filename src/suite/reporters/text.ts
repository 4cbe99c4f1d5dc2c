/**
 * For people: a numbered line for each test, what was noted under it, and a table at the end.
 *
 * @packageDocumentation
 */
import type { ReportedTest, ReporterOptions, SuiteReporter, SuiteResult } from "../report.ts";
import { TestLine, words } from "./test-line.ts";

const spinner = ["|", "/", "-", "\\"] as const;
const spinnerMs = 120;

/** @param options.isVerbose - Also shows the notes of tests that passed. */
export function textReporter(options: ReporterOptions & { readonly isVerbose?: boolean }): SuiteReporter {
  const { suite, testCount, write, isVerbose = false } = options;
  const finished: { readonly test: ReportedTest; readonly result: SuiteResult }[] = [];
  const digits = String(testCount).length;
  const line = new TestLine(options);
  const place = ({ number }: ReportedTest) => `[${String(number).padStart(digits)}/${testCount}]`;

  return {
    started(test) {
      line.turn(
        spinner.map((mark) => `${place(test)} ${mark} ${test.name}`),
        spinnerMs,
      );
    },
    finished(test, result) {
      line.clear();
      finished.push({ test, result });
      const word = line.coloured(result.kind, words[result.kind]);
      write(`${place(test)} ${word}  ${test.name}  ${test.title} (${seconds(result)})\n`);
      if (result.kind !== "pass") write(`${indented(result.message)}\n`);
      if (result.kind === "fail" || isVerbose) for (const note of result.notes) write(`${indented(note)}\n`);
    },
    done({ passed, failed, skipped, durationMs, isInterrupted }) {
      line.clear();
      write(`\n${table(finished)}\n`);
      const total = `${passed} passed, ${failed} failed, ${skipped} skipped`;
      const end = isInterrupted ? `; interrupted, ${testCount - finished.length} not run` : "";
      write(`${suite}: ${total} in ${(durationMs / 1000).toFixed(1)} s${end}\n`);
    },
  };
}

/** A row for each test: number, name, group, result, time and the first line of what is to be known of it. */
function table(rows: readonly { readonly test: ReportedTest; readonly result: SuiteResult }[]): string {
  const cells = rows.map(({ test, result }) => [
    String(test.number),
    test.name,
    test.group,
    words[result.kind],
    seconds(result),
    shortened((result.kind === "pass" ? result.notes[0] : result.message) ?? ""),
  ]);
  const all = [["#", "test", "group", "result", "time", "note"], ...cells];
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padStart(widths[0]!) : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd();
  const rule = widths.map((width) => "-".repeat(width)).join("  ");
  return [line(all[0]!), rule, ...all.slice(1).map(line)].join("\n");
}

/** Longest note in the table, in characters; whole ones stand under the test. */
const noteLengthMax = 72;

function shortened(text: string): string {
  const [first = ""] = text.split("\n");
  return first.length > noteLengthMax ? `${first.slice(0, noteLengthMax - 1)}…` : first;
}

function indented(text: string): string {
  return text
    .split("\n")
    .map((line) => `        ${line}`)
    .join("\n");
}

function seconds({ durationMs }: SuiteResult): string {
  return `${(durationMs / 1000).toFixed(2)} s`;
}
