/**
 * Runs a program to its end; that it ends with an exit code other than 0 is an answer, not an error.
 *
 * @packageDocumentation
 */
import { type ExecFileException, execFile } from "node:child_process";

interface Exit {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const outputBytesMax = 64 * 2 ** 20;

/** @throws {Error} If it cannot be started, is killed, or says more than 64 MiB. */
export function runProgram(
  program: string,
  commandLine: readonly string[],
  options: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string; readonly signal: AbortSignal },
): Promise<Exit> {
  return new Promise((resolve, reject) => {
    const ended = (error: ExecFileException | null, stdout: string, stderr: string) => {
      const code = error === null ? 0 : error.code;
      if (typeof code === "number") resolve({ code, stdout, stderr });
      else reject(error);
    };
    execFile(program, commandLine, { ...options, maxBuffer: outputBytesMax }, ended);
  });
}
