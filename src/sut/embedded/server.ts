/**
 * The embedded target: a store of thin volumes with its faces, NVMe/TCP for data, REST for control, and, if that is
 * wanted, the SnapshotMetadata service of CSI for diffs.
 *
 * Started in the order store, data, control and stopped in the reverse, so that nobody is told of a volume that
 * cannot be reached.
 *
 * @packageDocumentation
 */

import { createHash, randomBytes } from "node:crypto";
import { resolve } from "node:path";
import { AsyncStack } from "../async-stack.ts";
import { type CsiServerOptions, serveCsi } from "../csi/server/server.ts";
import { type ControlPlaneOptions, serveControlPlane } from "../control-plane/server.ts";
import { type Log, silentLog } from "../log.ts";
import { isLoopback } from "../loopback.ts";
import { openStore, type StoreOptions } from "../store/open.ts";
import type { TargetOptions } from "../target/options.ts";
import { type HostFaults, serveTarget } from "../target/server.ts";

export interface EmbeddedOptions
  extends Pick<ControlPlaneOptions, "token" | "creatingMs" | "diffPageRangesMax" | "productVersion">,
    Pick<TargetOptions, "advertise" | "headerDigest" | "dataDigest" | "mdts" | "volatileWriteCache"> {
  /** Where the volumes live: in memory, or in a directory that survives the process. */
  readonly store: StoreOptions;
  /**
   * Address of both listeners; 127.0.0.1 if absent. Any that is not loopback needs a token, which guards the
   * control plane alone: the NVMe/TCP target asks its hosts for nothing.
   */
  readonly host?: string;
  /** Port of the NVMe/TCP target; 0, or absent, picks a free one. */
  readonly nvmePort?: number;
  /** Port of the control plane; 0, or absent, picks a free one. */
  readonly apiPort?: number;
  /** NQN of the subsystem; if absent, one that a directory keeps and that is new for each store in memory. */
  readonly subsystemNqn?: string;
  /** Serves diffs as a CSI driver does, too; not if absent. */
  readonly csi?: Pick<CsiServerOptions, "port" | "style" | "bug">;
  readonly log?: Log;
}

export interface EmbeddedTarget extends AsyncDisposable {
  /** Base URL of the control plane. */
  readonly apiUrl: string;
  /** `host:port` of the NVMe/TCP target. */
  readonly nvmeEndpoint: string;
  /** Where diffs are served as a CSI driver does, as its clients take it. */
  readonly csiAddress: string | undefined;
  readonly subsystemNqn: string;
  readonly faults: HostFaults;
}

/** @throws {Error} If an option cannot be used, the store not opened or an address not bound; nothing stays open. */
export async function serveEmbedded(options: EmbeddedOptions): Promise<EmbeddedTarget> {
  const { host = "127.0.0.1", token, log = silentLog } = options;
  if (!isLoopback(host) && token === undefined) {
    throw new Error(`the target does not serve ${host} without a token: set one, or bind 127.0.0.1`);
  }
  const identity = identityOf(options.store);
  const subsystemNqn = options.subsystemNqn ?? `nqn.2014-08.org.nvmexpress:uuid:${identity.clusterUuid}`;
  await using opened = new AsyncStack();

  const store = opened.use(await openStore(options.store));
  const target = opened.use(
    await serveTarget({
      store,
      subsystemNqn,
      serial: identity.serial,
      host,
      port: options.nvmePort ?? 0,
      ...pick(options, ["advertise", "headerDigest", "dataDigest", "mdts", "volatileWriteCache"]),
      // Whoever is not told of the cache would never flush it.
      ...(options.store.volatileCache !== undefined && { volatileWriteCache: true }),
      log,
    }),
  );
  const controlPlane = opened.use(
    await serveControlPlane({
      store,
      host,
      port: options.apiPort ?? 0,
      subsystemNqn,
      nvmeEndpoints: [target.address],
      discoveryEndpoints: [target.address],
      clusterUuid: identity.clusterUuid,
      nodeUuid: identity.nodeUuid,
      ...pick(options, ["token", "creatingMs", "diffPageRangesMax", "productVersion"]),
      log,
    }),
  );
  const csi =
    options.csi === undefined
      ? undefined
      : opened.use(
          await serveCsi({
            ...options.csi,
            store,
            host,
            ...(token !== undefined && { token }),
            ...(options.productVersion !== undefined && { version: options.productVersion }),
            log,
          }),
        );
  const running = opened.move();
  return {
    apiUrl: controlPlane.url,
    nvmeEndpoint: target.address,
    csiAddress: csi?.address,
    subsystemNqn,
    faults: target,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

/** Ids that stay the same each time a directory is served, so that hosts find the same subsystem again. */
function identityOf(store: StoreOptions) {
  const seed = store.kind === "directory" ? resolve(store.path) : randomBytes(32);
  const digest = createHash("sha256").update("harrow embedded target\0").update(seed).digest();
  return {
    clusterUuid: uuidOf(digest.subarray(0, 16)),
    nodeUuid: uuidOf(digest.subarray(16, 32)),
    serial: digest.toString("hex", 0, 10),
  };
}

/** A UUID of version 8 (RFC 9562), whose content is the maker's own. */
function uuidOf(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The named options that are given; an absent one stays absent. */
function pick<Source extends object, Key extends keyof Source>(
  source: Source,
  keys: readonly Key[],
): { [K in Key]?: Exclude<Source[K], undefined> } {
  return Object.fromEntries(
    keys.filter((key) => source[key] !== undefined).map((key) => [key, source[key]]),
  ) as {
    [K in Key]?: Exclude<Source[K], undefined>;
  };
}
