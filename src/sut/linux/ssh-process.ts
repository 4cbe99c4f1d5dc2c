/**
 * One run of the `ssh` program: what goes in, what comes out within bounds, and its end.
 *
 * @packageDocumentation
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { ServiceError } from "../port.ts";

export interface SshEnd {
  /** Exit status of the program; `undefined` if a signal ended it. */
  readonly status: number | undefined;
  /** The end of the standard error. */
  readonly stderr: string;
}

/** The end of the standard error that is kept, in bytes. */
const stderrBytesMax = 2 ** 20;
/** How long something that ssh started may keep its output open. */
const lingerMs = 500;

export class SshProcess {
  /** Rejects with `ERR_UNSUPPORTED` if there is no such program. */
  readonly ended: Promise<SshEnd>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;

  /** @param onStdout - Given what comes on standard output. */
  constructor(parameters: readonly string[], onStdout: (bytes: Buffer) => void) {
    // A process group of its own, so that an interrupt from the keyboard is left to this process, and a proxy that
    // ssh has started goes with it.
    const child = spawn("ssh", parameters, {
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, LC_ALL: "C" },
    });
    this.#child = child;
    let stderr: Buffer = Buffer.alloc(0);
    child.stdout.on("data", onStdout);
    child.stderr.on("data", (bytes: Buffer) => {
      stderr = Buffer.concat([stderr, bytes]).subarray(-stderrBytesMax);
    });
    // One that ends before it has read everything says so by its status.
    child.stdin.on("error", () => {});
    let lingering: NodeJS.Timeout | undefined;
    this.ended = new Promise<SshEnd>((resolve, reject) => {
      child.on("error", (cause: NodeJS.ErrnoException) => {
        const why =
          cause.code === "ENOENT"
            ? "there is no ssh program on this machine: install the package openssh-client"
            : `ssh cannot be run: ${cause.message}`;
        reject(new ServiceError("ERR_UNSUPPORTED", why, { cause }));
      });
      child.on("exit", (status) => {
        const settle = () => resolve({ status: status ?? undefined, stderr: stderr.toString() });
        child.on("close", settle);
        lingering = setTimeout(settle, lingerMs);
      });
    }).finally(() => {
      clearTimeout(lingering);
      child.stdout.destroy();
      child.stderr.destroy();
    });
    // Whether anybody waits for the end is their business.
    this.ended.catch(() => {});
  }

  write(text: string): void {
    this.#child.stdin.write(text);
  }

  /** Closes its standard input. */
  finish(): void {
    this.#child.stdin.end();
  }

  /** Ends it, with all that it started. */
  kill(): void {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // All of the group has ended.
    }
  }
}
