/**
 * Scripts on another machine, by its sshd and the `ssh` program of this one.
 *
 * Keys, known hosts and proxies are those that ssh itself knows of. It logs in once, and again when the connection is
 * lost; scripts go over that connection. One that is not waited for any more may go on over there.
 *
 * @packageDocumentation
 */
import { randomBytes } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";
import type { Shell, ShellOptions, ShellResult } from "./shell.ts";
import { SshMaster } from "./ssh-master.ts";
import { type SshEnd, SshProcess } from "./ssh-process.ts";
import { sshTrouble } from "./ssh-trouble.ts";

export interface SshOptions {
  /** `HOST`, `USER@HOST` or `ssh://USER@HOST:PORT`, or a name from ssh's configuration. */
  readonly destination: string;
  /** As ssh's configuration says if absent. */
  readonly port?: number;
  /** Path of a private key; those that ssh knows of if absent. */
  readonly identityFile?: string;
  /** Runs scripts by `sudo -n`, for users other than root; false if absent. */
  readonly sudo?: boolean;
  /** Further options as in ssh_config(5), such as `UserKnownHostsFile=/path`; they go before ours. */
  readonly options?: readonly string[];
  /** How long logging in may take; 10 s if absent. */
  readonly connectTimeoutMs?: number;
}

const timeoutMsDefault = 60_000;
const stdoutBytesMaxDefault = 64 * 2 ** 20;
/** What a login shell may say before the script, in bytes. */
const greetingBytesMax = 65_536;
/** sshd allows 10 sessions on a connection by default, and one keeps it open. */
const sessionCountMax = 8;

/** @throws {ServiceError} `ERR_INVALID_REQUEST` if an option cannot be used; the other side is not asked yet. */
export function sshShell(options: SshOptions): Shell {
  return new SshShell(options);
}

class SshShell implements Shell {
  readonly description: string;
  readonly #destination: string;
  readonly #parameters: readonly string[];
  readonly #command: string;
  readonly #loginTimeoutMs: number;
  readonly #running = new Set<Session>();
  readonly #queue: (() => void)[] = [];
  #sessionCount = 0;
  #master: Promise<SshMaster> | undefined;
  readonly #closing = new AbortController();

  constructor(options: SshOptions) {
    const { destination, sudo = false, connectTimeoutMs = 10_000 } = options;
    this.#parameters = parametersOf(options);
    this.#destination = destination;
    this.#command = sudo ? "sudo -n sh -s" : "sh -s";
    // A name has to be resolved and a key be exchanged beside what ssh's own time-out is for.
    this.#loginTimeoutMs = connectTimeoutMs + 10_000;
    this.description = `ssh ${destination}`;
  }

  async run(script: string, options: ShellOptions = {}): Promise<ShellResult> {
    const { signal, timeoutMs = timeoutMsDefault, stdoutBytesMax = stdoutBytesMaxDefault } = options;
    if (this.#closing.signal.aborted) throw this.#problem("ERR_UNREACHABLE", "the shell is closed");
    if (signal?.aborted) throw this.#problem("ERR_ABORTED", "cancelled before it began");
    const session = new Session(this.description, stdoutBytesMax);
    this.#running.add(session);
    const onAbort = () =>
      session.stop(this.#problem("ERR_ABORTED", "cancelled while a script ran, which may go on"));
    signal?.addEventListener("abort", onAbort, { once: true });
    const onLate = () =>
      session.stop(
        this.#problem("ERR_TIMEOUT", `a script was not done after ${timeoutMs} ms, and may go on`),
      );
    const timer = setTimeout(onLate, timeoutMs);
    try {
      return await Promise.race([session.stopped, this.#inSession(session, script)]);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      this.#running.delete(session);
    }
  }

  /** Stops waiting for the scripts that run, and ends the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    for (const session of this.#running) session.stop(this.#problem("ERR_ABORTED", "the shell was closed"));
    const master = await this.#master?.catch(() => undefined);
    await master?.close();
  }

  async #inSession(session: Session, script: string): Promise<ShellResult> {
    await this.#turn();
    try {
      const { controlPath } = await this.#connected();
      return await session.run(
        this.#destination,
        [
          ...["-o", "ControlMaster=no", "-o", `ControlPath=${controlPath}`],
          ...[...this.#parameters, "--", this.#destination, this.#command],
        ],
        script,
      );
    } finally {
      this.#sessionCount -= 1;
      this.#queue.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    while (this.#sessionCount >= sessionCountMax)
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#sessionCount += 1;
  }

  #connected(): Promise<SshMaster> {
    if (this.#closing.signal.aborted) throw this.#problem("ERR_UNREACHABLE", "the shell is closed");
    if (this.#master !== undefined) return this.#master;
    const opened = SshMaster.open({
      destination: this.#destination,
      parameters: this.#parameters,
      timeoutMs: this.#loginTimeoutMs,
      signal: this.#closing.signal,
    });
    this.#master = opened;
    const forget = () => {
      if (this.#master === opened) this.#master = undefined;
    };
    opened.then(({ ended }) => ended).then(forget, forget);
    return opened;
  }

  #problem(code: "ERR_UNREACHABLE" | "ERR_ABORTED" | "ERR_TIMEOUT", what: string): ServiceError {
    return new ServiceError(code, `${this.description}: ${what}`);
  }
}

/** One script. Its output is between marks, which nothing else can say. */
class Session {
  /** Rejects when it is stopped, and does not resolve. */
  readonly stopped: Promise<never>;
  readonly #description: string;
  readonly #stdoutBytesMax: number;
  readonly #mark = `harrow-${randomBytes(12).toString("hex")}`;
  #reject: (error: ServiceError) => void = () => {};
  #process: SshProcess | undefined;
  #isStopped = false;

  constructor(description: string, stdoutBytesMax: number) {
    this.#description = description;
    this.#stdoutBytesMax = stdoutBytesMax;
    this.stopped = new Promise<never>((_, reject) => {
      this.#reject = reject;
    });
    this.stopped.catch(() => {});
  }

  stop(error: ServiceError): void {
    this.#isStopped = true;
    this.#reject(error);
    this.#process?.kill();
  }

  async run(destination: string, parameters: readonly string[], script: string): Promise<ShellResult> {
    // Whoever waited is gone; see `stopped`.
    if (this.#isStopped) return { status: 0, stdout: "", stderr: "" };
    const stdout: Buffer[] = [];
    let byteCount = 0;
    const process = new SshProcess(parameters, (bytes) => {
      byteCount += bytes.length;
      if (byteCount <= this.#stdoutBytesMax + greetingBytesMax) stdout.push(bytes);
      else this.stop(this.#tooLong());
    });
    this.#process = process;
    process.write(this.#framed(script));
    process.finish();
    const end = await process.ended;
    return this.#read(destination, Buffer.concat(stdout), end);
  }

  /** A subshell is read to its end before it runs, so one that did not arrive as a whole does nothing. */
  #framed(script: string): string {
    const mark = this.#mark;
    return `echo ${mark}; echo ${mark} >&2
(
${script}
) </dev/null
echo "${mark} $?" >&2
exit 0
`;
  }

  #read(destination: string, stdout: Buffer, end: SshEnd): ShellResult {
    const mark = this.#mark;
    const begin = stdout.indexOf(`${mark}\n`);
    const [greeting, said = ""] = cut(end.stderr, `${mark}\n`);
    const [stderr, status] = cutLast(said === "" ? end.stderr : said, `${mark} `);
    const found = /^(\d{1,3})\r?\n/.exec(status ?? "");
    if (begin < 0 || found === null)
      throw sshTrouble(destination, {
        status: end.status,
        stderr: begin < 0 ? greeting : end.stderr.replaceAll(mark, ""),
        hasBegun: begin >= 0,
      });
    const bytes = stdout.subarray(begin + mark.length + 1);
    if (bytes.length > this.#stdoutBytesMax) throw this.#tooLong();
    return { status: Number(found[1]), stdout: bytes.toString(), stderr };
  }

  #tooLong(): ServiceError {
    const what = `a script printed more than ${this.#stdoutBytesMax} bytes`;
    return new ServiceError("ERR_BAD_ANSWER", `${this.#description}: ${what}`);
  }
}

function cut(text: string, at: string): readonly [string, string?] {
  const index = text.indexOf(at);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + at.length)];
}

function cutLast(text: string, at: string): readonly [string, string?] {
  const index = text.lastIndexOf(at);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + at.length)];
}

/** Without anybody to ask, without a terminal, and with a bound on how long a dead peer is waited for. */
function parametersOf(options: SshOptions): readonly string[] {
  const { destination, port, identityFile, options: further = [], connectTimeoutMs = 10_000 } = options;
  if (!/^[^-\s\p{Cc}][^\s\p{Cc}]{0,511}$/u.test(destination))
    throw invalid(`'${printable(destination, 80)}' is no destination for ssh: HOST or USER@HOST`);
  if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535))
    throw invalid(`port ${port}: expected 1 to 65535`);
  if (identityFile !== undefined) assertReadable(identityFile);
  if (!(Number.isInteger(connectTimeoutMs) && connectTimeoutMs >= 1))
    throw invalid(`connectTimeoutMs ${connectTimeoutMs}: expected a whole number from 1`);
  for (const option of further)
    if (!/^[A-Za-z][A-Za-z0-9]*[= ][^\p{Cc}]+$/u.test(option))
      throw invalid(`'${printable(option, 80)}' is no option for ssh: NAME=VALUE, see ssh_config(5)`);
  const named = [
    ...["BatchMode=yes", "RequestTTY=no", "RemoteCommand=none", "ClearAllForwardings=yes"],
    ...further,
    `ConnectTimeout=${Math.ceil(connectTimeoutMs / 1000)}`,
    ...[
      "ServerAliveInterval=5",
      "ServerAliveCountMax=3",
      "LogLevel=ERROR",
      "ForwardAgent=no",
      "ForwardX11=no",
    ],
  ];
  return [
    ...named.flatMap((option) => ["-o", option]),
    ...(port === undefined ? [] : ["-p", String(port)]),
    ...(identityFile === undefined ? [] : ["-i", identityFile, "-o", "IdentitiesOnly=yes"]),
  ];
}

function assertReadable(identityFile: string): void {
  try {
    accessSync(identityFile, constants.R_OK);
  } catch (cause) {
    throw new ServiceError(
      "ERR_INVALID_REQUEST",
      `the key ${identityFile} cannot be read: ${(cause as Error).message}`,
      {
        cause,
      },
    );
  }
}

function invalid(message: string): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message);
}
