/**
 * HTTP to the service: one call, one deadline, one bounded answer.
 *
 * The token goes into the header and nowhere else: no message holds it. Redirects are not followed, since they
 * would carry the token to another host.
 *
 * @packageDocumentation
 */

import { readFile } from "node:fs/promises";
import { Agent, type Dispatcher, errors, request } from "undici";
import type { Clock } from "../clock.ts";
import { isLoopback } from "../loopback.ts";
import { type CallOptions, ServiceError } from "../port.ts";
import { type Answer, printable, readAnswer } from "./answer.ts";
import type { Decoder } from "./decode.ts";

export interface RestClientOptions {
  /** Base URL without a path, such as `https://10.0.0.1:443`. */
  readonly endpoint: string;
  /** Bearer token; white space around it, as a token file has it, is dropped. */
  readonly token?: string;
  /** Certificates (PEM) to trust in place of the system's. */
  readonly caFile?: string;
  /** Allows certificates that cannot be verified, and a token over plain HTTP to another host. */
  readonly insecure?: boolean;
  /** Deadline of one call, until the last byte of its answer. */
  readonly callTimeoutMs: number;
  /** Longest answer that is read, in bytes. */
  readonly answerBytesMax: number;
  /** Measures the deadline of a call. */
  readonly clock: Clock;
  /** Stands in for the network. */
  readonly dispatcher?: Dispatcher;
}

export interface RestCall {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Path below the endpoint; its parts are already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: Readonly<Record<string, unknown>>;
}

export class RestClient implements AsyncDisposable {
  readonly #origin: string;
  readonly #options: RestClientOptions;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #dispatcher: Dispatcher;

  private constructor(
    options: RestClientOptions,
    origin: string,
    token: string | undefined,
    dispatcher: Dispatcher,
  ) {
    this.#options = options;
    this.#origin = origin;
    this.#dispatcher = dispatcher;
    this.#headers = {
      accept: "application/json",
      "accept-encoding": "identity",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    };
  }

  /**
   * Prepares a client; sends nothing yet.
   *
   * @throws {ServiceError} `ERR_INVALID_REQUEST` if the options cannot be used.
   */
  static async create(options: RestClientOptions): Promise<RestClient> {
    const url = endpointUrl(options.endpoint);
    const token = options.token?.trim();
    if (token !== undefined && !/^[\x21-\x7e]{1,65536}$/.test(token)) {
      throw invalid("the token must be printable ASCII without spaces (it is not shown here)");
    }
    if (
      token !== undefined &&
      url.protocol === "http:" &&
      !isLoopback(url.hostname) &&
      options.insecure !== true
    ) {
      throw invalid(
        `${url.origin} would receive the token in clear text: use https, or allow it with 'insecure'`,
      );
    }
    if (options.caFile !== undefined && options.insecure === true) {
      throw invalid("caFile and insecure exclude each other: with insecure nothing is verified");
    }
    const dispatcher = options.dispatcher ?? new Agent({ connect: await tlsOptions(options) });
    return new RestClient(options, url.origin, token, dispatcher);
  }

  /**
   * Makes one call.
   *
   * @throws {ServiceError} Any code; `ERR_UNREACHABLE` and `ERR_TIMEOUT` leave open whether the service acted.
   */
  async call<Value>(call: RestCall, decode: Decoder<Value>, { signal }: CallOptions = {}): Promise<Value> {
    const name = `${call.method} ${call.path}`;
    const aborted = () => new ServiceError("ERR_ABORTED", `${name}: cancelled`, { cause: signal?.reason });
    if (signal?.aborted) throw aborted();
    const stop = new AbortController();
    const onAbort = () => stop.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    const { callTimeoutMs, clock } = this.#options;
    let late = false;
    const timer = clock.setTimeout(() => {
      late = true;
      stop.abort();
    }, callTimeoutMs);
    let answer: Answer;
    try {
      answer = await this.#exchange(name, call, stop.signal);
    } catch (cause) {
      if (cause instanceof ServiceError) throw cause;
      if (signal?.aborted) throw aborted();
      if (late)
        throw new ServiceError("ERR_TIMEOUT", `${name}: no answer within ${callTimeoutMs} ms`, { cause });
      throw this.#transportError(name, cause);
    } finally {
      clock.clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
    return decode(name, readAnswer(name, answer));
  }

  async #exchange(name: string, call: RestCall, signal: AbortSignal): Promise<Answer> {
    const url = new URL(call.path, this.#origin);
    for (const [key, value] of Object.entries(call.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, value);
    }
    const { statusCode, headers, body } = await request(url, {
      method: call.method,
      dispatcher: this.#dispatcher,
      signal,
      headersTimeout: 0,
      bodyTimeout: 0,
      headers:
        call.body === undefined ? this.#headers : { ...this.#headers, "content-type": "application/json" },
      ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
    });
    const { answerBytesMax } = this.#options;
    const refuse = (what: string): never => {
      body.on("error", () => undefined);
      body.destroy();
      throw new ServiceError("ERR_BAD_ANSWER", `${name}: ${what}`);
    };
    const encoding = headers["content-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      refuse(`content encoding ${printable(String(encoding), 40)} was not asked for`);
    }
    const announced = headers["content-length"];
    if (announced !== undefined && !(Number(announced) <= answerBytesMax)) {
      refuse(
        `an answer of ${printable(String(announced), 40)} bytes was announced, at most ${answerBytesMax} are read`,
      );
    }
    const parts: Uint8Array[] = [];
    let byteCount = 0;
    for await (const part of body as AsyncIterable<Uint8Array>) {
      byteCount += part.length;
      if (byteCount > answerBytesMax)
        refuse(`the answer is longer than the ${answerBytesMax} bytes that are read`);
      parts.push(part);
    }
    const contentType = headers["content-type"];
    return {
      httpStatus: statusCode,
      contentType: Array.isArray(contentType) ? contentType[0] : contentType,
      body: Buffer.concat(parts, byteCount),
    };
  }

  #transportError(name: string, cause: unknown): ServiceError {
    const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
    const said = printable(`${code ?? ""} ${message ?? cause}`.trim(), 200);
    if (cause instanceof errors.HTTPParserError || cause instanceof errors.HeadersOverflowError) {
      return new ServiceError("ERR_BAD_ANSWER", `${name}: ${this.#origin} does not speak HTTP: ${said}`, {
        cause,
      });
    }
    const hint = /CERT|SIGNATURE|ALTNAME|ISSUER/.test(String(code))
      ? " (name the certificate with caFile, or allow it with insecure)"
      : "";
    return new ServiceError("ERR_UNREACHABLE", `${name}: ${this.#origin}: ${said}${hint}`, { cause });
  }

  /** Drops the connections; calls in flight are cancelled. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#options.dispatcher === undefined) await this.#dispatcher.destroy();
  }
}

function invalid(message: string, cause?: unknown): ServiceError {
  return new ServiceError("ERR_INVALID_REQUEST", message, { cause });
}

function endpointUrl(endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw invalid("the endpoint must be a URL such as https://10.0.0.1:443");
  }
  if (url.username !== "" || url.password !== "")
    throw invalid("the endpoint must not hold a user or password");
  if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
    throw invalid(
      `the endpoint must end after host and port, got ${printable(url.pathname, 80)} behind ${url.origin}`,
    );
  }
  return url;
}

async function tlsOptions({ caFile, insecure }: RestClientOptions) {
  if (insecure === true) return { rejectUnauthorized: false };
  if (caFile === undefined) return {};
  try {
    return { ca: await readFile(caFile, "utf8") };
  } catch (cause) {
    throw invalid(`the certificates in ${caFile} cannot be read`, cause);
  }
}
