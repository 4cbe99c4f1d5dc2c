/**
 * From a configuration to an open system under test.
 *
 * @packageDocumentation
 */
import { createHash, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Choices } from "../generators/choices.ts";
import { type LaunchedTarget, launchEmbedded } from "../sut/embedded/launch.ts";
import { connectController } from "../sut/initiator/controller.ts";
import { reconnectPolicyDefault } from "../sut/initiator/reconnect.ts";
import type { ConnectNamespaces } from "../sut/lightbits/data-path.ts";
import { connectLightbits } from "../sut/lightbits/service.ts";
import { silentLog } from "../sut/log.ts";
import { memoryService } from "../sut/memory.ts";
import type { BlockDevice, Volume, VolumeService } from "../sut/port.ts";
import { ConfigError } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { formatBytes } from "./config/units.ts";
import { claim } from "./guard.ts";
import type { RunLog } from "./run-log.ts";
import { TargetFailure } from "./target-failure.ts";

/** An open system under test: its service, and the volumes that the history works on. */
export interface Target extends AsyncDisposable {
  /** For people: which system, and where. */
  readonly description: string;
  readonly service: VolumeService;
  /** As many as the geometry has; each reads as zeros. */
  readonly volumes: readonly TargetVolume[];
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
}

/** NQN of a host that is named by a UUID (NVM Express Base Specification, NVMe Qualified Names). */
const uuidNqnPrefix = "nqn.2014-08.org.nvmexpress:uuid:";

const jitterStream = 1n;

type LightbitsTarget = Extract<Config["target"], { kind: "lightbits" }>;

/** What is known of a target while it is open. */
interface Opened {
  /** What is to be closed, in the order of opening. */
  readonly closers: (() => PromiseLike<void>)[];
  isKept: boolean;
  failure: string | undefined;
}

/** Opens the service, creates or finds the volumes, and makes sure that they may be used. */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const opened: Opened = { closers: [], isKept: false, failure: undefined };
  try {
    const { service, description, volumeUuids } = await openService(options, opened);
    const volumes: TargetVolume[] = [];
    for (let index = 0; index < options.config.geometry.volumes; index++)
      volumes.push(await openVolume(options, service, opened, { index, uuid: volumeUuids?.[index] }));
    return {
      description,
      service,
      volumes,
      isLasting: isLasting(options.config),
      get failure() {
        return opened.failure;
      },
      keep: () => {
        opened.isKept = true;
      },
      [Symbol.asyncDispose]: () => close(opened, options.log),
    };
  } catch (error) {
    await close(opened, options.log);
    if (opened.failure !== undefined) throw new TargetFailure(opened.failure, { cause: error });
    throw error;
  }
}

function isLasting({ target }: Config): boolean {
  return target.kind === "lightbits" || (target.kind === "embedded" && target.directory !== undefined);
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
  { config, seed, log, serveCommand, environment }: TargetOptions,
  opened: Opened,
): Promise<{ service: VolumeService; description: string; volumeUuids?: readonly string[] }> {
  const { target } = config;
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
        service: { connectNamespaces: connectNamespaces(target, log, random), random },
      });
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
        connectNamespaces: connectNamespaces(target, log, random),
        random,
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
  target: Pick<LightbitsTarget, "headerDigest" | "dataDigest" | "ioQueues" | "queueDepth" | "hostNqn">,
  log: RunLog,
  random: () => number,
): ConnectNamespaces {
  const {
    hostNqn = `${uuidNqnPrefix}${randomUUID()}`,
    ioQueues,
    queueDepth,
    headerDigest,
    dataDigest,
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
      reconnect: { ...reconnectPolicyDefault, random },
      log: { ...silentLog, info: (message) => log.info(message), warn: (message) => log.warn(message) },
    });
  };
}

/** Hosts keep NQN and id one to one: the UUID that the NQN names, or one made from it. */
function hostIdOf(hostNqn: string): string {
  const named = /uuid:([0-9a-f-]{36})$/.exec(hostNqn)?.[1];
  if (named !== undefined) return named;
  const hex = createHash("sha256").update(hostNqn).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

async function openVolume(
  { config, name, signal }: TargetOptions,
  service: VolumeService,
  opened: Opened,
  { index, uuid }: { readonly index: number; readonly uuid: string | undefined },
): Promise<TargetVolume> {
  const { volumeSize, blockSize } = config.geometry;
  const isOurs = uuid === undefined;
  const volume = isOurs
    ? await service.createVolume({
        name: `${name}-v${index}`,
        sizeBytes: volumeSize,
        sectorSizeBytes: blockSize,
      })
    : await service.getVolume(uuid, { signal });
  if (isOurs)
    opened.closers.push(async () => {
      if (!opened.isKept) await service.deleteVolume(volume.uuid);
    });
  const device = await service.openVolume(volume.uuid, { signal });
  opened.closers.push(() => device[Symbol.asyncDispose]());
  checkFit(config, volume, device);
  await claim(device, { overwrite: config.overwrite && !isOurs });
  return { uuid: volume.uuid, device, isCreated: isOurs };
}

/** What the namespace is and promises must carry what the configuration asks for. */
function checkFit({ geometry, operations }: Config, volume: Volume, device: BlockDevice): void {
  const { capabilities } = device;
  const problems: string[] = [];
  if (capabilities.blockSizeBytes !== geometry.blockSize)
    problems.push(
      `geometry.blockSize is ${geometry.blockSize}, but volume ${volume.uuid} has blocks of ${capabilities.blockSizeBytes} bytes`,
    );
  const deviceBytes = device.blockCount * capabilities.blockSizeBytes;
  if (deviceBytes < geometry.volumeSize)
    problems.push(
      `geometry.volumeSize is ${formatBytes(geometry.volumeSize)}, but volume ${volume.uuid} has only ${formatBytes(deviceBytes)}`,
    );
  const { deallocate, deallocateTail, deallocateExtent, writeZeroes } = operations.weights;
  const canDeallocate = capabilities.deallocate && capabilities.deallocatedReads === "zeros";
  if (deallocate + deallocateTail + deallocateExtent > 0 && !canDeallocate)
    problems.push(
      `volume ${volume.uuid} does not promise that deallocated blocks read as zeros (DLFEAT: ${capabilities.deallocatedReads}): set the weights deallocate, deallocateTail and deallocateExtent to 0`,
    );
  if (writeZeroes > 0 && !capabilities.writeZeroes)
    problems.push(`volume ${volume.uuid} has no Write Zeroes command: set the weight writeZeroes to 0`);
  if (problems.length > 0) throw new ConfigError(problems);
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
