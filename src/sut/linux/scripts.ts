/**
 * Scripts for the Linux host: how values get into them, and what becomes of their failures.
 *
 * @packageDocumentation
 */
import { ServiceError, type ServiceErrorCode } from "../port.ts";
import { printable } from "../wording.ts";
import type { Shell, ShellOptions } from "./shell.ts";

export interface Script {
  /** What is being done, as in "taking a snapshot of ...". */
  readonly doing: string;
  /** For `sh`, run with `set -eu`; what it prints on standard error is for people. */
  readonly text: string;
  /** What statuses of its own mean; any other failure is `ERR_TARGET`. */
  readonly codes?: Readonly<Record<number, ServiceErrorCode>>;
}

/** Exit statuses by which our scripts tell failures that a caller branches on. */
export const statuses = {
  exists: 81,
  gone: 82,
  busy: 83,
  conflict: 84,
  blank: 85,
  refused: 86,
  down: 87,
} as const;

/** Most of the standard error that gets into a message. */
const linesMax = 4;
const charactersMax = 500;

/**
 * Tools of the administrator are not on the path of every login, and without udev nobody would answer dmsetup's
 * cookies. `tell STATUS TEXT` ends a script with a message.
 */
const prelude = `set -eu
PATH=$PATH:/usr/sbin:/sbin
export PATH LC_ALL=C
[ -d /run/udev ] || export DM_DISABLE_UDEV=1
tell() { echo "$2" >&2; exit "$1"; }
`;

/** One word of a shell command, whatever is in it. */
export function quoted(text: string): string {
  if (text.includes("\0"))
    throw new ServiceError("ERR_INVALID_REQUEST", "a NUL can not be in a shell's word");
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * Runs a script; resolves with its standard output.
 *
 * @throws {ServiceError} If it failed, with what was being done and the end of its standard error; the shell's own if
 * it is not known how it ended.
 */
export async function runScript(shell: Shell, script: Script, options: ShellOptions = {}): Promise<string> {
  const { doing, text, codes = {} } = script;
  let result: Awaited<ReturnType<Shell["run"]>>;
  try {
    result = await shell.run(`${prelude}${text}\n`, options);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new ServiceError(error.code, `${doing}: ${error.message}`, { cause: error });
  }
  const { status, stdout, stderr } = result;
  if (status === 0) return stdout;
  const said = lastLines(stderr);
  const code = codes[status];
  const how = code === undefined ? ` with status ${status}` : "";
  throw new ServiceError(
    code ?? "ERR_TARGET",
    `${doing}: failed${how}, at ${shell.description}${said === "" ? ", and said nothing" : `: ${said}`}`,
  );
}

/** Whether a failed call may have had its effect, or may yet. */
export function isUnclear(error: unknown): error is ServiceError {
  return (
    error instanceof ServiceError &&
    (error.code === "ERR_UNREACHABLE" || error.code === "ERR_TIMEOUT" || error.code === "ERR_BAD_ANSWER")
  );
}

function lastLines(text: string): string {
  const lines = text
    .slice(-4 * charactersMax)
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return printable(lines.slice(-linesMax).join("; "), charactersMax);
}
