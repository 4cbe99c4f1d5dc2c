/**
 * What an HTTP answer of the service says: a JSON document, or a refusal.
 *
 * Pure: bytes and headers in, a value or a {@link ServiceError} out, whatever the bytes are. The transport has
 * already bounded their number.
 *
 * @packageDocumentation
 */

import { z } from "zod";
import { ServiceError, type ServiceErrorCode } from "../port.ts";
import { printable } from "../wording.ts";
import { grpcCodes } from "./grpc-status.ts";

export interface Answer {
  readonly httpStatus: number;
  readonly contentType: string | undefined;
  /** How long the service asks to wait before another try. */
  readonly retryAfterMs?: number | undefined;
  readonly body: Uint8Array;
}

/** What {@link RefusalError} knows beside its code. */
interface RefusalStatus {
  readonly httpStatus: number;
  readonly grpcCode: number | undefined;
  readonly retryAfterMs?: number | undefined;
}

/** The service understood the call and said no. */
export class RefusalError extends ServiceError {
  readonly httpStatus: number;
  readonly grpcCode: number | undefined;
  /** How long the service asks to wait before another try. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ServiceErrorCode, message: string, status: RefusalStatus) {
    super(code, message);
    this.httpStatus = status.httpStatus;
    this.grpcCode = status.grpcCode;
    this.retryAfterMs = status.retryAfterMs;
  }
}

/**
 * Reads a Retry-After header: seconds, or a date (RFC 9110 section 10.2.3).
 *
 * @param nowMs - Milliseconds since 1970.
 * @returns `undefined` if there is none, or it is neither.
 */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Dates have the name of a day in front; Date.parse alone would take much else for one.
  const dateMs = /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - nowMs);
}

/**
 * Reads an answer to a call.
 *
 * @param call - What was asked, such as `GET /api/v2/version`, for messages.
 * @returns The JSON document of a 2xx answer.
 * @throws {RefusalError} If the service refused.
 * @throws {ServiceError} `ERR_BAD_ANSWER` if this is no answer of such a service.
 */
export function readAnswer(call: string, answer: Answer): unknown {
  const { httpStatus } = answer;
  if (httpStatus >= 200 && httpStatus < 300) return readJson(call, answer);
  if (httpStatus >= 400 && httpStatus < 600) throw readRefusal(call, answer);
  throw new ServiceError(
    "ERR_BAD_ANSWER",
    `${call}: HTTP ${httpStatus} is not an answer of this service; is the endpoint right?`,
  );
}

function readJson(call: string, { contentType, body }: Answer): unknown {
  if (!isJson(contentType)) {
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `${call}: expected application/json, got ${contentType === undefined ? "no content type" : printable(contentType, 80)}: ${excerpt(body)}`,
    );
  }
  try {
    return JSON.parse(strictUtf8.decode(body));
  } catch (cause) {
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `${call}: ${body.length} bytes that are not JSON in UTF-8 (truncated?): ${excerpt(body)}`,
      { cause },
    );
  }
}

/**
 * Bodies of refusals: of the gateway's calls `{error, code, message}` (v1) or `{code, message}` (v2), and of its
 * streams `{error: {grpc_code, message}}`.
 */
const refusalBody = z.object({
  error: z
    .union([z.string(), z.object({ grpc_code: z.int().optional(), message: z.string().optional() })])
    .optional(),
  code: z.int().optional(),
  message: z.string().optional(),
});

function readRefusal(call: string, answer: Answer): ServiceError {
  const { httpStatus } = answer;
  const refusal = isJson(answer.contentType) ? parseRefusal(answer.body) : undefined;
  const error = typeof refusal?.error === "string" ? { message: refusal.error } : refusal?.error;
  const grpcCode =
    refusal?.code ?? (typeof refusal?.error === "object" ? refusal.error.grpc_code : undefined);
  const text = refusal?.message ?? error?.message;
  if (text === undefined && httpStatus === 404) {
    // A proxy, or a wrong path: to take this for "the object is gone" would be a lie.
    return new ServiceError(
      "ERR_BAD_ANSWER",
      `${call}: HTTP 404 without the service's error body; is the endpoint right? ${excerpt(answer.body)}`,
    );
  }
  const said = text === undefined ? excerpt(answer.body) : printable(text, 300);
  const code = codeOf(httpStatus, grpcCode, text ?? "");
  return new RefusalError(
    code,
    `${call}: HTTP ${httpStatus}${grpcCode === undefined ? "" : `, code ${grpcCode}`}: ${said}`,
    { httpStatus, grpcCode, retryAfterMs: answer.retryAfterMs },
  );
}

function parseRefusal(body: Uint8Array): z.infer<typeof refusalBody> | undefined {
  try {
    return refusalBody.safeParse(JSON.parse(strictUtf8.decode(body))).data;
  } catch {
    return undefined;
  }
}

/** gRPC codes that mean "not now" where HTTP says only 400 or 409. */
const notNow: ReadonlySet<number | undefined> = new Set([
  grpcCodes.FailedPrecondition,
  grpcCodes.Aborted,
  grpcCodes.ResourceExhausted,
  grpcCodes.Unavailable,
]);

function codeOf(httpStatus: number, grpcCode: number | undefined, text: string): ServiceErrorCode {
  switch (httpStatus) {
    case 400:
      if (grpcCode === grpcCodes.AlreadyExists || /same name exists|already exists/i.test(text))
        return "ERR_CONFLICT";
      return notNow.has(grpcCode) || /another snapshot is creating/i.test(text)
        ? "ERR_BUSY"
        : "ERR_INVALID_REQUEST";
    case 401:
      return "ERR_UNAUTHENTICATED";
    case 403:
      return "ERR_FORBIDDEN";
    case 404:
      return "ERR_NOT_FOUND";
    case 409:
      return notNow.has(grpcCode) ? "ERR_BUSY" : "ERR_CONFLICT";
    case 412:
      return "ERR_CONFLICT";
    case 429:
    case 503:
      return "ERR_BUSY";
    case 408:
    case 504:
      return "ERR_TIMEOUT";
    case 501:
      return "ERR_UNSUPPORTED";
    default:
      return httpStatus < 500 ? "ERR_INVALID_REQUEST" : "ERR_TARGET";
  }
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true });

function isJson(contentType: string | undefined): boolean {
  return /^application\/(json|[\w.-]+\+json)\s*(;|$)/i.test(contentType ?? "");
}

/** The beginning of a body, fit to be shown. */
function excerpt(body: Uint8Array): string {
  if (body.length === 0) return "an empty body";
  return `'${printable(Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, 120)).toString("utf8"), 100)}'`;
}
