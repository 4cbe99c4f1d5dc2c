/**
 * From a configuration to an open system under test.
 *
 * @packageDocumentation
 */
import type { FileDevice } from "../sut/block/device.ts";
import { type BlockDeviceOptions, openBlockDevice } from "../sut/block/open.ts";
import { type Clock, systemClock } from "../sut/clock.ts";
import { type BlockDevice, ServiceError, type Volume, type VolumeService } from "../sut/port.ts";
import type { TargetFaults } from "../sut/target-faults.ts";
import { ConfigError } from "./config/load.ts";
import type { Config } from "./config/schema.ts";
import { formatBytes } from "./config/units.ts";
import { claim } from "./guard.ts";
import { noService } from "./no-service.ts";
import { openService, type ServiceDetours } from "./open-service.ts";
import type { OpenedService } from "./opened-service.ts";
import type { RunLog } from "./run-log.ts";
import { checkFit } from "./target-fit.ts";
import { SizeSchedule } from "../selectors/size-schedule.ts";
import { TargetFailure } from "./target-failure.ts";
import { attachedVolumes } from "./volume-paths.ts";
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
  /** What tells it from others at the same path, of a file or device that has no service. */
  readonly lastingId?: string;
}

/** The volumes of a run, to be found again when it goes on. */
export interface KeptVolume {
  readonly uuid: string;
  readonly isCreated: boolean;
  readonly secondUuid?: string | undefined;
  readonly lastingId?: string | undefined;
}

export function keptVolumes({ volumes }: Pick<Target, "volumes">): readonly KeptVolume[] {
  return volumes.map(({ uuid, isCreated, secondUuid, lastingId }) => ({
    uuid,
    isCreated,
    secondUuid,
    lastingId,
  }));
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
export interface SpoiledTarget extends ServiceDetours {
  /** Puts a service in the place of the target's own. */
  readonly service?: (service: VolumeService, clock: Clock) => VolumeService;
  readonly faults?: (faults: TargetFaults, service: VolumeService) => TargetFaults;
}

type BlockTarget = Extract<Config["target"], { kind: "block" }>;

/** What is known of a target while it is open. */
interface Opened {
  /** What is to be closed, in the order of opening. */
  readonly closers: (() => PromiseLike<void>)[];
  isKept: boolean;
  /** Absent for a file or device. */
  found: OpenedService | undefined;
  /** Those of the service, or what was put in their place. */
  faults: TargetFaults | undefined;
}

/** Opens the service, creates or finds the volumes, and makes sure that they may be used. */
export async function openTarget(options: TargetOptions): Promise<Target> {
  const opened: Opened = { closers: [], isKept: false, found: undefined, faults: undefined };
  const { config, log } = options;
  const { target } = config;
  try {
    if (target.kind === "block") return await openBlockTarget(options, target, opened);
    const uuids = "volumes" in target ? target.volumes : undefined;
    if (uuids !== undefined && uuids.length !== config.geometry.volumes)
      throw new ConfigError([
        `target.volumes names ${uuids.length} volumes, geometry.volumes says ${config.geometry.volumes}: make them agree`,
      ]);
    const devices = "devices" in target ? target.devices : undefined;
    const { seed, serveCommand, environment, spoiled, clock } = options;
    const found = await openService({
      ...(devices === undefined
        ? {}
        : { volumePaths: attachedVolumes(uuids, devices), volumePathsDirect: true }),
      ...{ target, seed, log, serveCommand, environment },
      ...{ blockSizeBytes: config.geometry.blockSize, signal: options.signal },
      ...(clock === undefined ? {} : { clock }),
      ...(spoiled === undefined ? {} : { detours: spoiled }),
    });
    opened.found = found;
    opened.closers.push(() => found[Symbol.asyncDispose]());
    const service = spoil(options, opened, found);
    const volumes: TargetVolume[] = [];
    for (let index = 0; index < config.geometry.volumes; index++)
      volumes.push(await openVolume(options, service, opened, { index, uuid: uuids?.[index] }));
    return targetOf(options, opened, { description: found.description, service, volumes });
  } catch (error) {
    await close(opened, log);
    const failure = opened.found?.failure;
    if (failure !== undefined) throw new TargetFailure(failure, { cause: error });
    throw error;
  }
}

function spoil(
  { spoiled, clock = systemClock }: TargetOptions,
  opened: Opened,
  { service: own, faults }: OpenedService,
): VolumeService {
  const service = spoiled?.service?.(own, clock) ?? own;
  opened.faults = faults && (spoiled?.faults?.(faults, service) ?? faults);
  return service;
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
      return opened.found?.failure;
    },
    keep: () => {
      opened.isKept = true;
      opened.found?.keep?.();
    },
    [Symbol.asyncDispose]: () => close(opened, log),
  };
}

/** A path that can not be used is a mistake in the configuration. */
async function openFile(options: BlockDeviceOptions): Promise<FileDevice> {
  try {
    return await openBlockDevice(options);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    throw new ConfigError([`target.path: ${error.message.replaceAll("sizeBytes", "geometry.volumeSize")}`]);
  }
}

async function openBlockTarget(
  options: TargetOptions,
  { path, io, direct, zeroesBy }: BlockTarget,
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
    ...(zeroesBy === undefined ? {} : { zeroesBy }),
    ...(kept === undefined ? {} : { again: { lastingId: kept[0]?.lastingId } }),
  });
  opened.closers.push(() => device[Symbol.asyncDispose]());
  checkFit(config, path, device, volumeSize);
  if (kept === undefined) await claim(device, { overwrite: config.overwrite });
  return targetOf(options, opened, {
    description: `${device.identity.name}, ${formatBytes(volumeSize)} from its start, by ${io === "sync" ? "one call at a time" : "the thread pool"}`,
    service: noService,
    volumes: [
      {
        ...{ uuid: path, isCreated: false, lastingId: device.lastingId },
        device: await spoiledDevice(options, device, path),
      },
    ],
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
    (target.kind === "linux" && target.transport !== "vm") ||
    (target.kind === "embedded" && target.directory !== undefined)
  );
}

/** Closes everything, the last first. What can not be closed is said; it is no verdict. */
async function close({ closers, found }: Opened, log: RunLog): Promise<void> {
  for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) {
    try {
      await closer();
    } catch (error) {
      // Of a target that is gone nothing can be removed.
      if (found?.failure === undefined)
        log.warn(`tidying up: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
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
