/**
 * One authenticated connection of `ssh`, over which others run their commands without logging in again.
 *
 * It lasts as long as a shell on the other side that reads from this process: if this process ends, in whatever way,
 * the connection does.
 *
 * @packageDocumentation
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ServiceError } from "../port.ts";
import { SshProcess } from "./ssh-process.ts";
import { sshTrouble } from "./ssh-trouble.ts";

export interface SshMasterOptions {
  readonly destination: string;
  /** What comes before the destination. */
  readonly parameters: readonly string[];
  readonly timeoutMs: number;
  /** Gives up. */
  readonly signal: AbortSignal;
}

/** A path of a Unix socket has at most 107 bytes, of which ours has 26, and ssh needs 17 more while it makes it. */
const directoryLengthMax = 60;

export class SshMaster {
  /** For ssh's option ControlPath. */
  readonly controlPath: string;
  /** Resolves when the connection is gone, and what it had in the file system. */
  readonly ended: Promise<void>;
  readonly #process: SshProcess;

  private constructor(directory: string, process: SshProcess) {
    this.controlPath = controlPathIn(directory);
    this.#process = process;
    this.ended = process.ended.then(
      () => rm(directory, { recursive: true, force: true }),
      () => rm(directory, { recursive: true, force: true }),
    );
  }

  /** @throws {ServiceError} If ssh is not let in: why, and what to do. */
  static async open({ destination, parameters, timeoutMs, signal }: SshMasterOptions): Promise<SshMaster> {
    // Made with mode 0700.
    const directory = await mkdtemp(join(shortDirectory(), "harrow-ssh-"));
    const ready = randomBytes(12).toString("hex");
    let said = "";
    let onReady = (): void => {};
    const isReady = new Promise<void>((resolve) => {
      onReady = resolve;
    });
    const process = new SshProcess(
      [
        ...[
          "-o",
          "ControlMaster=yes",
          "-o",
          "ControlPersist=no",
          "-o",
          `ControlPath=${controlPathIn(directory)}`,
        ],
        ...[...parameters, "--", destination, "sh -s"],
      ],
      (bytes) => {
        // Whatever a login shell says before; it is of no use beyond its end.
        said = (said + bytes.toString("latin1")).slice(-65_536);
        if (said.includes(ready)) onReady();
      },
    );
    const master = new SshMaster(directory, process);
    process.write(`echo ${ready}\nexec cat >/dev/null\n`);
    let timer: NodeJS.Timeout | undefined;
    let onAbort = (): void => {};
    try {
      await new Promise<void>((resolve, reject) => {
        isReady.then(resolve, reject);
        process.ended.then((end) => reject(sshTrouble(destination, { ...end, hasBegun: false })), reject);
        const giveUp = (code: "ERR_UNREACHABLE" | "ERR_ABORTED", why: string) =>
          reject(new ServiceError(code, `ssh ${destination}: ${why}`));
        onAbort = () => giveUp("ERR_ABORTED", "closed while it logged in");
        signal.addEventListener("abort", onAbort, { once: true });
        if (signal.aborted) onAbort();
        const what = `no shell answered within ${timeoutMs / 1000} s`;
        timer = setTimeout(() => giveUp("ERR_UNREACHABLE", what), timeoutMs);
      });
      return master;
    } catch (error) {
      process.kill();
      await master.ended;
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Drops the connection; scripts that run over it are not waited for. */
  async close(): Promise<void> {
    this.#process.kill();
    await this.ended;
  }
}

function controlPathIn(directory: string): string {
  return join(directory, "control");
}

/** One whose path ssh takes as it is, and is short enough. */
function shortDirectory(): string {
  const directory = tmpdir();
  const isFit = /^[\w/.+-]+$/.test(directory) && directory.length <= directoryLengthMax;
  return isFit ? directory : "/tmp";
}
