/**
 * The port to the Linux host that serves: shell scripts, run there as root.
 *
 * @packageDocumentation
 */

export interface ShellResult {
  /** Exit status, 0 to 255; 128 and the signal's number for a script that a signal ended. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ShellOptions {
  /** Stops waiting; the script may go on. */
  readonly signal?: AbortSignal;
  /** 60 s if absent. */
  readonly timeoutMs?: number;
  /** Longest standard output that is taken, in bytes; 64 MiB if absent. */
  readonly stdoutBytesMax?: number;
}

/**
 * Runs scripts for a POSIX shell (`sh`), each in a process of its own; several may run at the same time.
 *
 * A status other than 0 is a result like any other: what it means is the caller's business.
 */
export interface Shell extends AsyncDisposable {
  /** For people: where scripts run, such as `ssh root@storage1`. */
  readonly description: string;
  /**
   * @throws {ServiceError} `ERR_UNREACHABLE`, `ERR_TIMEOUT`, `ERR_ABORTED` or `ERR_BAD_ANSWER` if it is not known how
   * the script ended; then it may have run, may still run, or may not.
   */
  run(script: string, options?: ShellOptions): Promise<ShellResult>;
}
