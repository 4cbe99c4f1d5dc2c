/**
 * The service and the volumes that `harrow suite changed-blocks` works on: those of the flags, or new ones on the
 * embedded target, with a mistake of the gallery if that is wanted.
 *
 * @packageDocumentation
 */
import { randomBytes } from "node:crypto";
import { builtClass } from "../gallery/ground.ts";
import { type BuiltClass, mutantStream } from "../gallery/mutant.ts";
import { serveRestProxy } from "../gallery/wire/rest-proxy.ts";
import { Choices } from "../generators/choices.ts";
import { parseConfig } from "../runner/config/load.ts";
import { findContent, OccupiedVolumeError } from "../runner/guard.ts";
import { openService } from "../runner/open-service.ts";
import type { RunLog } from "../runner/run-log.ts";
import type { SuiteVolume } from "../suite/changed-blocks/bench-options.ts";
import { systemClock } from "../sut/clock.ts";
import type { VolumeService } from "../sut/port.ts";
import { namedService, type ServiceFlags } from "./service-flags.ts";
import { UsageError } from "./usage-error.ts";

export interface SuiteVolumeFlags extends Omit<ServiceFlags, "config"> {
  readonly sourceUuid?: string;
  readonly targetUuid?: string;
  readonly sourceDevice?: string;
  readonly targetDevice?: string;
  readonly overwrite?: true;
  readonly bug?: string;
  readonly bugSeed?: bigint;
}

export interface OpenSuiteOptions {
  readonly flags: SuiteVolumeFlags;
  /** Decides nothing of the tests: how delays are spread. */
  readonly seed: bigint;
  readonly log: RunLog;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

/** What is open; disposing of it closes all of it. */
export interface SuiteGround extends AsyncDisposable {
  readonly service: VolumeService;
  /** Lines for the head of the report. */
  readonly facts: readonly (readonly [string, string])[];
  /** Absent where volumes are to be made as they are needed. */
  readonly given: { readonly source: SuiteVolume; readonly target: SuiteVolume } | undefined;
  /** Why the target is gone for good, once it is. */
  readonly failure: string | undefined;
  /** Two new volumes for the whole suite. */
  readonly made: () => Promise<{ readonly source: SuiteVolume; readonly target: SuiteVolume }>;
}

/** Size of volumes that are made, as the suite's own budget asks for. */
const volumeBytes = 2 * 2 ** 30;
export const sectorSizeBytes = 4096;
/** Ranges to a page of the embedded target: few enough for a second page. */
const embeddedPageRanges = 100;

/**
 * @throws {UsageError} If the flags do not fit together.
 * @throws {OccupiedVolumeError} If a given volume holds something that is not harrow's.
 */
export async function openSuiteGround(options: OpenSuiteOptions): Promise<SuiteGround> {
  const closers: (() => PromiseLike<void>)[] = [];
  const dispose = async (): Promise<void> => {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop())
      try {
        await closer();
      } catch (error) {
        options.log.warn(`tidying up: ${error instanceof Error ? error.message : String(error)}`);
      }
  };
  try {
    return await (options.flags.endpoint === undefined
      ? openEmbedded(options, closers, dispose)
      : openNamed(options, closers, dispose));
  } catch (error) {
    await dispose();
    throw error;
  }
}

type Closers = (() => PromiseLike<void>)[];

async function openEmbedded(
  { flags, seed, log, serveCommand, signal }: OpenSuiteOptions,
  closers: Closers,
  dispose: () => Promise<void>,
): Promise<SuiteGround> {
  expectAbsent(flags, clusterFlags, "is about a cluster, of which --endpoint says where it is");
  const bug = flags.bug === undefined ? undefined : mistakeOf(flags.bug);
  const bugSeed = flags.bugSeed ?? 0n;
  const chance = { choices: new Choices(bugSeed, mutantStream), isEager: true, struck: () => undefined };
  const config = parseConfig("target: { kind: embedded }", "the embedded target");
  const rest = bug?.mutant.level === "wire" ? bug.mutant.rest : undefined;
  const opened = await openService({
    ...{ target: config.target, seed, log, environment: process.env },
    serveCommand: [
      ...serveCommand,
      ...["--diff-page-ranges", String(embeddedPageRanges)],
      ...(bug?.mutant.level === "target"
        ? ["--bug", bug.id, "--bug-seed", String(bugSeed), "--bug-eager"]
        : []),
    ],
    ...(rest !== undefined && {
      detours: {
        restVia: async (upstream) => {
          const proxy = await serveRestProxy({ upstream, interceptor: rest(chance), log });
          closers.push(() => proxy[Symbol.asyncDispose]());
          return proxy.url;
        },
      },
    }),
  });
  closers.push(() => opened[Symbol.asyncDispose]());
  const scene = { ...chance, seed: bugSeed, config, clock: systemClock };
  const spoil = bug?.mutant.level === "port" ? bug.mutant.service : undefined;
  const service = spoil?.(opened.service, scene) ?? opened.service;
  const about = bug === undefined ? "" : `, with ${bug.id} (${bug.title}) on purpose`;
  return {
    service,
    facts: [["endpoint", `${opened.description}${about}`]],
    given: undefined,
    get failure() {
      return opened.failure;
    },
    made: async () => {
      const make = async (name: string): Promise<SuiteVolume> => {
        const { uuid } = await service.createVolume(
          { name, sizeBytes: volumeBytes, sectorSizeBytes },
          { signal },
        );
        const device = await service.openVolume(uuid, { signal });
        closers.push(() => device[Symbol.asyncDispose]());
        return { uuid, device, wasEmpty: true };
      };
      return { source: await make("harrow-cb-source"), target: await make("harrow-cb-target") };
    },
    [Symbol.asyncDispose]: dispose,
  };
}

async function openNamed(
  { flags, seed, log, serveCommand, signal }: OpenSuiteOptions,
  closers: Closers,
  dispose: () => Promise<void>,
): Promise<SuiteGround> {
  const { sourceUuid, targetUuid, sourceDevice, targetDevice, overwrite = false } = flags;
  expectAbsent(flags, ["bug", "bugSeed"], "is for the embedded target: leave out --endpoint");
  if (sourceUuid === undefined || targetUuid === undefined)
    throw new UsageError("--endpoint: name two volumes as well, with --source-uuid and --target-uuid");
  if (sourceUuid.toLowerCase() === targetUuid.toLowerCase())
    throw new UsageError(
      "--source-uuid, --target-uuid: are the same volume; the target is to be another one",
    );
  const { target, token } = await namedService(flags);
  const paths = new Map<string, string>();
  if (sourceDevice !== undefined) paths.set(sourceUuid, sourceDevice);
  if (targetDevice !== undefined) paths.set(targetUuid, targetDevice);
  const opened = await openService({
    ...{ target, seed, log, serveCommand, environment: process.env, volumePaths: paths },
    ...(token === undefined ? {} : { token }),
  });
  closers.push(() => opened[Symbol.asyncDispose]());
  const { service } = opened;
  const names: string[] = [];
  const open = async (uuid: string, path: string | undefined): Promise<SuiteVolume> => {
    const { name } = await service.getVolume(uuid, { signal });
    const device = await service.openVolume(uuid, { signal });
    closers.push(() => device[Symbol.asyncDispose]());
    const found = await findContent(device);
    // What an earlier run of harrow left is no loss.
    if (found !== undefined && !overwrite && !found.startsWith("data of a run of harrow"))
      throw new OccupiedVolumeError(device, found);
    names.push(path === undefined ? `${name}  (${uuid})` : `${name}  (${path})`);
    return { uuid, device, wasEmpty: false, ...(path === undefined ? {} : { path }) };
  };
  const source = await open(sourceUuid, sourceDevice);
  const given = { source, target: await open(targetUuid, targetDevice) };
  return {
    service,
    facts: [
      ["endpoint", flags.endpoint!],
      ["source", names[0]!],
      ["target", names[1]!],
    ],
    given,
    get failure() {
      return opened.failure;
    },
    made: async () => given,
    [Symbol.asyncDispose]: dispose,
  };
}

const clusterFlags = [
  ...(["sourceUuid", "targetUuid", "sourceDevice", "targetDevice", "overwrite"] as const),
  ...(["project", "jwt", "jwtFile", "caFile", "insecure"] as const),
];

function expectAbsent(
  flags: SuiteVolumeFlags,
  names: readonly (keyof SuiteVolumeFlags)[],
  why: string,
): void {
  const given = names.find((name) => flags[name] !== undefined);
  if (given === undefined) return;
  throw new UsageError(`--${given.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} ${why}`);
}

/** @throws {UsageError} If there is no such class, or the suite can not switch it on. */
function mistakeOf(id: string): BuiltClass {
  let entry: BuiltClass;
  try {
    entry = builtClass(id);
  } catch (error) {
    throw new UsageError(`--${(error as Error).message}`);
  }
  const { mutant } = entry;
  if (
    mutant.level === "target" ||
    (mutant.level === "port" ? mutant.service : mutant.level === "wire" && mutant.rest)
  )
    return entry;
  throw new UsageError(
    `--bug ${entry.id}: ${entry.title} is brought about by trouble that the suite does not make`,
  );
}

export function randomSeed(): bigint {
  return randomBytes(8).readBigUInt64LE();
}
