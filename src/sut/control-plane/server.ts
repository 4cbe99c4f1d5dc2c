/**
 * The REST control plane of the embedded target, in the shape of the Lightbits API v2.
 *
 * Plain HTTP: it is meant for this host, where it is bound unless told otherwise, and refuses to be bound
 * elsewhere without a token. Real services offer it over HTTPS.
 *
 * @packageDocumentation
 */

import { randomUUID } from "node:crypto";
import type { AddressInfo } from "node:net";
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from "fastify";
import { type Log, silentLog } from "../log.ts";
import { isLoopback } from "../loopback.ts";
import { StoreError, type VolumeStore } from "../store/port.ts";
import { Catalog } from "./catalog.ts";
import { type ClusterFacts, clusterRoutes } from "./cluster-routes.ts";
import { describeError, RouteContext } from "./context.ts";
import { snapshotRoutes } from "./snapshot-routes.ts";
import { StatusError, statusBody, statusOfStoreError } from "./status.ts";
import { bearerCheck } from "./token.ts";
import { volumeRoutes } from "./volume-routes.ts";

/** Longest request body, in bytes; the longest legal one (many access list entries) is well below. */
const requestBodyBytesMax = 512 * 1024;

export interface ControlPlaneOptions {
  /** Used, not owned: disposing the control plane leaves it open. */
  readonly store: VolumeStore;
  /** Address to bind; 127.0.0.1 if absent. Any that is not loopback needs a token. */
  readonly host?: string;
  /** TCP port; 0, or absent, picks a free one. */
  readonly port?: number;
  /** Bearer token that every request must carry; absent lets every process of this host in. */
  readonly token?: string;
  readonly subsystemNqn: string;
  /** Where the namespaces are served, as `host:port`. */
  readonly nvmeEndpoints: readonly string[];
  readonly discoveryEndpoints?: readonly string[];
  readonly clusterUuid?: string;
  readonly nodeUuid?: string;
  readonly clusterName?: string;
  readonly productVersion?: string;
  /** For how long a new volume or snapshot is at least shown as Creating, in milliseconds; 0 if absent. */
  readonly creatingMs?: number;
  /** Most ranges in one page of a diff; 10000 if absent. */
  readonly diffPageRangesMax?: number;
  /** Monotonic clock in milliseconds. */
  readonly now?: () => number;
  readonly log?: Log;
}

export interface ControlPlane extends AsyncDisposable {
  /** Base URL without a path, such as `http://127.0.0.1:40123`. */
  readonly url: string;
}

/**
 * Starts listening.
 *
 * @throws {Error} If the address is not loopback and there is no token, or cannot be bound.
 */
export async function serveControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const host = options.host ?? "127.0.0.1";
  if (!isLoopback(host) && options.token === undefined) {
    throw new Error(
      `the control plane does not serve ${host} without a token: anyone who reaches that address could ` +
        "delete volumes. Set a token, or bind 127.0.0.1",
    );
  }
  if (options.token !== undefined && !/^[\x21-\x7e]{8,4096}$/.test(options.token)) {
    throw new Error("the token must be 8 to 4096 printable ASCII characters without spaces");
  }
  const { app, dispose } = controlPlaneApp(options);
  try {
    await app.listen({ host, port: options.port ?? 0 });
  } catch (error) {
    await dispose();
    throw new Error(`the control plane cannot listen on ${host} port ${options.port ?? 0}`, { cause: error });
  }
  const [endpoint = ""] = endpointsOf(app);
  let disposal: Promise<void> | undefined;
  return { url: `http://${endpoint}`, [Symbol.asyncDispose]: () => (disposal ??= dispose()) };
}

/** Builds the application without listening, so that requests can be injected. */
export function controlPlaneApp(options: ControlPlaneOptions): {
  readonly app: FastifyInstance;
  readonly dispose: () => Promise<void>;
} {
  const { log = silentLog } = options;
  const facts: ClusterFacts = {
    clusterUuid: options.clusterUuid ?? randomUUID(),
    nodeUuid: options.nodeUuid ?? randomUUID(),
    clusterName: options.clusterName ?? "harrow",
    productVersion: options.productVersion ?? "harrow",
    subsystemNqn: options.subsystemNqn,
    nvmeEndpoints: options.nvmeEndpoints,
    discoveryEndpoints: options.discoveryEndpoints ?? [],
  };
  const catalog = new Catalog({
    store: options.store,
    nodeUuid: facts.nodeUuid,
    clusterUuid: facts.clusterUuid,
    creatingMs: options.creatingMs ?? 0,
    now: options.now ?? (() => performance.now()),
  });
  const diffPageRangesMax = options.diffPageRangesMax ?? 10_000;
  const context = new RouteContext({ catalog, diffPageRangesMax, log });

  const answerError = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const status = statusOf(error);
    if (status.httpStatus === 500) {
      log.error(`${request.method} ${request.url.split("?")[0]} failed: ${describeError(error)}`);
    }
    if (status.httpStatus === 401) void reply.header("www-authenticate", "Bearer");
    void reply.code(status.httpStatus).send(statusBody(status.code, status.message));
  };
  const app = fastify({
    // Errors before a route is found, as for a path that is not UTF-8.
    frameworkErrors: answerError,
    bodyLimit: requestBodyBytesMax,
    requestTimeout: 30_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 300, ignoreTrailingSlash: false },
  });
  const checkBearer = bearerCheck(options.token);
  app.addHook("onRequest", async (request) => checkBearer(request.headers.authorization));
  app.setNotFoundHandler(async ({ method, url }, reply) => {
    const path = (url.split("?")[0] ?? "").slice(0, 300);
    return reply.code(404).send(statusBody("NotFound", `there is no ${method} ${path} here`));
  });
  app.setErrorHandler(answerError);

  const apiEndpoints = () => endpointsOf(app);
  clusterRoutes(app, "/api/v2", facts, apiEndpoints);
  for (const prefix of ["/api/v2/projects/:projectName", "/api/v2"]) {
    volumeRoutes(app, prefix, context);
    snapshotRoutes(app, prefix, context);
  }
  const dispose = async () => {
    await app.close();
    await context.idle();
    catalog[Symbol.dispose]();
  };
  return { app, dispose };
}

/** What a client is told of an error; of one that nobody foresaw only that there was one. */
function statusOf(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof StoreError) return statusOfStoreError(error);
  // Errors of the framework about the request: malformed JSON, a body too large, an unknown media type.
  const httpStatus = (error as { readonly statusCode?: unknown } | null)?.statusCode;
  if (error instanceof Error && typeof httpStatus === "number" && httpStatus >= 400 && httpStatus < 500) {
    return new StatusError("InvalidArgument", error.message, httpStatus);
  }
  return new StatusError("Internal", "internal error; the log of the target says more");
}

function endpointsOf(app: FastifyInstance): readonly string[] {
  const address = app.server.address() as AddressInfo | null;
  if (address === null) return [];
  return [`${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`];
}
