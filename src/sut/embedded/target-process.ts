/**
 * One process of the embedded target, from its start to its end.
 *
 * @packageDocumentation
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { FaultChannel } from "./fault-channel.ts";
import { LineReader } from "./lines.ts";
import { parseReadyLine, type ReadyMessage, readyLineLengthMax } from "./ready-line.ts";

/** How a process ended: one of the two is a value, or none if it could not be started. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The process did not start, or not say where it serves. The message has the end of its standard error. */
export class LaunchError extends Error {
  override readonly name = "LaunchError";
}

export interface TargetProcessOptions {
  /** Program and all its arguments. */
  readonly command: readonly string[];
  /** Added to the environment of this process. */
  readonly environment: Readonly<Record<string, string>>;
  readonly readyTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** Told how the process ended, if nobody here ended it. */
  readonly onUnexpectedExit: ((message: string) => void) | undefined;
  /** Told each line of its standard output that is neither the first nor an answer. */
  readonly onLine?: ((line: string) => void) | undefined;
}

const stderrTailLength = 4096;

export class TargetProcess {
  /** Trouble for its hosts. */
  readonly faults: FaultChannel;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #exit: Promise<Exit>;
  readonly #name: string;
  readonly #stopTimeoutMs: number;
  readonly #onLine: ((line: string) => void) | undefined;
  #stderrTail = "";
  #isServing = false;
  #isEnding = false;

  private constructor({
    command,
    environment,
    stopTimeoutMs,
    onUnexpectedExit,
    onLine,
  }: TargetProcessOptions) {
    this.#onLine = onLine;
    const [program = "", ...rest] = command;
    this.#name = command.join(" ");
    this.#stopTimeoutMs = stopTimeoutMs;
    const child = spawn(program, rest, {
      env: { ...process.env, ...environment },
      // Standard input stays open, for commands: it closes when this process ends, in whatever way.
      stdio: ["pipe", "pipe", "pipe"],
      // A process group of its own: Ctrl-C reaches the checker, which then stops the target in order.
      detached: true,
    });
    this.#child = child;
    this.faults = new FaultChannel((line) => void child.stdin.write(line));
    child.stdin.on("error", () => undefined);
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#stderrTail = (this.#stderrTail + text).slice(-stderrTailLength);
    });
    this.#exit = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#stderrTail += error.message;
        if (child.pid === undefined) resolve({ code: null, signal: null });
      });
      child.once("close", (code, signal) => {
        this.faults.end(`the target has ${describeExit({ code, signal })}`);
        resolve({ code, signal });
        if (this.#isServing && !this.#isEnding)
          onUnexpectedExit?.(`${describeExit({ code, signal })}; ${this.#said()}`);
      });
    });
  }

  /** @throws {LaunchError} If it does not serve within the time; it is killed then. */
  static async start(
    options: TargetProcessOptions,
  ): Promise<{ process: TargetProcess; ready: ReadyMessage }> {
    const target = new TargetProcess(options);
    const late = new AbortController();
    try {
      const ready = await Promise.race([
        target.#firstLine(),
        target.#exit.then((exit) => target.#problem(`${describeExit(exit)} before it served`)),
        sleep(options.readyTimeoutMs, undefined, { signal: late.signal }).then(() =>
          target.#problem(`did not serve within ${options.readyTimeoutMs} ms`),
        ),
      ]);
      if (ready instanceof LaunchError) throw ready;
      target.#isServing = true;
      return { process: target, ready };
    } catch (error) {
      await target.kill();
      throw error;
    } finally {
      late.abort();
    }
  }

  /** Process id while it runs. */
  get pid(): number | undefined {
    return this.#child.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  /** The end of what it said on its standard error. */
  get stderrTail(): string {
    return this.#stderrTail.trim();
  }

  /** SIGKILL, as a crash is; resolves when it has ended. */
  kill(): Promise<Exit> {
    this.#isEnding = true;
    this.#child.kill("SIGKILL");
    return this.#exit;
  }

  /** SIGTERM, and SIGKILL if it takes too long; resolves when it has ended. */
  async stop(): Promise<Exit> {
    this.#isEnding = true;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), this.#stopTimeoutMs);
    try {
      return await this.#exit;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The ready message, or what is wrong with the first line. Later lines answer commands. */
  #firstLine(): Promise<ReadyMessage | LaunchError> {
    return new Promise((resolve) => {
      let isFirst = true;
      const lines = new LineReader({
        lengthMax: readyLineLengthMax,
        onTooLong: () =>
          resolve(this.#problem(`said more than ${readyLineLengthMax} characters without a line break`)),
        onLine: (line) => {
          if (!isFirst) {
            if (!this.faults.said(line)) this.#onLine?.(line);
            return;
          }
          isFirst = false;
          const got = line.slice(0, 200);
          resolve(parseReadyLine(line) ?? this.#problem(`was to say {"ready":…} first, and said '${got}'`));
        },
      });
      this.#child.stdout.setEncoding("utf8").on("data", (part: string) => lines.feed(part));
    });
  }

  #problem(what: string): LaunchError {
    return new LaunchError(`${this.#name}\n${what}; ${this.#said()}`);
  }

  #said(): string {
    return this.stderrTail === "" ? "nothing on standard error" : `on standard error:\n${this.stderrTail}`;
  }
}

function describeExit({ code, signal }: Exit): string {
  if (signal !== null) return `ended by ${signal}`;
  return code === null ? "could not be started" : `ended with code ${code}`;
}
