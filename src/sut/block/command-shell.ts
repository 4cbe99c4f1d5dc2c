/**
 * A shell that starts the programs for commands on ranges, one after another.
 *
 * It holds the file or device as descriptor 3, reads a line for each command, and answers with what the program
 * said and how it ended. When its input ends, so does it: it does not outlive this process.
 *
 * @packageDocumentation
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { IoResult } from "./descriptor-io.ts";
import { abortFailure, failureOfText, type IoFailure } from "./errno.ts";

/** Longest answer of a command that is kept, in characters. */
const answerCharactersMax = 4096;
/** How long disposing waits for a shell before it is killed. */
const endDeadlineMs = 5000;

/** Each line of input is a command's name, offset and length; the answer ends with a line of its exit status. */
const script = `
while read -r command offset length; do
  case "$command" in
    discard) blkdiscard --force --offset "$offset" --length "$length" /dev/fd/3 ;;
    hole) fallocate --punch-hole --offset "$offset" --length "$length" /dev/fd/3 ;;
    zeros) fallocate --zero-range --keep-size --offset "$offset" --length "$length" /dev/fd/3 ;;
  esac </dev/null 2>&1
  echo ": $?"
done
`;

/** Said by `blkdiscard --force` on every call. */
const forcedNotice = /^blkdiscard: Operation forced, data will be lost!$/m;

/** Messages are understood by their words. */
export const programEnvironment = (): NodeJS.ProcessEnv => ({ ...process.env, LC_ALL: "C" });

/** Does one command at a time. */
export class CommandShell {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #closed: Promise<void>;
  #ending: string | undefined;
  #answer = "";
  #onAnswer: ((result: IoResult) => void) | undefined;

  constructor(descriptor: number) {
    // In a session of its own: an interrupt typed at a terminal is for harrow, which ends its shells itself.
    this.#child = spawn("sh", ["-c", script], {
      stdio: ["pipe", "pipe", "ignore", descriptor] as unknown as ["pipe", "pipe", "ignore"],
      ...{ detached: true, env: programEnvironment() },
    });
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => this.#received(text));
    this.#child.stdin.on("error", () => {});
    this.#closed = new Promise((resolve) => {
      const onEnd = (why: string) => {
        this.#ended(why);
        resolve();
      };
      this.#child.once("exit", () => {
        this.#ending ??= "it has ended";
      });
      this.#child.once("error", (error) => onEnd(error.message));
      this.#child.once("close", (status, signal) => onEnd(`it ended with ${signal ?? `status ${status}`}`));
    });
  }

  get hasEnded(): boolean {
    return this.#ending !== undefined;
  }

  perform(line: string, signal: AbortSignal | undefined): Promise<IoResult> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve(abortFailure(0));
      const onAbort = () => {
        this.kill("the call was aborted");
        this.#settle({ ...abortFailure(0), isRefusal: false });
      };
      signal?.addEventListener("abort", onAbort);
      this.#onAnswer = (result) => {
        signal?.removeEventListener("abort", onAbort);
        resolve(result);
      };
      if (this.#ending === undefined) this.#child.stdin.write(`${line}\n`);
      else this.#settle(notStarted(this.#ending));
    });
  }

  /** Also of the program that it runs. */
  kill(why: string): void {
    this.#ending ??= why;
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // It has ended already.
    }
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    const timer = setTimeout(() => this.kill("the device was closed"), endDeadlineMs);
    await this.#closed;
    clearTimeout(timer);
  }

  #received(text: string): void {
    this.#answer = (this.#answer + text).slice(-answerCharactersMax);
    const end = /(?:^|\n): (\d+)\n$/.exec(this.#answer);
    if (end === null) return;
    const said = this.#answer.slice(0, end.index).replace(forcedNotice, "").trim();
    this.#answer = "";
    this.#settle(
      end[1] === "0" ? undefined : failureOfText(said === "" ? `it ended with status ${end[1]}` : said),
    );
  }

  #ended(why: string): void {
    this.#ending ??= why;
    const { pid } = this.#child;
    this.#settle(
      pid === undefined
        ? notStarted(why)
        : {
            code: "ERR_TARGET",
            isRefusal: false,
            text: `the process that makes the call: ${why}`,
            doneBytes: 0,
          },
    );
  }

  #settle(result: IoResult): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.(result);
  }
}

function notStarted(why: string): IoFailure {
  const text = `the process that makes the call can not be started: ${why}`;
  return { code: "ERR_TARGET", isRefusal: true, text, doneBytes: 0 };
}
