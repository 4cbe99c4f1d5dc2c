/**
 * One HTTP request and its answer, whose length is bounded while it comes in.
 *
 * Redirects are not followed, since they would carry the token to another host. Deadlines are the caller's.
 *
 * @packageDocumentation
 */

import { type Dispatcher, errors, request } from "undici";
import { ServiceError } from "../port.ts";
import { printable } from "../wording.ts";
import { type Answer, retryAfterMs } from "./answer.ts";
import { withoutToken } from "./token.ts";

export interface RestCall {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** Path below the endpoint; its parts are already encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly body?: Readonly<Record<string, unknown>>;
  /** ETag that the object must still have. */
  readonly ifMatch?: string;
}

interface ExchangeOptions {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly token: string | undefined;
  readonly dispatcher: Dispatcher;
  readonly signal: AbortSignal;
  /** Longest answer that is read, in bytes. */
  readonly answerBytesMax: number;
  /** The hour, for an answer that names one; milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * @throws {ServiceError} `ERR_BAD_ANSWER` if the answer is not one to be read.
 * @throws What the transport throws; see {@link transportError}.
 */
export async function exchange(call: RestCall, options: ExchangeOptions): Promise<Answer> {
  const { origin, token, dispatcher, signal, answerBytesMax, now } = options;
  const name = nameOf(call);
  const url = new URL(call.path, origin);
  for (const [key, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(key, value);
  }
  const { statusCode, headers, body } = await request(url, {
    method: call.method,
    dispatcher,
    signal,
    headersTimeout: 0,
    bodyTimeout: 0,
    headers: {
      accept: "application/json",
      "accept-encoding": "identity",
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(call.body !== undefined && { "content-type": "application/json" }),
      ...(call.ifMatch !== undefined && { "if-match": call.ifMatch }),
    },
    ...(call.body !== undefined && { body: JSON.stringify(call.body) }),
  });
  const refuse = (what: string): never => {
    body.on("error", () => undefined);
    body.destroy();
    throw new ServiceError("ERR_BAD_ANSWER", `${name}: ${what}`);
  };
  // What is shown of a header is cut short, so the token has to be out of it before.
  const header = (key: string): string | undefined => {
    const value = headers[key];
    const text = Array.isArray(value) ? value[0] : value;
    return text === undefined ? undefined : withoutToken(text, token);
  };
  const encoding = header("content-encoding");
  if (encoding !== undefined && encoding !== "identity")
    refuse(`content encoding ${printable(encoding, 40)} was not asked for`);
  const announced = header("content-length");
  if (announced !== undefined && !(Number(announced) <= answerBytesMax))
    refuse(
      `an answer of ${printable(announced, 40)} bytes was announced, at most ${answerBytesMax} are read`,
    );
  const parts: Uint8Array[] = [];
  let byteCount = 0;
  for await (const part of body as AsyncIterable<Uint8Array>) {
    byteCount += part.length;
    if (byteCount > answerBytesMax)
      refuse(`the answer is longer than the ${answerBytesMax} bytes that are read`);
    parts.push(part);
  }
  return {
    httpStatus: statusCode,
    contentType: header("content-type"),
    retryAfterMs: retryAfterMs(header("retry-after"), now()),
    body: Buffer.concat(parts, byteCount),
  };
}

/** What was asked, for messages. */
export function nameOf({ method, path }: RestCall): string {
  return `${method} ${path}`;
}

/** What went wrong below HTTP, in words. The cause of a parser's error is left out: it holds what the peer sent. */
export function transportError(name: string, origin: string, cause: unknown): ServiceError {
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
  const said = printable(`${code ?? ""} ${message ?? cause}`.trim(), 200);
  if (cause instanceof errors.HTTPParserError || cause instanceof errors.HeadersOverflowError)
    return new ServiceError("ERR_BAD_ANSWER", `${name}: ${origin} does not speak HTTP: ${said}`);
  return new ServiceError("ERR_UNREACHABLE", `${name}: ${origin}: ${said}${hintOf(String(code))}`, { cause });
}

function hintOf(code: string): string {
  if (/^ERR_SSL_|^EPROTO$/.test(code)) return " (does that port speak TLS? plain HTTP has http:// before it)";
  return /CERT|SIGNATURE|ALTNAME|ISSUER/.test(code)
    ? " (name the certificate with caFile, or allow it with insecure)"
    : "";
}

/** Whether a request that failed with this never left for the service, so that another way to it may be tried. */
export function neverLeft(cause: unknown): boolean {
  const { code } = cause as { readonly code?: unknown };
  return typeof code === "string" && noConnectionCodes.has(code);
}

const noConnectionCodes: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);
