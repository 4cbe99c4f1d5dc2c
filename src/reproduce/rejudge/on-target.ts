/**
 * Judges every violation of a dump again, on the target that it was found on: the same blocks as of the same lts, and
 * the same questions. Nothing is written, deleted or tidied up.
 *
 * @packageDocumentation
 */
import { existsSync } from "node:fs";
import type { AnswerPage } from "../../model/diff-contract.ts";
import { noService } from "../../runner/no-service.ts";
import type { Run } from "../../runner/run.ts";
import type { RunLog } from "../../runner/run-log.ts";
import type { RunMemory } from "../../runner/run-store.ts";
import { openTarget, type Target } from "../../runner/target.ts";
import { openBlockDevice } from "../../sut/block/open.ts";
import { ServiceError } from "../../sut/port.ts";
import type { Dump } from "../dump.ts";
import { memoryOf } from "../read-dump.ts";
import { dumpedRun, isKept, uuidOfSnapshot } from "./dumped-run.ts";
import { judgeAll } from "./judge.ts";
import type { Answers } from "./judge-diff.ts";
import type { OtherScene } from "./judge-other.ts";
import { type Judged, notKept } from "./judgement.ts";
import { readOnly } from "./read-only-device.ts";
import { readOnlyService } from "./read-only-service.ts";
import { look, Unseen } from "./scene.ts";

export interface OnTargetOptions {
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: RunLog;
  readonly signal: AbortSignal;
}

/**
 * @throws {DumpError} If the dump does not say what the model knew.
 * @throws What opening the target throws, if it can not be reached.
 */
export async function onTarget(dump: Dump, options: OnTargetOptions): Promise<Judged> {
  const why = whyGone(dump);
  if (why !== undefined)
    return {
      description: dump.target.description,
      judgements: dump.violations.map(({ violation }) => notKept(violation, why)),
    };
  const { log, signal } = options;
  const memory = memoryOf(dump);
  await using target = await openForReading(dump, options);
  const run = dumpedRun({ dump, memory, target, log, signal });
  return await judgeAll(dump, {
    scene: liveScene(dump, run, memory),
    diffs: {
      run,
      capabilities: target.service.diffCapabilities,
      what: "the target's answer now",
      answers: (exhibit) => askAgain(run, memory, exhibit),
    },
  });
}

/** Why there is no target to look at any more. */
function whyGone({ target, config }: Dump): string | undefined {
  if (!target.isLasting) return `the target (${target.description}) was gone with its process`;
  if (config.target.kind === "embedded" && !existsSync(config.target.directory ?? ""))
    return `the directory of the target, ${config.target.directory}, is not there any more`;
  if (config.target.kind === "block" && !existsSync(config.target.path))
    return `${config.target.path} is not there any more`;
  return undefined;
}

async function openForReading(
  dump: Dump,
  { serveCommand, environment, log, signal }: OnTargetOptions,
): Promise<Target> {
  const { config, seed, name } = dump;
  if (config.target.kind === "block") return openBlockForReading(dump, config.target);
  return openTarget({
    // A second volume would be deleted at the end; it is opened when it is asked for.
    config: { ...config, checks: { ...config.checks, secondVolume: false } },
    ...{ seed, name, serveCommand, environment, log, signal },
    kept: dump.target.volumes.map(({ uuid }) => ({ uuid, isCreated: false })),
    spoiled: { service: (service) => readOnlyService(service, dump.target) },
  });
}

async function openBlockForReading(
  { config, target }: Dump,
  { path, io, direct }: { readonly path: string; readonly io: "sync" | "threads"; readonly direct: boolean },
): Promise<Target> {
  const { blockSize: blockSizeBytes, volumeSize: sizeBytes } = config.geometry;
  const device = await openBlockDevice({ path, blockSizeBytes, sizeBytes, io, direct, access: "read" });
  return {
    description: path,
    service: noService,
    volumes: target.volumes.map(({ uuid }) => ({ uuid, device: readOnly(device), isCreated: false })),
    faults: undefined,
    failure: undefined,
    isLasting: true,
    keep: () => {},
    [Symbol.asyncDispose]: async () => device[Symbol.asyncDispose](),
  };
}

function liveScene(dump: Dump, run: Run, memory: RunMemory): OtherScene {
  const { service, volumes } = run.target;
  const { blockSizeBytes } = run.workload.geometry;
  const snapshotOf = async (volume: number, snapshot: number) =>
    service.getSnapshot(knownUuid(memory, volume, snapshot));
  return {
    kind: "target",
    run,
    snapshot: (volume, snapshot) => {
      const uuid = knownUuid(memory, volume, snapshot);
      return seen(`snapshot ${snapshot} of volume ${volume}`, service.openSnapshot(uuid));
    },
    size: async (volume, snapshot) => {
      if (snapshot === undefined) {
        const { device } = volumes[volume]!;
        await look(run, device, { block: 0, blockCount: 1, into: new Uint8Array(blockSizeBytes) });
        return device.blockCount;
      }
      const found = await seen(`snapshot ${snapshot} of volume ${volume}`, snapshotOf(volume, snapshot));
      return found.sizeBytes / blockSizeBytes;
    },
    hasSnapshot: async (volume, snapshot) => {
      if (!isKept(memory, snapshot))
        throw new Unseen(`snapshot ${snapshot} of volume ${volume} was deleted by the run itself later on`);
      try {
        return (await snapshotOf(volume, snapshot)).state === "available";
      } catch (error) {
        if (error instanceof ServiceError && error.code === "ERR_NOT_FOUND") return false;
        throw unseen(`snapshot ${snapshot} of volume ${volume}`, error);
      }
    },
    second: async (volume, block) => {
      const uuid = dump.target.volumes[volume]?.secondUuid;
      if (uuid === undefined) throw new Unseen("the dump does not say what the second volume was called");
      const into = new Uint8Array(blockSizeBytes);
      await using device = await seen(`the second volume, ${uuid},`, service.openVolume(uuid));
      await look(run, device, { block, blockCount: 1, into });
      return into;
    },
  };
}

/** @throws {Unseen} */
function knownUuid(memory: RunMemory, volume: number, snapshot: number): string {
  const uuid = uuidOfSnapshot(memory, volume, snapshot);
  if (uuid !== undefined) return uuid;
  throw new Unseen(`snapshot ${snapshot} of volume ${volume} was deleted long before the run was over`);
}

async function askAgain(
  { target: { service }, signal }: Run,
  memory: RunMemory,
  { volume, snapshot, base, isBaseDeleted }: Question,
): Promise<Answers | string> {
  const request = {
    snapshotUuid: knownUuid(memory, volume, snapshot),
    ...(base === undefined ? {} : { baseSnapshotUuid: knownUuid(memory, volume, base) }),
  };
  const ask = async (): Promise<readonly AnswerPage[]> => {
    const pages: AnswerPage[] = [];
    for await (const page of service.diff(request, { signal })) pages.push(page);
    return pages;
  };
  try {
    return { pages: await ask(), again: await ask() };
  } catch (error) {
    if (isBaseDeleted && isRefusal(error)) return error.message;
    throw unseen(`the diff of snapshot ${snapshot}`, error);
  }
}

interface Question {
  readonly volume: number;
  readonly snapshot: number;
  readonly base?: number | undefined;
  readonly isBaseDeleted: boolean;
}

function isRefusal(error: unknown): error is ServiceError {
  return (
    error instanceof ServiceError &&
    (error.code === "ERR_NOT_FOUND" || error.code === "ERR_INVALID_REQUEST" || error.code === "ERR_CONFLICT")
  );
}

/** @throws {Unseen} If the service does not show it. */
async function seen<Found>(what: string, finding: Promise<Found>): Promise<Found> {
  try {
    return await finding;
  } catch (error) {
    throw unseen(what, error);
  }
}

function unseen(what: string, error: unknown): unknown {
  return error instanceof ServiceError
    ? new Unseen(`${what} is not to be had from the target: ${error.message}`, { cause: error })
    : error;
}
