/**
 * Runs another program to its end, with a bound on its time and on what it may say.
 *
 * @packageDocumentation
 */

import { spawn } from "node:child_process";
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";

export interface CommandOptions {
  /** Ends the program. */
  readonly signal?: AbortSignal | undefined;
  /** How long the program may take before it is ended. */
  readonly timeoutMs: number;
  /** Where it runs; where this process runs if absent. */
  readonly directory?: string;
}

export interface CommandResult {
  /** Exit status; 128 if a signal ended the program. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const outputBytesMax = 16 * 1024 * 1024;
const killDelayMs = 3_000;

/**
 * A status other than 0 is a result like any other. The program's locale is C, so that its words can be read.
 *
 * The program and what it starts are a process group of their own: none of it outlives a time-out or an abort.
 *
 * @throws {ServiceError} `ERR_UNSUPPORTED` if there is no such program, `ERR_TIMEOUT`, `ERR_ABORTED`, or
 * `ERR_BAD_ANSWER` if it says more than 16 MiB.
 */
export async function runCommand(
  program: string,
  parameters: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  const { signal, timeoutMs, directory } = options;
  if (signal?.aborted) throw aborted(program, signal);
  const child = spawn(program, parameters, {
    cwd: directory,
    env: { ...process.env, LC_ALL: "C", LANGUAGE: "", DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let failure: ServiceError | undefined;
  let killTimer: NodeJS.Timeout | undefined;
  const signalGroup = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // All of the group has ended.
    }
  };
  const end = (error: ServiceError) => {
    if (failure !== undefined) return;
    failure = error;
    signalGroup("SIGTERM");
    killTimer = setTimeout(() => signalGroup("SIGKILL"), killDelayMs);
  };
  const timer = setTimeout(
    () => end(new ServiceError("ERR_TIMEOUT", `${program} did not end within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  const onAbort = () => end(aborted(program, signal));
  signal?.addEventListener("abort", onAbort, { once: true });

  let byteCount = 0;
  const collect = (chunks: Buffer[]) => (chunk: Buffer) => {
    byteCount += chunk.length;
    if (byteCount <= outputBytesMax) chunks.push(chunk);
    else end(new ServiceError("ERR_BAD_ANSWER", `${program} said more than ${outputBytesMax} bytes`));
  };
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", collect(stdout));
  child.stderr.on("data", collect(stderr));
  try {
    return await new Promise<CommandResult>((resolve, reject) => {
      child.once("error", (cause: NodeJS.ErrnoException) => {
        const why = cause.code === "ENOENT" ? "is not installed or not in PATH" : cause.message;
        reject(failure ?? new ServiceError("ERR_UNSUPPORTED", `${program} ${why}`, { cause }));
      });
      child.once("close", (status) => {
        if (failure !== undefined) reject(failure);
        else resolve({ status: status ?? 128, stdout: text(stdout), stderr: text(stderr) });
      });
    });
  } finally {
    clearTimeout(timer);
    clearTimeout(killTimer);
    signal?.removeEventListener("abort", onAbort);
  }
}

/** The last lines of what a program said in its own words, on one line, for a message. */
export function lastWords(said: string, lineCountMax = 4): string {
  const lines = said
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return printable(lines.slice(-lineCountMax).join(" | "), 800);
}

function aborted(program: string, signal: AbortSignal | undefined): ServiceError {
  return new ServiceError("ERR_ABORTED", `interrupted while ${program} ran`, { cause: signal?.reason });
}

const text = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString("utf8");
