/**
 * The shell of a guest, through the agent that serves HTTP in it.
 *
 * One request is one script: the answer has its exit status and the length of its standard output in headers, and
 * standard output followed by standard error as its body. Connections are not kept: a guest that was killed and
 * started again is reached by the next request.
 *
 * @packageDocumentation
 */

import { Agent, type Dispatcher, errors, request } from "undici";
import type { Shell, ShellOptions, ShellResult } from "../linux/shell.ts";
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";

export interface AgentShellOptions {
  /** Port on 127.0.0.1 that leads to the agent. */
  readonly port: number;
  /** The password; asked for with each request, since a guest that was started again may have another. */
  readonly token: () => string;
  /** For people. */
  readonly description: string;
}

const timeoutMsDefault = 60_000;
const stdoutBytesMaxDefault = 64 * 2 ** 20;
/** Longest standard error that is taken, in bytes. */
const stderrBytesMax = 2 ** 20;
/** Requests at a time; each is a process in the guest. */
const connectionsMax = 16;

export class AgentShell implements Shell {
  readonly description: string;
  readonly #url: string;
  readonly #token: () => string;
  readonly #dispatcher: Dispatcher;

  constructor({ port, token, description }: AgentShellOptions) {
    this.description = description;
    this.#url = `http://127.0.0.1:${port}/cgi-bin/run`;
    this.#token = token;
    this.#dispatcher = new Agent({
      pipelining: 0,
      connections: connectionsMax,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: 10_000 },
    });
  }

  /** @throws {ServiceError} See {@link Shell.run}; `ERR_UNAUTHENTICATED` if the token was refused. */
  async run(script: string, options: ShellOptions = {}): Promise<ShellResult> {
    const { stdoutBytesMax = stdoutBytesMaxDefault } = options;
    return await this.#within(options, async (signal) => {
      const { body, ...answer } = await this.#request(script, signal);
      try {
        const status = numberIn(answer.headers, "x-exit-status", 255);
        const stdoutBytes = numberIn(answer.headers, "x-stdout-bytes", stdoutBytesMax);
        const bytes = await readAtMost(body, answer.headers, stdoutBytes + stderrBytesMax);
        if (bytes.length < stdoutBytes)
          throw badAnswer(`${stdoutBytes} bytes of standard output were announced, ${bytes.length} came`);
        return {
          status,
          stdout: bytes.toString("utf8", 0, stdoutBytes),
          stderr: bytes.toString("utf8", stdoutBytes),
        };
      } finally {
        abandon(body);
      }
    });
  }

  /** Drops the connections; scripts that run are not waited for. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher.destroy();
  }

  /** @returns An answer with status 200. */
  async #request(script: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const answer = await request(this.#url, {
      method: "POST",
      body: script,
      dispatcher: this.#dispatcher,
      signal,
      headers: { authorization: `Basic ${Buffer.from(`harrow:${this.#token()}`).toString("base64")}` },
    });
    if (answer.statusCode === 200) return answer;
    abandon(answer.body);
    if (answer.statusCode === 401)
      throw new ServiceError(
        "ERR_UNAUTHENTICATED",
        "the agent refused the token, and ran nothing; is another guest behind this port?",
      );
    throw badAnswer(`${this.#url} was answered with HTTP status ${answer.statusCode}, not 200`);
  }

  /** Puts what went wrong into the words of a {@link ServiceError} that names the shell. */
  async #within<Value>(
    { signal, timeoutMs = timeoutMsDefault }: ShellOptions,
    call: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value> {
    const problem = (code: ServiceError["code"], what: string, cause: unknown) =>
      new ServiceError(code, `${this.description}: ${what}`, { cause });
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    if (signal?.aborted) throw problem("ERR_ABORTED", "cancelled before it was asked", signal.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      stop.abort();
    }, timeoutMs);
    try {
      return await call(stop.signal);
    } catch (error) {
      if (signal?.aborted) throw problem("ERR_ABORTED", "cancelled; the script may go on", signal.reason);
      if (isLate)
        throw problem("ERR_TIMEOUT", `no answer within ${timeoutMs} ms; the script may go on`, error);
      if (error instanceof ServiceError) throw problem(error.code, error.message, error);
      const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
      const said = printable(`${code ?? ""} ${message ?? error}`.trim(), 200);
      if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError)
        throw problem("ERR_BAD_ANSWER", `what answers does not speak HTTP: ${said}`, undefined);
      throw problem("ERR_UNREACHABLE", `${said}; whether the script ran is not known`, error);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }
}

function badAnswer(message: string): ServiceError {
  return new ServiceError("ERR_BAD_ANSWER", message);
}

/** Lets go of an answer, read or not; a second call does nothing. */
function abandon(body: Dispatcher.ResponseData["body"]): void {
  body.on("error", () => undefined);
  body.destroy();
}

function numberIn(headers: Dispatcher.ResponseData["headers"], name: string, max: number): number {
  const text = headers[name];
  if (typeof text !== "string" || !/^\d{1,15}$/.test(text))
    throw badAnswer(`the answer's ${name} is to be a number, got ${printable(String(text), 40)}`);
  const value = Number(text);
  if (value > max) throw badAnswer(`the answer's ${name} is ${value}, at most ${max} is taken`);
  return value;
}

async function readAtMost(
  body: Dispatcher.ResponseData["body"],
  headers: Dispatcher.ResponseData["headers"],
  bytesMax: number,
): Promise<Buffer> {
  if (headers["content-length"] !== undefined) numberIn(headers, "content-length", bytesMax);
  const parts: Uint8Array[] = [];
  let byteCount = 0;
  for await (const part of body as AsyncIterable<Uint8Array>) {
    byteCount += part.length;
    if (byteCount > bytesMax)
      throw badAnswer(`the answer is longer than the ${bytesMax} bytes that are taken`);
    parts.push(part);
  }
  return Buffer.concat(parts, byteCount);
}
