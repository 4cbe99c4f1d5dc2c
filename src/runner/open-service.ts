/**
 * From the target of a configuration to an open volume service, with the way to its volumes.
 *
 * What the volumes hold, and whether they may be used, is not looked at.
 *
 * @packageDocumentation
 */
import { createHash, randomUUID } from "node:crypto";
import { Choices } from "../generators/choices.ts";
import { type Clock, systemClock } from "../sut/clock.ts";
import { type LaunchedTarget, launchEmbedded } from "../sut/embedded/launch.ts";
import { connectController } from "../sut/initiator/controller.ts";
import { reconnectPolicyDefault } from "../sut/initiator/reconnect.ts";
import type { ConnectNamespaces } from "../sut/data-path/data-path.ts";
import { connectLightbits } from "../sut/lightbits/service.ts";
import { type TokenSource, tokenSource } from "../sut/lightbits/token.ts";
import { memoryService } from "../sut/memory.ts";
import { ConfigError } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { type LinuxTarget, openLinux } from "./open-linux.ts";
import type { OpenedService } from "./opened-service.ts";
import { asLog, type RunLog } from "./run-log.ts";
import { TargetFailure } from "./target-failure.ts";
import { withVolumePaths } from "./volume-paths.ts";

export interface OpenServiceOptions {
  readonly target: Config["target"];
  /** Bytes per block of the volumes that are to be made, for a target that is made for it; 4096 if absent. */
  readonly blockSizeBytes?: 512 | 4096;
  /** Spreads delays before another try, and decides which unflushed writes the embedded target loses. */
  readonly seed: bigint;
  readonly log: RunLog;
  /** How to start `harrow serve`: program and leading arguments. */
  readonly serveCommand: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Of a Lightbits cluster, in place of the one that the target's keys lead to. */
  readonly token?: string;
  /** Block devices or files by which volumes are reached, by UUID; the others are reached over NVMe/TCP. */
  readonly volumePaths?: ReadonlyMap<string, string>;
  /** Opens those past the page cache (O_DIRECT). */
  readonly volumePathsDirect?: boolean;
  /** Cancels the start of a guest. */
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
  readonly detours?: ServiceDetours;
}

/** Ways in between this process and its embedded target. */
export interface ServiceDetours {
  /** Of the embedded target: gives the URL by which its control plane, at `url`, is to be reached. */
  readonly restVia?: (url: string) => Promise<string>;
  /** Of the embedded target: gives the address by which its data path is to be reached. */
  readonly nvmeVia?: (address: Address) => Promise<Address>;
  /** Told what the embedded target says beside its answers, line by line. */
  readonly onLine?: (line: string) => void;
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** NQN of a host that is named by a UUID (NVM Express Base Specification, NVMe Qualified Names). */
const uuidNqnPrefix = "nqn.2014-08.org.nvmexpress:uuid:";

const jitterStream = 1n;

type EmbeddedTarget = Extract<Config["target"], { kind: "embedded" }>;
type LightbitsTarget = Extract<Config["target"], { kind: "lightbits" }>;

/** What every way to open a service is given. */
interface Opening extends OpenServiceOptions {
  readonly clock: Clock;
  readonly random: () => number;
}

/** @throws {ConfigError} If the target is a file or device, which has no service, or there is no token. */
export async function openService(options: OpenServiceOptions): Promise<OpenedService> {
  const { seed, clock = systemClock, volumePaths, volumePathsDirect: direct = false } = options;
  // Delays before another try are spread by chance; they are no part of the history.
  const jitter = new Choices(seed, jitterStream);
  const opened = await open({ ...options, clock, random: () => jitter.fraction() });
  if (volumePaths === undefined || volumePaths.size === 0) return opened;
  return {
    service: withVolumePaths(opened.service, volumePaths, { direct }),
    description: `${opened.description}, by way of ${[...volumePaths.values()].join(", ")}`,
    faults: opened.faults,
    get failure() {
      return opened.failure;
    },
    keep: () => opened.keep?.(),
    [Symbol.asyncDispose]: async () => opened[Symbol.asyncDispose](),
  };
}

async function open(opening: Opening): Promise<OpenedService> {
  const { target } = opening;
  switch (target.kind) {
    case "memory": {
      const service = await memoryService();
      return {
        ...{ service, faults: undefined, failure: undefined },
        description: "volumes in this process's memory, without a wire",
        [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
      };
    }
    case "embedded":
      return openEmbedded(target, opening);
    case "lightbits": {
      const service = await connectLightbits({
        endpoint: target.endpoint,
        token: await tokenOf(target, opening),
        project: target.project,
        ...(target.caFile === undefined ? {} : { caFile: target.caFile }),
        insecure: target.insecure,
        connectNamespaces: connectNamespaces(target, opening),
        random: opening.random,
        clock: opening.clock,
      });
      return {
        ...{ service, faults: undefined, failure: undefined },
        description: `Lightbits cluster at ${target.endpoint}, project ${target.project}`,
        [Symbol.asyncDispose]: async () => service[Symbol.asyncDispose](),
      };
    }
    case "linux":
      return openLinux(target, {
        connectNamespaces: connectNamespaces(target, opening),
        blockSizeBytes: opening.blockSizeBytes ?? 4096,
        signal: opening.signal,
        clock: opening.clock,
        log: opening.log,
      });
    case "block":
      throw new ConfigError([
        `target.kind: block: ${target.path} is one volume without snapshots; name a service`,
      ]);
  }
}

async function openEmbedded(target: EmbeddedTarget, opening: Opening): Promise<OpenedService> {
  const { seed, serveCommand, detours, clock, random } = opening;
  let failure: string | undefined;
  const launched: LaunchedTarget = await launchEmbedded({
    command: serveCommand,
    onUnexpectedExit: (message) => {
      failure = `the embedded target was not stopped, and ${message}`;
      // Nobody will come back: what waits for it ends now.
      launched.service[Symbol.asyncDispose]().then(undefined, () => {});
    },
    ...(target.directory === undefined ? {} : { directory: target.directory }),
    ...(target.volatileCache ? { volatileCache: true, volatileCacheSeed: Number(seed & 0xffffffffn) } : {}),
    ...(detours?.restVia === undefined ? {} : { apiVia: detours.restVia }),
    ...(detours?.onLine === undefined ? {} : { onLine: detours.onLine }),
    service: {
      connectNamespaces: connectVia(detours?.nvmeVia, connectNamespaces(target, opening)),
      random,
      clock,
    },
  });
  const medium = target.directory === undefined ? "in memory" : `in ${target.directory}`;
  return {
    service: launched.service,
    description: `embedded target at ${launched.nvmeEndpoint}, ${medium}`,
    faults: launched.faults,
    get failure() {
      return failure;
    },
    [Symbol.asyncDispose]: async () => launched[Symbol.asyncDispose](),
  };
}

function connectNamespaces(
  target: EmbeddedTarget | LightbitsTarget | LinuxTarget,
  { log, random, clock }: Opening,
): ConnectNamespaces {
  const { ioQueues, queueDepth, headerDigest, dataDigest, commandTimeout: commandTimeoutMs } = target;
  const named = target.kind === "embedded" ? undefined : target.hostNqn;
  const hostNqn = named ?? `${uuidNqnPrefix}${randomUUID()}`;
  return ({ endpoints: [endpoint], subsystemNqn }) => {
    if (endpoint === undefined)
      throw new TargetFailure("the service names no NVMe/TCP endpoint to reach its volumes by");
    return connectController({
      ...endpoint,
      subsystemNqn,
      hostNqn,
      hostId: hostIdOf(hostNqn),
      ioQueueCount: ioQueues,
      queueDepth,
      headerDigest: headerDigest ? "require" : "off",
      dataDigest: dataDigest ? "require" : "off",
      commandTimeoutMs,
      clock,
      reconnect: { ...reconnectPolicyDefault, random },
      log: asLog(log),
    });
  };
}

/** Connects by way of another address for the target's own. */
function connectVia(via: ServiceDetours["nvmeVia"], connect: ConnectNamespaces): ConnectNamespaces {
  if (via === undefined) return connect;
  return async (where) => connect({ ...where, endpoints: await Promise.all(where.endpoints.map(via)) });
}

/** Hosts keep NQN and id one to one: the UUID that the NQN names, or one made from it. */
function hostIdOf(hostNqn: string): string {
  const named = /uuid:([0-9a-f-]{36})$/.exec(hostNqn)?.[1];
  if (named !== undefined) return named;
  const hex = createHash("sha256").update(hostNqn).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** Asked once at the start, so that a token that can not be is a mistake of the configuration. */
async function tokenOf(
  { tokenEnvironment: variable, tokenFile: file }: LightbitsTarget,
  { token, environment }: Pick<OpenServiceOptions, "token" | "environment">,
): Promise<TokenSource> {
  const source = tokenSource({ token, file, environment, variable });
  try {
    await source();
  } catch (cause) {
    throw new ConfigError([
      `target: ${cause instanceof Error ? cause.message : String(cause)}; see target.tokenFile and target.tokenEnvironment`,
    ]);
  }
  return source;
}
