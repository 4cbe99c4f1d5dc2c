/**
 * The XML of JUnit, as CI servers read it: one document, at the end.
 *
 * @packageDocumentation
 */
import type { ReportedTest, ReporterOptions, SuiteReporter, SuiteResult } from "../report.ts";

export function junitReporter({ suite, write }: Pick<ReporterOptions, "suite" | "write">): SuiteReporter {
  const cases: string[] = [];
  return {
    started() {},
    finished(test, result) {
      cases.push(caseOf(suite, test, result));
    },
    done({ passed, failed, skipped, durationMs }) {
      const counts = `tests="${passed + failed + skipped}" failures="${failed}" errors="0" skipped="${skipped}"`;
      const time = `time="${seconds(durationMs)}"`;
      write('<?xml version="1.0" encoding="UTF-8"?>\n');
      write(`<testsuites ${counts} ${time}>\n`);
      write(`  <testsuite name="${escaped(suite)}" ${counts} ${time}>\n`);
      for (const text of cases) write(text);
      write("  </testsuite>\n</testsuites>\n");
    },
  };
}

function caseOf(suite: string, { name, title, group }: ReportedTest, result: SuiteResult): string {
  const className = escaped(`${suite}.${group.replaceAll(/\W+/g, "_")}`);
  const lines = [
    `    <testcase name="${escaped(name)}" classname="${className}" time="${seconds(result.durationMs)}">`,
  ];
  if (result.kind === "fail")
    lines.push(
      `      <failure message="${escaped(result.message.split("\n")[0]!)}">${escaped(result.message)}</failure>`,
    );
  if (result.kind === "skip") lines.push(`      <skipped message="${escaped(result.message)}"/>`);
  lines.push(`      <system-out>${escaped([title, ...result.notes].join("\n"))}</system-out>`);
  lines.push("    </testcase>", "");
  return lines.join("\n");
}

function seconds(durationMs: number): string {
  return (durationMs / 1000).toFixed(3);
}

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** Without the characters that XML 1.0 cannot hold in any form. */
function escaped(text: string): string {
  return text
    .replaceAll(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replaceAll(/[&<>"]/g, (character) => entities[character]!);
}
