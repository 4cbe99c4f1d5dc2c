/**
 * Client of a SnapshotMetadata service: of a CSI driver, or of the one that stands before drivers in Kubernetes.
 *
 * It waits no longer than it was told to, keeps one message at a time, and hands on what it is told without a
 * judgement. Nothing is asked again on its own: where an answer breaks off, its reader may go on by offset.
 *
 * @packageDocumentation
 */
import { type ChannelCredentials, Client, connectivityState, Metadata } from "@grpc/grpc-js";
import { type Clock, systemClock } from "../clock.ts";
import { type CallOptions, ServiceError } from "../port.ts";
import { credentialsFor, parseAddress, type TlsOptions } from "./address.ts";
import { type AllocatedQuestion, type DeltaQuestion, type MetadataMessage, readMessage } from "./messages.ts";
import {
  type CsiDialect,
  identityService,
  metadataServices,
  snapshotMetadataCapability,
} from "./protocol.ts";
import { type EndStatus, refusalOf } from "./refusal.ts";
import { countTuples } from "./tuple-count.ts";

/** How a caller says who it is, in the words of each service. */
export type CsiAccess =
  | {
      readonly dialect: "csi";
      /** What the driver needs to act, such as the keys of a cluster. */
      readonly secrets?: Readonly<Record<string, string>>;
    }
  | {
      readonly dialect: "kubernetes";
      /** Where the VolumeSnapshots are. */
      readonly namespace: string;
      /** Token for the audience that the service names. */
      readonly securityToken: string;
    };

export interface CsiTimeouts {
  /** Until there is a connection; 10 s if absent. */
  readonly connectTimeoutMs?: number;
  /** From the question to the first message; 60 s if absent. */
  readonly firstMessageTimeoutMs?: number;
  /** From one message to the next, as long as the reader waits for it; 30 s if absent. */
  readonly messageGapTimeoutMs?: number;
  /** From the question to the end of the answer, with the time that the reader takes; 30 min if absent. */
  readonly answerTimeoutMs?: number;
}

export interface CsiOptions extends TlsOptions, CsiTimeouts {
  /** `unix:/path`, `tcp://host:port` (not encrypted), or `host:port` for TLS. */
  readonly address: string;
  readonly access: CsiAccess;
  /** Name in the service's certificate, if it is not that of the address. */
  readonly serverName?: string;
  /** Longest message that is read, in bytes; 4 MiB if absent. */
  readonly messageBytesMax?: number;
  /** Most tuples of a message that is read; 65536 if absent. */
  readonly messageTuplesMax?: number;
  /** Time of all waits but the one for a connection; the system's if absent. */
  readonly clock?: Clock;
}

interface PluginIdentity {
  readonly name: string;
  readonly version: string;
  readonly hasSnapshotMetadata: boolean;
}

export interface MetadataCallOptions extends CallOptions {
  /** Deadline that the service is told of and that is not watched here, to see how it ends an answer by itself. */
  readonly toldDeadlineMs?: number;
}

/** Answers are streams; leaving one early cancels it. All reject with {@link ServiceError}. */
export interface CsiSnapshotMetadata extends AsyncDisposable {
  readonly dialect: CsiDialect;
  readonly address: string;
  /** Name and abilities of the plugin; there is none to ask in Kubernetes. */
  identity(options?: CallOptions): Promise<PluginIdentity | undefined>;
  metadataAllocated(
    question: AllocatedQuestion,
    options?: MetadataCallOptions,
  ): AsyncGenerator<MetadataMessage, void, undefined>;
  metadataDelta(
    question: DeltaQuestion,
    options?: MetadataCallOptions,
  ): AsyncGenerator<MetadataMessage, void, undefined>;
}

/**
 * Prepares a client; nothing is sent before the first call.
 *
 * @throws {ServiceError} `ERR_INVALID_REQUEST` if the options cannot be used.
 */
export async function connectCsiSnapshotMetadata(options: CsiOptions): Promise<CsiSnapshotMetadata> {
  const endpoint = parseAddress(options.address);
  const { access } = options;
  if (access.dialect === "kubernetes" && (access.namespace === "" || access.securityToken.trim() === ""))
    throw new ServiceError("ERR_INVALID_REQUEST", "the Kubernetes service needs a namespace and a token");
  const hasSecrets = access.dialect === "kubernetes" || Object.keys(access.secrets ?? {}).length > 0;
  return new CsiClient(options, endpoint.target, await credentialsFor(endpoint, options, hasSecrets));
}

class CsiClient implements CsiSnapshotMetadata {
  readonly dialect: CsiDialect;
  readonly address: string;
  readonly #options: CsiOptions;
  readonly #clock: Clock;
  readonly #client: Client;

  constructor(options: CsiOptions, target: string, credentials: ChannelCredentials) {
    const { access, serverName, messageBytesMax = 4 * 2 ** 20, clock = systemClock } = options;
    this.dialect = access.dialect;
    this.address = options.address;
    this.#options = options;
    this.#clock = clock;
    this.#client = new Client(target, credentials, {
      "grpc.max_receive_message_length": messageBytesMax,
      "grpc.enable_retries": 0,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.service_config_disable_resolution": 1,
      ...(serverName !== undefined && {
        "grpc.ssl_target_name_override": serverName,
        "grpc.default_authority": serverName,
      }),
    });
  }

  async identity(options?: CallOptions): Promise<PluginIdentity | undefined> {
    if (this.dialect !== "csi") return undefined;
    const info = (await this.#unary("GetPluginInfo", options)) as { name: string; vendor_version: string };
    const { capabilities } = (await this.#unary("GetPluginCapabilities", options)) as {
      capabilities: readonly { service: { type: number } | null }[];
    };
    return {
      name: info.name,
      version: info.vendor_version,
      hasSnapshotMetadata: capabilities.some(({ service }) => service?.type === snapshotMetadataCapability),
    };
  }

  metadataAllocated(question: AllocatedQuestion, options?: MetadataCallOptions) {
    const { access } = this.#options;
    const { snapshotId, startingOffset = 0, maxResults = 0 } = question;
    const place = { starting_offset: String(startingOffset), max_results: maxResults };
    const request =
      access.dialect === "csi"
        ? { snapshot_id: snapshotId, ...place, secrets: access.secrets ?? {} }
        : { ...caller(access), snapshot_name: snapshotId, ...place };
    return this.#stream(`allocated blocks of ${snapshotId}`, "GetMetadataAllocated", request, options);
  }

  metadataDelta(question: DeltaQuestion, options?: MetadataCallOptions) {
    const { access } = this.#options;
    const { baseId, targetId, startingOffset = 0, maxResults = 0 } = question;
    const place = { starting_offset: String(startingOffset), max_results: maxResults };
    const request =
      access.dialect === "csi"
        ? { base_snapshot_id: baseId, target_snapshot_id: targetId, ...place, secrets: access.secrets ?? {} }
        : { ...caller(access), base_snapshot_id: baseId, target_snapshot_name: targetId, ...place };
    return this.#stream(`changes from ${baseId} to ${targetId}`, "GetMetadataDelta", request, options);
  }

  async *#stream(
    what: string,
    name: "GetMetadataAllocated" | "GetMetadataDelta",
    request: object,
    options: MetadataCallOptions = {},
  ): AsyncGenerator<MetadataMessage, void, undefined> {
    const { signal, toldDeadlineMs } = options;
    const {
      firstMessageTimeoutMs = 60_000,
      messageGapTimeoutMs = 30_000,
      answerTimeoutMs = 30 * 60_000,
      messageTuplesMax = 65_536,
    } = this.#options;
    const startMs = this.#clock.now();
    await this.#connected(what, signal);
    const method = metadataServices[this.dialect][name]!;
    const metadata = new Metadata();
    if (toldDeadlineMs !== undefined) metadata.set("grpc-timeout", `${Math.ceil(toldDeadlineMs)}m`);
    // Taken apart one at a time, when it is wanted: what waits is not larger than it was on the wire.
    const asBytes = (bytes: Buffer) => bytes;
    const call = this.#client.makeServerStreamRequest(
      method.path,
      method.requestSerialize,
      asBytes,
      request,
      metadata,
    );
    const cancel = () => call.cancel();
    // Whoever reads hears of it; nobody else has to.
    call.on("error", () => undefined);
    signal?.addEventListener("abort", cancel, { once: true });
    const messages = call[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
    try {
      for (let count = 0; ; count++) {
        const where = `${what}, message ${count}`;
        const waitMs = count === 0 ? firstMessageTimeoutMs : messageGapTimeoutMs;
        const leftMs = startMs + answerTimeoutMs - this.#clock.now();
        let late = false;
        const timer = this.#clock.setTimeout(
          () => {
            late = true;
            cancel();
          },
          Math.min(waitMs, leftMs),
        );
        let next: IteratorResult<Buffer, undefined>;
        try {
          if (signal?.aborted) throw signal.reason;
          next = await messages.next();
        } catch (cause) {
          if (signal?.aborted) throw new ServiceError("ERR_ABORTED", `${where}: cancelled`, { cause });
          if (late && leftMs <= waitMs)
            throw new ServiceError(
              "ERR_TIMEOUT",
              `${what}: no end of the answer within ${answerTimeoutMs} ms, after ${count} messages`,
            );
          if (late) throw new ServiceError("ERR_TIMEOUT", `${where}: not there within ${waitMs} ms`);
          throw refusalOf(where, cause as EndStatus, this.address);
        } finally {
          this.#clock.clearTimeout(timer);
        }
        if (next.done) return;
        yield readMessage(
          where,
          deserialize(where, next.value, method.responseDeserialize, messageTuplesMax),
        );
      }
    } finally {
      signal?.removeEventListener("abort", cancel);
      cancel();
    }
  }

  async #unary(name: "GetPluginInfo" | "GetPluginCapabilities", { signal }: CallOptions = {}) {
    await this.#connected(name, signal);
    const method = identityService[name]!;
    const deadline = Date.now() + (this.#options.firstMessageTimeoutMs ?? 60_000);
    return new Promise<object>((resolve, reject) => {
      const cancel = () => call.cancel();
      const call = this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize as (bytes: Buffer) => object,
        {},
        new Metadata(),
        { deadline },
        (error, answer) => {
          signal?.removeEventListener("abort", cancel);
          if (signal?.aborted) reject(new ServiceError("ERR_ABORTED", `${name}: cancelled`));
          else if (error !== null) reject(refusalOf(name, error, this.address));
          else resolve(answer!);
        },
      );
      signal?.addEventListener("abort", cancel, { once: true });
    });
  }

  /** Waits until there is a connection, or a reason for there being none, which the call will then say. */
  async #connected(what: string, signal: AbortSignal | undefined): Promise<void> {
    const { connectTimeoutMs = 10_000 } = this.#options;
    const channel = this.#client.getChannel();
    const deadline = Date.now() + connectTimeoutMs;
    for (;;) {
      if (signal?.aborted) throw new ServiceError("ERR_ABORTED", `${what}: cancelled`);
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY || state === connectivityState.TRANSIENT_FAILURE) return;
      if (state === connectivityState.SHUTDOWN)
        throw new ServiceError("ERR_UNREACHABLE", `${what}: the client is closed`);
      if (Date.now() >= deadline)
        throw new ServiceError(
          "ERR_TIMEOUT",
          `${what}: no connection to ${this.address} within ${connectTimeoutMs} ms`,
        );
      await new Promise<void>((resolve) => {
        const settle = () => {
          signal?.removeEventListener("abort", settle);
          resolve();
        };
        signal?.addEventListener("abort", settle, { once: true });
        channel.watchConnectivityState(state, deadline, settle);
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.close();
  }
}

function caller({ securityToken, namespace }: Extract<CsiAccess, { readonly dialect: "kubernetes" }>) {
  return { security_token: securityToken.trim(), namespace };
}

function deserialize(
  where: string,
  bytes: Buffer,
  responseDeserialize: (bytes: Buffer) => object,
  tuplesMax: number,
): object {
  const tupleCount = countTuples(bytes);
  if (tupleCount !== undefined && tupleCount > tuplesMax)
    throw new ServiceError("ERR_BAD_ANSWER", `${where}: ${tupleCount} tuples, at most ${tuplesMax} are read`);
  try {
    if (tupleCount !== undefined) return responseDeserialize(bytes);
  } catch {
    // Said below, as of bytes that are not even counted.
  }
  throw new ServiceError(
    "ERR_BAD_ANSWER",
    `${where}: ${bytes.length} bytes that are not a message of this service`,
  );
}
