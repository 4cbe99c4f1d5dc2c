/**
 * Workflow commands of GitHub Actions: failures become annotations, notes fold away.
 *
 * @packageDocumentation
 */
import type { ReporterOptions, SuiteReporter } from "../report.ts";

export function githubReporter({
  suite,
  testCount,
  write,
}: Pick<ReporterOptions, "suite" | "testCount" | "write">): SuiteReporter {
  return {
    started() {},
    finished({ number, name, title }, result) {
      // What a driver says is in the notes: no command of its own may begin in them.
      write(`::group::${data(`${number}/${testCount} ${result.kind.toUpperCase()} ${name}: ${title}`)}\n`);
      for (const note of result.notes) write(`  ${note.replaceAll("\n", "\n  ").replaceAll("::", ": :")}\n`);
      write("::endgroup::\n");
      if (result.kind === "fail")
        write(`::error title=${property(`${suite}: ${name}`)}::${data(result.message)}\n`);
      if (result.kind === "skip")
        write(`::notice title=${property(`${suite}: ${name} skipped`)}::${data(result.message)}\n`);
    },
    done({ passed, failed, skipped }) {
      write(`${suite}: ${passed} passed, ${failed} failed, ${skipped} skipped\n`);
    },
  };
}

function data(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function property(text: string): string {
  return data(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
