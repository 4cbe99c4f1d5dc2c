/**
 * What went wrong between this machine and a shell on another one, from what `ssh` says about it.
 *
 * @packageDocumentation
 */
import { ServiceError, type ServiceErrorCode } from "../port.ts";
import { printable } from "../wording.ts";

interface Trouble {
  readonly pattern: RegExp;
  readonly code: ServiceErrorCode;
  /** What to do, with the destination filled in for `DEST`. */
  readonly advice: string;
}

/** The first that fits is taken: a host key that has changed is followed by other lines. */
const troubles: readonly Trouble[] = [
  {
    pattern: /IDENTIFICATION HAS CHANGED/,
    code: "ERR_UNAUTHENTICATED",
    advice:
      "its host key is not the one that is known: if that is right, ssh-keygen -R HOST, then ssh DEST by hand",
  },
  {
    pattern: /host key verification failed|no matching host key|host key is known for/i,
    code: "ERR_UNAUTHENTICATED",
    advice: "its host key is not known here: connect once by hand (ssh DEST), and compare the fingerprint",
  },
  {
    pattern: /UNPROTECTED PRIVATE KEY FILE|bad permissions/,
    code: "ERR_UNAUTHENTICATED",
    advice: "the key must be readable by its owner alone: chmod 600",
  },
  {
    pattern: /permission denied|too many authentication failures/i,
    code: "ERR_UNAUTHENTICATED",
    advice:
      "it takes none of the keys: name one, without a passphrase or held by an ssh-agent, and put its public half there (ssh-copy-id DEST)",
  },
  {
    pattern:
      /a password is required|a terminal is required|not in the sudoers|not allowed to (?:run|execute)/i,
    code: "ERR_FORBIDDEN",
    advice:
      "sudo has to be allowed there without a password (visudo: USER ALL=(root) NOPASSWD: ALL), or log in as root",
  },
  {
    pattern: /sudo: not found|sudo: command not found|no such file or directory: sudo/i,
    code: "ERR_UNSUPPORTED",
    advice: "there is no sudo: log in as root, and leave sudo out",
  },
  {
    pattern: /bad configuration option|unsupported option|command-line: line|command-line line|^usage: ssh/im,
    code: "ERR_INVALID_REQUEST",
    advice: "see ssh_config(5) for the options",
  },
  {
    pattern: /could not resolve hostname/i,
    code: "ERR_UNREACHABLE",
    advice: "is the name right?",
  },
  {
    pattern: /connection refused|timed out|no route to host|network is unreachable/i,
    code: "ERR_UNREACHABLE",
    advice: "does it run, and does sshd listen there on that port?",
  },
];

/**
 * @param how.hasBegun - Whether the script may have run.
 * @param how.stderr - What was said on standard error, by ssh, sudo or the login shell.
 */
export function sshTrouble(
  destination: string,
  how: { readonly status: number | undefined; readonly stderr: string; readonly hasBegun: boolean },
): ServiceError {
  const { status, stderr, hasBegun } = how;
  const said = lastLines(stderr);
  const words = said === "" ? `ssh ended with status ${status ?? "unknown"}, and said nothing` : said;
  const after = "; how the script ended is not known";
  if (hasBegun) return new ServiceError("ERR_UNREACHABLE", `ssh ${destination}: ${words}${after}`);
  const trouble = troubles.find(({ pattern }) => pattern.test(stderr));
  if (trouble !== undefined) {
    const advice = trouble.advice.replaceAll("DEST", destination);
    return new ServiceError(trouble.code, `ssh ${destination}: ${words}: ${advice}`);
  }
  // 255 is ssh's own; what else comes back is the answer of something there that is no POSIX shell.
  if (status === 255 || status === undefined)
    return new ServiceError("ERR_UNREACHABLE", `ssh ${destination}: ${words}`);
  return new ServiceError(
    "ERR_BAD_ANSWER",
    `ssh ${destination}: ${words}: no POSIX shell answered; may this user run sh there, or is a command forced on the key?`,
  );
}

const linesMax = 4;

function lastLines(text: string): string {
  const lines = text
    .slice(-8192)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => /[^@\s]/.test(line));
  return printable(lines.slice(-linesMax).join("; "), 500);
}
