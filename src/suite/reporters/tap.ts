/**
 * The Test Anything Protocol, version 14: a line for each test as it ends.
 *
 * @packageDocumentation
 */
import type { ReporterOptions, SuiteReporter, SuiteResult } from "../report.ts";

export function tapReporter({
  testCount,
  write,
}: Pick<ReporterOptions, "testCount" | "write">): SuiteReporter {
  let isBegun = false;
  const begin = () => {
    if (!isBegun) write(`TAP version 14\n1..${testCount}\n`);
    isBegun = true;
  };
  return {
    started: begin,
    finished({ number, name }, result) {
      begin();
      const directive = result.kind === "skip" ? ` # SKIP ${oneLine(result.message)}` : "";
      write(`${result.kind === "fail" ? "not ok" : "ok"} ${number} - ${escaped(name)}${directive}\n`);
      write(diagnostics(result));
    },
    done({ isInterrupted }) {
      begin();
      if (isInterrupted) write("Bail out! interrupted\n");
    },
  };
}

/** A YAML block whose texts are JSON strings, which YAML takes as they are. */
function diagnostics(result: SuiteResult): string {
  const lines = [`  duration_ms: ${result.durationMs.toFixed(1)}`];
  if (result.kind === "fail") lines.unshift(`  message: ${JSON.stringify(result.message)}`);
  if (result.notes.length > 0)
    lines.push("  notes:", ...result.notes.map((note) => `    - ${JSON.stringify(note)}`));
  return ["  ---", ...lines, "  ...", ""].join("\n");
}

function oneLine(text: string): string {
  return escaped(text.replaceAll(/\s+/g, " "));
}

/** `#` would begin a directive, and the backslash an escape. */
function escaped(text: string): string {
  return text.replaceAll(/[\\#]/g, (character) => `\\${character}`);
}
