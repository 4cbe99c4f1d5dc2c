/**
 * SnapshotMetadata over gRPC, as the embedded target offers it: the service of a CSI driver, with its Identity, and
 * that of Kubernetes, whose VolumeSnapshots are the same snapshots by name or id.
 *
 * Not encrypted: it is meant for this host, where it is bound unless told otherwise, and refuses to be bound
 * elsewhere without a token.
 *
 * @packageDocumentation
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { Server, ServerCredentials, type ServerWritableStream, type ServiceError } from "@grpc/grpc-js";
import { StatusError, statusOfStoreError } from "../../control-plane/status.ts";
import { grpcCodes } from "../../lightbits/grpc-status.ts";
import { type Log, silentLog } from "../../log.ts";
import { isLoopback } from "../../loopback.ts";
import { StoreError, type VolumeStore } from "../../store/port.ts";
import type { MetadataMessage } from "../messages.ts";
import { identityService, metadataServices, snapshotMetadataCapability } from "../protocol.ts";
import { answerQuestion, type CsiStyle, type MetadataQuestion } from "./answer.ts";
import type { CsiBug } from "./bug.ts";

/** The only namespace that the Kubernetes service knows. */
const csiNamespace = "default";
/** Key of the secret that holds the token for the service of the driver, which has no other place for one. */
export const csiTokenSecret = "token";

/** Longest question, in bytes: ids, secrets and a token. */
const questionBytesMax = 64 * 1024;

export interface CsiServerOptions {
  /** Used, not owned: disposing the server leaves it open. */
  readonly store: VolumeStore;
  /** Address to bind; 127.0.0.1 if absent. Any that is not loopback needs a token. */
  readonly host?: string;
  /** TCP port; 0, or absent, picks a free one. */
  readonly port?: number;
  /** `fixed` if absent. */
  readonly style?: CsiStyle;
  /** Asked for as secret `token`, or as security token; absent lets every process of this host in. */
  readonly token?: string;
  readonly version?: string;
  /** Makes mistakes on purpose. */
  readonly bug?: CsiBug;
  readonly log?: Log;
}

export interface CsiServer extends AsyncDisposable {
  /** As a client takes it, such as `tcp://127.0.0.1:40123`. */
  readonly address: string;
}

/** @throws {Error} If the address is not loopback and there is no token, or cannot be bound. */
export async function serveCsi(options: CsiServerOptions): Promise<CsiServer> {
  const { host = "127.0.0.1", port = 0, token, log = silentLog } = options;
  if (!isLoopback(host) && token === undefined)
    throw new Error(`the CSI service does not serve ${host} without a token: set one, or bind 127.0.0.1`);
  const server = new Server({ "grpc.max_receive_message_length": questionBytesMax });
  addServices(server, options, log);
  const at = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${at}:${port}`, ServerCredentials.createInsecure(), (error, boundPort) => {
      if (error === null) resolve(boundPort);
      else reject(new Error(`the CSI service cannot listen on ${host} port ${port}`, { cause: error }));
    });
  });
  return {
    address: `tcp://${at}:${bound}`,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}

type Stream = ServerWritableStream<unknown, unknown>;

function addServices(server: Server, options: CsiServerOptions, log: Log): void {
  const { store, version = "harrow", token } = options;
  const isToken = tokenCheck(token);
  server.addService(identityService, {
    GetPluginInfo: (_: unknown, answer: (error: null, value: object) => void) =>
      answer(null, { name: "harrow.embedded", vendor_version: version, manifest: {} }),
    GetPluginCapabilities: (_: unknown, answer: (error: null, value: object) => void) =>
      answer(null, { capabilities: [{ service: { type: snapshotMetadataCapability } }] }),
  });
  const place = ({ starting_offset, max_results }: WirePlace) => ({
    startingOffset: BigInt(starting_offset),
    maxResults: max_results,
  });
  const bySecret = ({ secrets }: { readonly secrets: Readonly<Record<string, string>> }) =>
    checkToken(isToken(secrets[csiTokenSecret] ?? ""));
  server.addService(metadataServices.csi, {
    GetMetadataAllocated: (call: Stream) =>
      reply(call, options, log, (asked: WirePlace & WireSecrets & { snapshot_id: string }) => {
        bySecret(asked);
        return { ...place(asked), targetId: asked.snapshot_id, baseId: undefined };
      }),
    GetMetadataDelta: (call: Stream) =>
      reply(
        call,
        options,
        log,
        (asked: WirePlace & WireSecrets & { base_snapshot_id: string; target_snapshot_id: string }) => {
          bySecret(asked);
          return { ...place(asked), targetId: asked.target_snapshot_id, baseId: asked.base_snapshot_id };
        },
      ),
  });
  const admit = ({ security_token, namespace }: WireCaller) => {
    if (security_token === "" || namespace === "")
      throw new StatusError("InvalidArgument", "security_token and namespace must not be empty");
    checkToken(isToken(security_token));
    if (namespace !== csiNamespace)
      throw new StatusError("NotFound", `no VolumeSnapshots in ${namespace}: there is only ${csiNamespace}`);
  };
  const idOf = (name: string) => store.snapshotByName(name)?.uuid ?? name;
  server.addService(metadataServices.kubernetes, {
    GetMetadataAllocated: (call: Stream) =>
      reply(call, options, log, (asked: WirePlace & WireCaller & { snapshot_name: string }) => {
        admit(asked);
        return { ...place(asked), targetId: idOf(asked.snapshot_name), baseId: undefined };
      }),
    GetMetadataDelta: (call: Stream) =>
      reply(
        call,
        options,
        log,
        (asked: WirePlace & WireCaller & { base_snapshot_id: string; target_snapshot_name: string }) => {
          admit(asked);
          return {
            ...place(asked),
            targetId: idOf(asked.target_snapshot_name),
            baseId: asked.base_snapshot_id,
          };
        },
      ),
  });
}

interface WirePlace {
  readonly starting_offset: string;
  readonly max_results: number;
}
interface WireSecrets {
  readonly secrets: Readonly<Record<string, string>>;
}
interface WireCaller {
  readonly security_token: string;
  readonly namespace: string;
}

/** Streams one answer; the reader sets the pace. */
async function reply<Asked>(
  call: Stream,
  { store, style = "fixed", bug }: CsiServerOptions,
  log: Log,
  read: (asked: Asked) => MetadataQuestion,
): Promise<void> {
  // A caller that went away has nobody left to be told of it.
  call.on("error", () => undefined);
  try {
    const question = read(call.request as Asked);
    const proceed = (asked: MetadataQuestion) => answerQuestion(store, style, asked);
    const messages =
      bug === undefined
        ? proceed(question)
        : bug(question, { store, proceed, deadlineMs: Number(call.getDeadline()) });
    for await (const message of messages) {
      if (call.cancelled) return;
      if (!call.write(wireOf(message))) await drained(call);
      // A long answer leaves others their turn.
      else await nextTurn();
    }
    call.end();
  } catch (error) {
    const status = statusOf(error);
    if (status.code === "Internal") log.error(`an answer failed: ${String(error)}`);
    const end: Partial<ServiceError> = { code: grpcCodes[status.code], details: status.message };
    call.emit("error", end);
  }
}

function drained(call: Stream): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      for (const event of ["drain", "cancelled", "close"] as const) call.off(event, settle);
      resolve();
    };
    for (const event of ["drain", "cancelled", "close"] as const) call.on(event, settle);
  });
}

function wireOf({ type, capacityBytes, tuples }: MetadataMessage): object {
  return {
    block_metadata_type: type,
    volume_capacity_bytes: capacityBytes,
    block_metadata: tuples.map(({ byteOffset, sizeBytes }) => ({
      byte_offset: byteOffset,
      size_bytes: sizeBytes,
    })),
  };
}

function statusOf(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  if (error instanceof StoreError) return statusOfStoreError(error);
  return new StatusError("Internal", "internal error; the log of the target says more");
}

function checkToken(isRight: boolean): void {
  if (!isRight)
    throw new StatusError("Unauthenticated", "authentication failed: the token is not valid here");
}

/** Compares digests, in constant time, so that neither content nor length of the token shows in the time taken. */
function tokenCheck(token: string | undefined): (presented: string) => boolean {
  if (token === undefined) return () => true;
  const digest = (text: string) => createHash("sha256").update(text, "utf8").digest();
  const expected = digest(token);
  return (presented) => timingSafeEqual(digest(presented), expected);
}
