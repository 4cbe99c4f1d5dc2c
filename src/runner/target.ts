/**
 * From a configuration to an open system under test.
 *
 * @packageDocumentation
 */
import { createHash, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Choices } from "../generators/choices.ts";
import { type LaunchedTarget, launchEmbedded } from "../sut/embedded/launch.ts";
import { type BlockDeviceOptions, openBlockDevice } from "../sut/block/open.ts";
import { type Clock, systemClock } from "../sut/clock.ts";
import { connectController } from "../sut/initiator/controller.ts";
import { reconnectPolicyDefault } from "../sut/initiator/reconnect.ts";
import type { ConnectNamespaces } from "../sut/lightbits/data-path.ts";
import { connectLightbits } from "../sut/lightbits/service.ts";
import { silentLog } from "../sut/log.ts";
import { memoryService } from "../sut/memory.ts";
import { type BlockDevice, ServiceError, type Volume, type VolumeService } from "../sut/port.ts";
import type { TargetFaults } from "../sut/target-faults.ts";
import { ConfigError } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { claim } from "./guard.ts";
import { noService } from "./no-service.ts";
import type { RunLog } from "./run-log.ts";
import { checkFit } from "./target-fit.ts";
import { SizeSchedule } from "../selectors/size-schedule.ts";
import { TargetFailure } from "./target-failure.ts";
import { workloadShape } from "./workload-shape.ts";

/** An open system under test: its service, and the volumes that the history works on. */
export interface Target extends AsyncDisposable {
  /** For people: which system, and where. */
  readonly description: string;
  readonly service: VolumeService;
  /** As many as the geometry has; each reads as zeros. */
  readonly volumes: readonly TargetVolume[];
  /** The way to put it to trouble; absent if it can not be. */
  readonly faults: TargetFaults | undefined;
  /** Why the target is gone for good, once it is. */
  readonly failure: string | undefined;
  /** What the run leaves on it is still there after the run. */
  readonly isLasting: boolean;
  /** Leaves the volumes that the run created when it is disposed: they hold the evidence. */
  keep(): void;
}

export interface TargetVolume {
  readonly uuid: string;
  readonly device: BlockDevice;
  /** The run made it, and it holds nothing of anyone else's. */
  readonly isCreated: boolean;
  /** Another volume that takes the same operations. */
  readonly second?: BlockDevice;
  readonly secondUuid?: string;
}

/** The volumes of a run, to be found again when it goes on. */
export interface KeptVolume {
  readonly uuid: string;
  readonly isCreated: boolean;
  readonly secondUuid?: string | undefined;
}

export interface TargetOptions {
  readonly config: Config;
  readonly seed: bigint;
  /** Name of the run, for what it creates. */
  readonly name: string;
  readonly log: RunLog;
  /** How to start `harrow serve`: program and leading arguments. */
  readonly serveCommand: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** The volumes of a run that goes on, by number. */
  readonly kept?: readonly KeptVolume[];
  readonly spoiled?: SpoiledTarget;
}

/** Faults on purpose, between a run and its target. */
export interface SpoiledTarget {
  /** Puts a service in the place of the target's own. */
  readonly service?: (service: VolumeService, clock: Clock) => VolumeService;
  readonly faults?: (faults: TargetFaults, service: VolumeService) => TargetFaults;
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

type LightbitsTarget = Extract<Config["target"], { kind: "lightbits" }>;
type BlockTarget = Extract<Config["target"], { kind: "block" }>;
type ServiceTarget = Exclude<Config["target"], { kind: "block" }>;

/** What is known of a target while it is open. */
interface Opened {
  /** What is to be closed, in the order of opening. */
  readonly closers: (() => PromiseLike<void>)[];
  isKept: boolean;
  failure: string | undefined;
  faults: TargetFaults | undefined;
}

/** Opens the service, creates or finds the volumes, and makes sure that they may be used. */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const opened: Opened = { closers: [], isKept: false, failure: undefined, faults: undefined };
  const { config } = options;
  try {
    if (config.target.kind === "block") return await openBlockTarget(options, config.target, opened);
    const { service, description, volumeUuids } = spoil(options, opened, await openService(options, opened));
    const volumes: TargetVolume[] = [];
    for (let index = 0; index < config.geometry.volumes; index++)
      volumes.push(await openVolume(options, service, opened, { index, uuid: volumeUuids?.[index] }));
    return targetOf(options, opened, { description, service, volumes });
  } catch (error) {
    await close(opened, options.log);
    if (opened.failure !== undefined) throw new TargetFailure(opened.failure, { cause: error });
    throw error;
  }
}

interface FoundService {
  readonly service: VolumeService;
  readonly description: string;
  readonly volumeUuids?: readonly string[];
}

function spoil(
  { spoiled, clock = systemClock }: TargetOptions,
  opened: Opened,
  found: FoundService,
): FoundService {
  const service = spoiled?.service?.(found.service, clock) ?? found.service;
  if (opened.faults !== undefined) opened.faults = spoiled?.faults?.(opened.faults, service) ?? opened.faults;
  return { ...found, service };
}

function targetOf(
  { config, log }: TargetOptions,
  opened: Opened,
  found: Pick<Target, "description" | "service" | "volumes">,
): Target {
  return {
    ...found,
    isLasting: isLasting(config),
    faults: opened.faults,
    get failure() {
      return opened.failure;
    },
    keep: () => {
      opened.isKept = true;
    },
    [Symbol.asyncDispose]: () => close(opened, log),
  };
}

/** A path that can not be used is a mistake in the configuration. */
async function openFile(options: BlockDeviceOptions): Promise<BlockDevice> {
  try {
    return await openBlockDevice(options);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new ConfigError([`target.path: ${error.message.replaceAll("sizeBytes", "geometry.volumeSize")}`]);
  }
}

async function openBlockTarget(
  options: TargetOptions,
  { path, io, direct }: BlockTarget,
  opened: Opened,
): Promise<Target> {
  const { config, kept } = options;
  const { volumeSize, blockSize } = config.geometry;
  const device = await openFile({
    path,
    blockSizeBytes: blockSize,
    sizeBytes: volumeSize,
    io,
    direct,
  });
  opened.closers.push(() => device[Symbol.asyncDispose]());
  checkFit(config, path, device, volumeSize);
  if (kept === undefined) await claim(device, { overwrite: config.overwrite });
  return targetOf(options, opened, {
    description: `${path}, by ${io === "sync" ? "one call at a time" : "the thread pool"}`,
    service: noService,
    volumes: [{ uuid: path, device: await spoiledDevice(options, device, path), isCreated: false }],
  });
}

/** Whoever spoils a service spoils the devices that it opens. */
function spoiledDevice(
  { spoiled, clock = systemClock }: TargetOptions,
  device: BlockDevice,
  uuid: string,
): Promise<BlockDevice> {
  const service: VolumeService = { ...noService, openVolume: () => Promise.resolve(device) };
  return (spoiled?.service?.(service, clock) ?? service).openVolume(uuid);
}

function isLasting({ target }: Config): boolean {
  return (
    target.kind === "lightbits" ||
    target.kind === "block" ||
    (target.kind === "embedded" && target.directory !== undefined)
  );
}

/** Closes everything, the last first. What can not be closed is said; it is no verdict. */
async function close({ closers, failure }: Opened, log: RunLog): Promise<void> {
  for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
    try {
      await closer();
    } catch (error) {
      // Of a target that is gone nothing can be removed.
      if (failure === undefined)
        log.warn(`tidying up: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

async function openService(
  { config, seed, log, serveCommand, environment, spoiled, clock = systemClock }: TargetOptions,
  opened: Opened,
): Promise<FoundService> {
  const target = config.target as ServiceTarget;
  // Delays before another try are spread by chance; they are no part of the history.
  const jitter = new Choices(seed, jitterStream);
  const random = (): number => jitter.fraction();
  switch (target.kind) {
    case "memory": {
      const service = await memoryService();
      opened.closers.push(() => service[Symbol.asyncDispose]());
      return { service, description: "volumes in this process's memory, without a wire" };
    }
    case "embedded": {
      const launched: LaunchedTarget = await launchEmbedded({
        command: serveCommand,
        onUnexpectedExit: (message) => {
          opened.failure = `the embedded target was not stopped, and ${message}`;
          // Nobody will come back: what waits for it ends now.
          launched.service[Symbol.asyncDispose]().then(undefined, () => {});
        },
        ...(target.directory === undefined ? {} : { directory: target.directory }),
        ...(target.volatileCache
          ? { volatileCache: true, volatileCacheSeed: Number(seed & 0xffffffffn) }
          : {}),
        ...(spoiled?.restVia === undefined ? {} : { apiVia: spoiled.restVia }),
        ...(spoiled?.onLine === undefined ? {} : { onLine: spoiled.onLine }),
        service: {
          connectNamespaces: connectVia(spoiled?.nvmeVia, connectNamespaces(target, log, { random, clock })),
          random,
          clock,
        },
      });
      opened.faults = launched.faults;
      opened.closers.push(() => launched[Symbol.asyncDispose]());
      const medium = target.directory === undefined ? "in memory" : `in ${target.directory}`;
      return {
        service: launched.service,
        description: `embedded target at ${launched.nvmeEndpoint}, ${medium}`,
      };
    }
    case "lightbits": {
      const token = await readToken(target, environment);
      const service = await connectLightbits({
        endpoint: target.endpoint,
        token,
        project: target.project,
        ...(target.caFile === undefined ? {} : { caFile: target.caFile }),
        insecure: target.insecure,
        connectNamespaces: connectNamespaces(target, log, { random, clock }),
        random,
        clock,
      });
      opened.closers.push(() => service[Symbol.asyncDispose]());
      const { volumes } = target;
      if (volumes !== undefined && volumes.length !== config.geometry.volumes)
        throw new ConfigError([
          `target.volumes names ${volumes.length} volumes, geometry.volumes says ${config.geometry.volumes}: make them agree`,
        ]);
      return {
        service,
        description: `Lightbits cluster at ${target.endpoint}, project ${target.project}`,
        ...(volumes === undefined ? {} : { volumeUuids: volumes }),
      };
    }
  }
}

function connectNamespaces(
  target: Pick<
    LightbitsTarget,
    "headerDigest" | "dataDigest" | "ioQueues" | "queueDepth" | "hostNqn" | "commandTimeout"
  >,
  log: RunLog,
  { random, clock }: { readonly random: () => number; readonly clock: Clock },
): ConnectNamespaces {
  const {
    hostNqn = `${uuidNqnPrefix}${randomUUID()}`,
    ioQueues,
    queueDepth,
    headerDigest,
    dataDigest,
    commandTimeout: commandTimeoutMs,
  } = target;
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
      log: { ...silentLog, info: (message) => log.info(message), warn: (message) => log.warn(message) },
    });
  };
}

/** Connects by way of another address for the target's own. */
function connectVia(via: SpoiledTarget["nvmeVia"], connect: ConnectNamespaces): ConnectNamespaces {
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

async function openVolume(
  options: TargetOptions,
  service: VolumeService,
  opened: Opened,
  { index, uuid }: { readonly index: number; readonly uuid: string | undefined },
): Promise<TargetVolume> {
  const { config, name, signal } = options;
  const kept = options.kept?.[index];
  const isOurs = kept?.isCreated ?? uuid === undefined;
  const known = kept?.uuid ?? uuid;
  const volume =
    known === undefined
      ? await createVolume(options, service, `${name}-v${index}`)
      : await service.getVolume(known, { signal });
  if (isOurs) deleteAtEnd(opened, service, volume.uuid);
  const device = await service.openVolume(volume.uuid, { signal });
  opened.closers.push(() => device[Symbol.asyncDispose]());
  checkFit(config, `volume ${volume.uuid}`, device, kept === undefined ? startSize(config) : 0);
  if (kept === undefined) await claim(device, { overwrite: config.overwrite && !isOurs });
  const opening = { uuid: volume.uuid, device, isCreated: isOurs };
  if (!config.checks.secondVolume) return opening;
  const secondUuid =
    kept?.secondUuid ?? (await createVolume(options, service, `${name}-v${index}-second`)).uuid;
  deleteAtEnd(opened, service, secondUuid);
  const second = await service.openVolume(secondUuid, { signal });
  opened.closers.push(() => second[Symbol.asyncDispose]());
  return { ...opening, second, secondUuid };
}

function createVolume({ config }: TargetOptions, service: VolumeService, name: string): Promise<Volume> {
  return service.createVolume({
    name,
    sizeBytes: startSize(config),
    sectorSizeBytes: config.geometry.blockSize,
  });
}

function deleteAtEnd(opened: Opened, service: VolumeService, uuid: string): void {
  opened.closers.push(async () => {
    if (!opened.isKept) await service.deleteVolume(uuid);
  });
}

/** What volumes are as large as at first. */
function startSize(config: Config): number {
  const { geometry, growth } = workloadShape(config);
  return new SizeSchedule(geometry, growth).blockCountAt(0, 0) * geometry.blockSizeBytes;
}

async function readToken(
  { tokenEnvironment, tokenFile }: LightbitsTarget,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  if (tokenFile !== undefined) {
    try {
      return (await readFile(tokenFile, "utf8")).trim();
    } catch (cause) {
      throw new ConfigError([`target.tokenFile: ${cause instanceof Error ? cause.message : String(cause)}`]);
    }
  }
  const token = environment[tokenEnvironment]?.trim();
  if (token === undefined || token === "")
    throw new ConfigError([`no token: set ${tokenEnvironment}, or name a file with target.tokenFile`]);
  return token;
}
