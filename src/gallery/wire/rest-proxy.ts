/**
 * A proxy for the REST API between harrow and a target, which shows diffs, and every request, to an interceptor.
 *
 * Whatever the interceptor has nothing to say of is passed on as it comes, in both directions, and never kept as a
 * whole. When the target can not be reached, or goes away amid an answer, the proxy's client sees the same.
 *
 * @packageDocumentation
 */
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type ServerResponse,
} from "node:http";
import { pipeline } from "node:stream/promises";
import { type Log, silentLog } from "../../sut/log.ts";
import { listenOnLoopback } from "./loopback.ts";

/** A request, without its body. */
export interface RestRequest {
  readonly method: string;
  /** As it was sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** What a diff request asks for. */
interface DiffCall {
  readonly snapshotUuid: string;
  /** Absent for a diff without base. */
  readonly baseSnapshotUuid: string | undefined;
  readonly query: URLSearchParams;
}

interface RestAnswer {
  readonly statusCode: number;
  /** Sent as JSON. */
  readonly body: unknown;
}

/** Decides about requests and diffs; where a method is absent, nothing is changed. */
export interface RestInterceptor {
  /**
   * Asked for every request, before it goes on; takes as long as it likes.
   *
   * @returns An answer in the target's name, which then does not hear of the request; `"drop"` ends the client's
   *   connection without one.
   */
  request?(request: RestRequest): Promise<RestAnswer | "drop" | undefined>;
  /**
   * Asked for every diff that the target has answered.
   *
   * @param page - The JSON document, where 64-bit integers are text; to be left as it is.
   * @returns The document that is told instead; absent for the target's own.
   */
  diff?(page: unknown, call: DiffCall): unknown;
}

export interface RestProxy extends AsyncDisposable {
  /** Base URL at which it is reached: a port of the system's choice on the loopback interface. */
  readonly url: string;
}

/** Longest answer to a diff that is changed, bytes; a longer one ends the client's connection. */
const diffBytesMax = 64 * 1024 * 1024;
/** Headers of one connection, which mean nothing on the next (RFC 9110, 7.6.1), and what is made anew for it. */
const connectionHeaders = new Set([
  "connection",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

export interface RestProxyOptions {
  /** The target's base URL: plain HTTP, with a path or without. */
  readonly upstream: string;
  readonly interceptor: RestInterceptor;
  /** Told of requests that got no answer, or not all of it. */
  readonly log?: Pick<Log, "warn">;
}

/**
 * Starts listening. Disposing ends all connections, and may be repeated.
 *
 * @throws {TypeError} The base URL is none, or not of HTTP.
 */
export async function serveRestProxy(options: RestProxyOptions): Promise<RestProxy> {
  const upstream = new URL(options.upstream);
  if (upstream.protocol !== "http:")
    throw new TypeError(`the proxy speaks plain HTTP to its upstream, got ${upstream.protocol}//`);
  const agent = new Agent({ keepAlive: true });
  const forwarder = new Forwarder(upstream, agent, options);
  const server = createServer((request, response) => void forwarder.forward(request, response));
  const { host, port } = await listenOnLoopback(server);
  let closed: Promise<void> | undefined;
  return {
    url: `http://${host}:${port}`,
    [Symbol.asyncDispose]: () =>
      (closed ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        agent.destroy();
      })),
  };
}

class Forwarder {
  readonly #upstream: URL;
  readonly #agent: Agent;
  readonly #interceptor: RestInterceptor;
  readonly #log: Pick<Log, "warn">;

  constructor(upstream: URL, agent: Agent, { interceptor, log = silentLog }: RestProxyOptions) {
    this.#upstream = upstream;
    this.#agent = agent;
    this.#interceptor = interceptor;
    this.#log = log;
  }

  /** Answers a request; never rejects. */
  async forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = "", query = ""] = splitOnce(request.url ?? "/", "?");
    const asked: RestRequest = { method: request.method ?? "GET", path, query: new URLSearchParams(query) };
    try {
      const own = await this.#interceptor.request?.(asked);
      if (own === "drop") response.destroy();
      else if (own !== undefined) answerJson(response, own.statusCode, own.body);
      else await this.#pass(request, response, asked);
    } catch (error) {
      // Of a client or a target that is gone the other one can be told no more than by the end of its connection.
      this.#log.warn(
        `proxy: no answer to ${asked.method} ${path}: ${error instanceof Error ? error.message : String(error)}`,
      );
      response.destroy();
    }
  }

  async #pass(request: IncomingMessage, response: ServerResponse, asked: RestRequest): Promise<void> {
    const { hostname, port, pathname } = this.#upstream;
    const onward = httpRequest({
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port,
      agent: this.#agent,
      method: asked.method,
      path: `${pathname.replace(/\/$/, "")}${request.url}`,
      headers: passedOn(request),
    });
    const answered = new Promise<IncomingMessage>((resolve, reject) => {
      onward.once("response", resolve);
      onward.once("error", reject);
    });
    response.once("close", () => onward.destroy());
    // A target may answer before it has read all of the request.
    pipeline(request, onward).catch(() => {});
    const answer = await answered;
    const call = diffCall(asked);
    if (call !== undefined && answer.statusCode === 200 && this.#interceptor.diff !== undefined)
      await this.#passDiff(answer, response, call);
    else {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, passedOn(answer));
      await pipeline(answer, response);
    }
  }

  async #passDiff(answer: IncomingMessage, response: ServerResponse, call: DiffCall): Promise<void> {
    const bytes = await collect(answer);
    const page = parsed(bytes);
    const told = page === undefined ? undefined : this.#interceptor.diff!(page, call);
    const body = told === undefined ? bytes : Buffer.from(JSON.stringify(told));
    const headers = passedOn(answer);
    headers["content-length"] = [String(body.length)];
    response.writeHead(200, answer.statusMessage, headers).end(body);
  }
}

/** The diff that a request asks for; absent if it asks for anything else. */
function diffCall({ method, path, query }: RestRequest): DiffCall | undefined {
  const snapshotUuid = /\/snapshots\/diff\/([^/]+)$/.exec(path)?.[1];
  if (method !== "GET" || snapshotUuid === undefined) return undefined;
  return { snapshotUuid, baseSnapshotUuid: query.get("baseSnapshotUUID") ?? undefined, query };
}

/** Headers that go on, each as often as it came. */
function passedOn({ headersDistinct }: IncomingMessage): Record<string, string[]> {
  const headers: Record<string, string[]> = {};
  for (const [name, values] of Object.entries(headersDistinct))
    if (values !== undefined && !connectionHeaders.has(name)) headers[name] = values;
  return headers;
}

async function collect(answer: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > diffBytesMax)
      throw new Error(`a diff of more than ${diffBytesMax} bytes can not be changed`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** A JSON document that is an object; absent for anything else. */
function parsed(bytes: Buffer): object | undefined {
  try {
    const document: unknown = JSON.parse(bytes.toString("utf8"));
    return typeof document === "object" && document !== null ? document : undefined;
  } catch {
    return undefined;
  }
}

function answerJson(response: ServerResponse, statusCode: number, body: unknown): void {
  const bytes = Buffer.from(JSON.stringify(body));
  const headers = { "content-type": "application/json", "content-length": bytes.length };
  response.writeHead(statusCode, headers).end(bytes);
}

function splitOnce(text: string, separator: string): readonly string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
