/**
 * Calls to the service: one call, one deadline, one bounded answer.
 *
 * The token goes into the header and nowhere else: no message holds it, not even where the service sends it back.
 *
 * @packageDocumentation
 */

import { readFile } from "node:fs/promises";
import { Agent, type Dispatcher } from "undici";
import type { Clock } from "../clock.ts";
import { isLoopback } from "../loopback.ts";
import { type CallOptions, ServiceError } from "../port.ts";
import { printable } from "../wording.ts";
import { type Answer, readAnswer } from "./answer.ts";
import type { Decoder } from "./decode.ts";
import { exchange, nameOf, neverLeft, type RestCall, transportError } from "./exchange.ts";
import { checkedToken, type TokenSource, tokenExpiryMs, withoutToken } from "./token.ts";

export interface RestClientOptions {
  /** Base URL without a path, such as `https://10.0.0.1:443`. */
  readonly endpoint: string;
  /** Further base URLs of the same service, tried in turn when one cannot be reached. */
  readonly otherEndpoints?: readonly string[];
  /** Bearer token, or where to get it; a source is asked again when the service refuses what it gave. */
  readonly token?: string | TokenSource;
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

/** Longest wait for a connection to one endpoint; then it counts as not reachable. */
const connectTimeoutMs = 10_000;

export class RestClient implements AsyncDisposable {
  readonly #origins: readonly string[];
  readonly #options: RestClientOptions;
  readonly #dispatcher: Dispatcher;
  /** The token in use; asked for when it is first needed. */
  #token: string | undefined;
  /** Index of the endpoint that was last reached. */
  #current = 0;

  private constructor(
    options: RestClientOptions,
    origins: readonly string[],
    token: string | undefined,
    dispatcher: Dispatcher,
  ) {
    this.#options = options;
    this.#origins = origins;
    this.#token = token;
    this.#dispatcher = dispatcher;
  }

  /**
   * Prepares a client; sends nothing yet.
   *
   * @throws {ServiceError} `ERR_INVALID_REQUEST` if the options cannot be used.
   */
  static async create(options: RestClientOptions): Promise<RestClient> {
    const { endpoint, otherEndpoints = [], insecure, caFile } = options;
    const urls = [endpoint, ...otherEndpoints].map(endpointUrl);
    const token = typeof options.token === "string" ? checkedToken(options.token, "the token") : undefined;
    for (const url of urls) {
      if (options.token !== undefined && url.protocol === "http:" && !isLoopback(url.hostname) && !insecure)
        throw invalid(
          `${url.origin} would receive the token in clear text: use https, or allow it with 'insecure'`,
        );
    }
    if (caFile !== undefined && insecure === true)
      throw invalid("caFile and insecure exclude each other: with insecure nothing is verified");
    const timeout = Math.min(connectTimeoutMs, options.callTimeoutMs);
    const dispatcher =
      options.dispatcher ?? new Agent({ connect: { timeout, ...(await tlsOptions(options)) } });
    const origins = [...new Set(urls.map(({ origin }) => origin))];
    return new RestClient(options, origins, token, dispatcher);
  }

  /**
   * Makes one call.
   *
   * @throws {ServiceError} Any code; `ERR_UNREACHABLE` and `ERR_TIMEOUT` leave open whether the service acted.
   */
  async call<Value>(call: RestCall, decode: Decoder<Value>, { signal }: CallOptions = {}): Promise<Value> {
    const name = nameOf(call);
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
    try {
      return await this.#authenticated(call, decode, stop.signal);
    } catch (error) {
      if (error instanceof ServiceError) throw error;
      if (signal?.aborted) throw aborted();
      if (late)
        throw new ServiceError("ERR_TIMEOUT", `${name}: no answer within ${callTimeoutMs} ms`, {
          cause: error,
        });
      throw error;
    } finally {
      clock.clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** A call that is refused for its token was not acted on: it may be made once more with another. */
  async #authenticated<Value>(call: RestCall, decode: Decoder<Value>, signal: AbortSignal): Promise<Value> {
    const { token: source } = this.#options;
    const token = (this.#token ??= typeof source === "function" ? await source() : undefined);
    try {
      return await this.#answered(call, decode, token, signal);
    } catch (error) {
      if (!(error instanceof ServiceError) || error.code !== "ERR_UNAUTHENTICATED") throw error;
      // The refusal says more than that there is no other token.
      const fresh = typeof source === "function" ? await source().catch(() => undefined) : undefined;
      if (fresh === undefined || fresh === token) throw this.#withExpiry(error, token);
      this.#token = fresh;
      return await this.#answered(call, decode, fresh, signal);
    }
  }

  async #answered<Value>(
    call: RestCall,
    decode: Decoder<Value>,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Value> {
    const name = nameOf(call);
    try {
      const answer = await this.#exchange(call, token, signal);
      return decode(name, readAnswer(name, withoutTokenInBody(answer, token)));
    } catch (error) {
      // Text that was escaped may hold it too.
      if (error instanceof ServiceError) {
        error.message = withoutToken(error.message, token);
        error.stack = withoutToken(error.stack ?? "", token);
      }
      throw error;
    }
  }

  /** Goes through the endpoints until one is reached; each at most once. */
  async #exchange(call: RestCall, token: string | undefined, signal: AbortSignal): Promise<Answer> {
    const { answerBytesMax, clock } = this.#options;
    const start = this.#current;
    for (let index = 0; ; index++) {
      const at = (start + index) % this.#origins.length;
      const origin = this.#origins[at]!;
      try {
        const answer = await exchange(call, {
          ...{ origin, token, signal, answerBytesMax },
          dispatcher: this.#dispatcher,
          now: () => clock.now(),
        });
        this.#current = at;
        return answer;
      } catch (error) {
        if (error instanceof ServiceError || signal.aborted) throw error;
        // What only reads may be asked of another in any case.
        const mayGoOn = neverLeft(error) || (call.method === "GET" && error instanceof Error);
        if (mayGoOn && index + 1 < this.#origins.length) continue;
        const refused = transportError(nameOf(call), origin, error);
        if (index > 0) refused.message += `; nor did the ${index} other endpoints tried before it answer`;
        throw refused;
      }
    }
  }

  #withExpiry(error: ServiceError, token: string | undefined): ServiceError {
    const expiryMs = token === undefined ? undefined : tokenExpiryMs(token);
    if (token === undefined) error.message += "; no token was given";
    else if (expiryMs !== undefined && expiryMs <= this.#options.clock.now())
      error.message += `; the token says that it ended at ${new Date(expiryMs).toISOString()}`;
    return error;
  }

  /** Drops the connections; calls in flight are cancelled. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#options.dispatcher === undefined) await this.#dispatcher.destroy();
  }
}

/** An answer that holds the token is shown, and decoded, with a mark in its place. */
function withoutTokenInBody(answer: Answer, token: string | undefined): Answer {
  const { buffer, byteOffset, byteLength } = answer.body;
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  if (token === undefined || !bytes.includes(token, 0, "latin1")) return answer;
  return { ...answer, body: Buffer.from(withoutToken(bytes.toString("latin1"), token), "latin1") };
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
  let ca: string;
  try {
    ca = await readFile(caFile, "utf8");
  } catch (cause) {
    throw invalid(`the certificates in ${caFile} cannot be read`, cause);
  }
  if (!ca.includes("-----BEGIN CERTIFICATE-----"))
    throw invalid(`${caFile} holds no certificate in PEM form`);
  return { ca };
}
