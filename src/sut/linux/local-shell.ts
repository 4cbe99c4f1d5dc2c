/**
 * Scripts on this machine itself.
 *
 * @packageDocumentation
 */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { ServiceError } from "../port.ts";
import type { Shell, ShellOptions, ShellResult } from "./shell.ts";

const timeoutMsDefault = 60_000;
const stdoutBytesMaxDefault = 64 * 2 ** 20;
/** The end of the standard error that is kept, in bytes. */
const stderrBytesMax = 65_536;
/** After SIGTERM, by which a script can still put things right (a device that it suspended). */
const killDelayMs = 2000;
/** How long a process that a script left behind may keep its output open. */
const lingerMs = 500;

/**
 * @param options.userId - Who this process runs as; as it is if absent.
 * @throws {ServiceError} `ERR_FORBIDDEN` if it is not root.
 */
export function localShell(
  options: { readonly userId?: number | undefined } = { userId: process.getuid?.() },
): Shell {
  if (options.userId !== 0)
    throw new ServiceError(
      "ERR_FORBIDDEN",
      "devices and the NVMe target of this machine can only be set up as root: run it with sudo, or serve from a guest (transport: vm)",
    );
  return new LocalShell();
}

class LocalShell implements Shell {
  readonly description = "this machine";
  readonly #running = new Set<Run>();
  #isDisposed = false;

  async run(script: string, options: ShellOptions = {}): Promise<ShellResult> {
    if (this.#isDisposed) throw new ServiceError("ERR_UNREACHABLE", "the shell of this machine is closed");
    if (options.signal?.aborted) throw new ServiceError("ERR_ABORTED", "cancelled before it began");
    const run = new Run(script, options);
    this.#running.add(run);
    try {
      return await run.result;
    } finally {
      this.#running.delete(run);
    }
  }

  /** Ends the scripts that still run. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true;
    const runs = [...this.#running];
    for (const run of runs) run.stop(new ServiceError("ERR_ABORTED", "the shell of this machine is closed"));
    await Promise.allSettled(runs.map(({ result }) => result));
  }
}

/** One script, in a process group of its own. */
class Run {
  readonly result: Promise<ShellResult>;
  readonly #child: ChildProcess;
  readonly #timers: NodeJS.Timeout[] = [];
  #failure: ServiceError | undefined;

  constructor(script: string, options: ShellOptions) {
    const { signal, timeoutMs = timeoutMsDefault, stdoutBytesMax = stdoutBytesMaxDefault } = options;
    // Read as a whole before it runs, so that its commands find nothing on their standard input.
    const child = spawn("sh", ["-c", 'script=$(cat); exec </dev/null; eval "$script"'], {
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child = child;
    const stdout: Buffer[] = [];
    let stdoutBytes = 0;
    let stderr = Buffer.alloc(0);
    child.stdout.on("data", (bytes: Buffer) => {
      stdoutBytes += bytes.length;
      if (stdoutBytes <= stdoutBytesMax) stdout.push(bytes);
      else
        this.stop(new ServiceError("ERR_BAD_ANSWER", `a script printed more than ${stdoutBytesMax} bytes`));
    });
    child.stderr.on("data", (bytes: Buffer) => {
      stderr = Buffer.concat([stderr, bytes]).subarray(-stderrBytesMax);
    });
    // One that ends before it has read everything says so by its status.
    child.stdin.on("error", () => {});
    child.stdin.end(script);
    const onAbort = () => this.stop(new ServiceError("ERR_ABORTED", "cancelled while a script ran"));
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#after(timeoutMs, () =>
      this.stop(
        new ServiceError("ERR_TIMEOUT", `a script was not done after ${timeoutMs} ms, and was ended`),
      ),
    );
    this.result = new Promise<ShellResult>((resolve, reject) => {
      const settle = (status: number): void => {
        if (this.#failure !== undefined) reject(this.#failure);
        else resolve({ status, stdout: Buffer.concat(stdout).toString(), stderr: stderr.toString() });
      };
      child.on("error", (cause) =>
        reject(new ServiceError("ERR_UNREACHABLE", `sh can not be run: ${cause.message}`, { cause })),
      );
      child.on("exit", (code, name) => {
        if (this.#failure !== undefined) this.#signal("SIGKILL");
        const status = code ?? 128 + (name === null ? 0 : constants.signals[name]);
        child.on("close", () => settle(status));
        this.#after(lingerMs, () => settle(status));
      });
    }).finally(() => {
      signal?.removeEventListener("abort", onAbort);
      for (const timer of this.#timers) clearTimeout(timer);
      child.stdout.destroy();
      child.stderr.destroy();
    });
  }

  /** Ends it with all that it started, and rejects once it has ended. */
  stop(failure: ServiceError): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#signal("SIGTERM");
    this.#after(killDelayMs, () => this.#signal("SIGKILL"));
  }

  #signal(name: "SIGTERM" | "SIGKILL"): void {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, name);
    } catch {
      // All of the group has ended.
    }
  }

  #after(delayMs: number, callback: () => void): void {
    this.#timers.push(setTimeout(callback, delayMs));
  }
}
