/**
 * The reporters, by the name that a command line calls them.
 *
 * @packageDocumentation
 */
import type { ReporterOptions, SuiteReporter } from "../report.ts";
import { githubReporter } from "./github.ts";
import { jsonReporter } from "./json.ts";
import { junitReporter } from "./junit.ts";
import { tapReporter } from "./tap.ts";
import { textReporter } from "./text.ts";

export const reporters = {
  text: textReporter,
  junit: junitReporter,
  tap: tapReporter,
  json: jsonReporter,
  github: githubReporter,
} as const satisfies Record<
  string,
  (options: ReporterOptions & { readonly isVerbose?: boolean }) => SuiteReporter
>;

export type ReporterName = keyof typeof reporters;
