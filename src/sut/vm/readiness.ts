/**
 * Waits for a guest that comes up, and tells why it does not.
 *
 * Ready is a guest whose agent answers to its token. That a port takes connections means nothing: QEMU's network
 * takes them from its first moment on.
 *
 * @packageDocumentation
 */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import { ServiceError } from "../port.ts";
import { AgentShell } from "./agent-shell.ts";
import { fileTail } from "./file-tail.ts";
import { isPortTaken } from "./ports.ts";
import { consoleName } from "./qemu-arguments.ts";
import type { QemuProcess } from "./qemu-process.ts";

export interface ComingUp {
  /** The run directory. */
  readonly directory: string;
  readonly process: QemuProcess;
  readonly agentPort: number;
  readonly token: string;
  readonly log: Log;
  readonly signal: AbortSignal | undefined;
}

interface Readiness {
  /** Proves that the guest can do something. */
  readonly script: string;
  /** Of all of it. */
  readonly timeoutMs: number;
  /** Of the first question; later ones wait longer, for machines on which all is slow. */
  readonly firstTimeoutMs: number;
}

const answerTimeoutMsMax = 3_000;
const pauseMs = 20;
const scriptTimeoutMs = 30_000;
const consoleTailBytes = 1_500;

/**
 * Resolves when the agent has run `script`, with the first answer that comes; it may run more than once.
 *
 * @throws {ServiceError} `ERR_CONFLICT` if QEMU ended over a port, `ERR_TARGET` if it ended otherwise or the script
 * failed, `ERR_TIMEOUT`, `ERR_ABORTED`, `ERR_UNAUTHENTICATED` if another guest answers.
 */
export async function ready(
  guest: ComingUp,
  { script, timeoutMs, firstTimeoutMs }: Readiness,
): Promise<void> {
  const { directory, process, log, signal } = guest;
  const gone = new AbortController();
  void process.ended().then(() => gone.abort());
  const stop = signal === undefined ? gone.signal : AbortSignal.any([gone.signal, signal]);
  await using shell = shellOf(guest);
  const startMs = performance.now();
  for (let answerTimeoutMs = firstTimeoutMs; ; ) {
    try {
      const { status, stderr } = await shell.run(script, { timeoutMs: answerTimeoutMs, signal: stop });
      if (status !== 0) throw scriptFailed(status, stderr);
      log.debug(`the guest's agent answered after ${Math.round(performance.now() - startMs)} ms`);
      return;
    } catch (error) {
      const isNoAnswerYet =
        error instanceof ServiceError && error.code !== "ERR_UNAUTHENTICATED" && error.code !== "ERR_TARGET";
      if (!isNoAnswerYet) throw error;
    }
    if (signal?.aborted)
      throw new ServiceError("ERR_ABORTED", "the start of the guest was cancelled", { cause: signal.reason });
    if (!(await process.isRunning())) throw earlyEnd(directory, process);
    if (performance.now() - startMs > timeoutMs)
      throw new ServiceError(
        "ERR_TIMEOUT",
        `the guest's agent did not answer within ${timeoutMs / 1000} s; ${consoleSaid(directory)}`,
      );
    await sleep(pauseMs);
    answerTimeoutMs = Math.min(Math.round(answerTimeoutMs * 1.3), answerTimeoutMsMax);
  }
}

/** Runs a script in a guest that is ready. */
export async function runInGuest(guest: ComingUp, script: string): Promise<void> {
  await using shell = shellOf(guest);
  const { status, stderr } = await shell.run(script, { timeoutMs: scriptTimeoutMs });
  if (status !== 0) throw scriptFailed(status, stderr);
}

export function earlyEnd(directory: string, process: QemuProcess): ServiceError {
  const said = process.said();
  return new ServiceError(
    isPortTaken(said) ? "ERR_CONFLICT" : "ERR_TARGET",
    `QEMU ended before the guest answered; ${said === "" ? "it said nothing" : `it said:\n${said}`}\n${consoleSaid(directory)}`,
  );
}

function consoleSaid(directory: string): string {
  const text = fileTail(join(directory, consoleName), consoleTailBytes).trim();
  return text === "" ? "the guest's console is empty" : `the guest's console ends with:\n${text}`;
}

function scriptFailed(status: number, stderr: string): ServiceError {
  return new ServiceError("ERR_TARGET", `the guest could not be made ready (status ${status}): ${stderr}`);
}

function shellOf({ agentPort, token }: ComingUp): AgentShell {
  return new AgentShell({ port: agentPort, token: () => token, description: "the guest" });
}
