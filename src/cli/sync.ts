/**
 * `harrow sync`: copies a snapshot to a volume, by what the service's diff reports, and verifies the copy.
 *
 * @packageDocumentation
 */
import { randomBytes } from "node:crypto";
import { ConfigError } from "../runner/config/load.ts";
import { openService } from "../runner/open-service.ts";
import type { OpenedService } from "../runner/opened-service.ts";
import { TargetFailure } from "../runner/target-failure.ts";
import { type BlockDevice, ServiceError, type Snapshot, type VolumeService } from "../sut/port.ts";
import { SyncFitError, SyncMismatchError, SyncTransferError } from "../sut/sync/errors.ts";
import { copySnapshot, expectFit, type SyncResult } from "../sut/sync/sync-snapshot.ts";
import { exitCodes } from "./exit-codes.ts";
import { isOfTarget } from "./fuzz.ts";
import { createLog, type Log, type LogLevel } from "./log.ts";
import { namedService, type ServiceFlags } from "./service-flags.ts";
import { claimForCopy } from "./sync-guard.ts";
import { SyncProgressBar } from "./sync-progress.ts";
import { syncEndJson, syncEndText, type SyncEnd } from "./sync-report.ts";
import { type CopyIdentity, readState, writeState } from "./sync-state.ts";

export interface SyncFlags extends ServiceFlags {
  readonly snapshot: string;
  readonly base?: string;
  readonly targetUuid: string;
  readonly targetDevice?: string;
  readonly verify: boolean;
  readonly inFlight: number;
  readonly state?: string;
  readonly overwrite?: true;
  readonly json?: true;
  readonly quiet?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface SyncCommandOptions {
  readonly flags: SyncFlags;
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

/** How often what was copied is made durable, and kept in the state file. */
const checkpointEveryMs = 5_000;
/** Names told of snapshots that there are. */
const namesMax = 10;

/** @returns The exit code. */
export async function sync(options: SyncCommandOptions): Promise<number> {
  const { flags, version } = options;
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  const copy: Copy = { copiedTo: 0, blockCount: undefined, bytesCopied: 0 };
  const end = await performed(options, copy, log);
  if (flags.json) process.stdout.write(syncEndJson(end, { version, ...copy }));
  const text = syncEndText(end, { statePath: flags.state, ...copy });
  if (end.kind === "copied") process.stdout.write(flags.json ? "" : text);
  else process.stderr.write(text);
  return {
    copied: exitCodes.consistent,
    mismatch: exitCodes.violation,
    refused: exitCodes.usage,
    failed: exitCodes.target,
    interrupted: exitCodes.interrupted,
  }[end.kind];
}

/** What is known of the copy, however it ends. */
interface Copy {
  identity?: CopyIdentity;
  copiedTo: number;
  blockCount: number | undefined;
  bytesCopied: number;
}

async function performed(options: SyncCommandOptions, copy: Copy, log: Log): Promise<SyncEnd> {
  const { signal } = options;
  const closers: (() => PromiseLike<void>)[] = [];
  let opened: OpenedService | undefined;
  try {
    opened = await open(options, log);
    closers.push(() => opened![Symbol.asyncDispose]());
    return { kind: "copied", result: await perform(options, opened.service, copy, closers) };
  } catch (error) {
    if (signal.aborted) return { kind: "interrupted" };
    if (!(error instanceof Error)) throw error;
    const message = opened?.failure ?? error.message;
    if (error instanceof SyncMismatchError) return { kind: "mismatch", message };
    if (error instanceof ConfigError || error instanceof SyncFitError) return { kind: "refused", message };
    if (error instanceof SyncTransferError || isOfTarget(error)) return { kind: "failed", message };
    throw error;
  } finally {
    for (let closer = closers.pop(); closer !== undefined; closer = closers.pop())
      try {
        await closer();
      } catch (error) {
        if (opened?.failure === undefined) log.warn(`tidying up: ${(error as Error).message}`);
      }
  }
}

async function open({ flags, serveCommand }: SyncCommandOptions, log: Log): Promise<OpenedService> {
  const { target, token } = await namedService(flags);
  return openService({
    ...{ target, log, serveCommand },
    seed: randomBytes(8).readBigUInt64LE(),
    environment: process.env,
    ...(token === undefined ? {} : { token }),
    ...(flags.targetDevice === undefined
      ? {}
      : { volumePaths: new Map([[flags.targetUuid, flags.targetDevice]]) }),
  });
}

async function perform(
  { flags, signal }: SyncCommandOptions,
  service: VolumeService,
  copy: Copy,
  closers: (() => PromiseLike<void>)[],
): Promise<SyncResult> {
  const { targetUuid, state: statePath, overwrite = false } = flags;
  const say = (what: string): void => void (flags.json || process.stderr.write(`${what}\n`));
  const found = statePath === undefined ? undefined : await readState(statePath);
  const snapshot = await findSnapshot(service, "--snapshot", flags.snapshot, signal);
  const base =
    flags.base === undefined ? undefined : await findSnapshot(service, "--base", flags.base, signal);
  if (snapshot.sourceVolumeUuid === targetUuid)
    throw new ConfigError([
      `--target-uuid: volume ${targetUuid} is the one that snapshot ${snapshot.name} was taken of: name another one, or roll it back`,
    ]);
  const to = await openTargetVolume(service, targetUuid, signal);
  closers.push(() => to[Symbol.asyncDispose]());
  const from = await service.openSnapshot(snapshot.uuid, { signal });
  closers.push(() => from[Symbol.asyncDispose]());
  expectFit(from, to);
  const earlier = found === undefined ? undefined : { state: found, path: statePath! };
  const firstBlock = await claimForCopy({
    ...{ service, snapshot, base, targetUuid, to, overwrite, earlier, signal, say },
  });
  signal.throwIfAborted();
  const identity = { snapshot: snapshot.uuid, base: base?.uuid ?? null, target: targetUuid };
  const { blockCount } = from;
  Object.assign(copy, { identity, blockCount });
  const keep = async (copiedTo: number): Promise<void> => {
    copy.copiedTo = copiedTo;
    if (statePath !== undefined) await writeState(statePath, { ...identity, copiedTo, blockCount });
  };
  await keep(firstBlock);
  say(startText(snapshot, base, to, firstBlock));
  const bar = flags.json || flags.quiet ? undefined : new SyncProgressBar(process.stderr);
  try {
    return await copySnapshot({
      ...{ service, snapshotUuid: snapshot.uuid, from, to, firstBlock, signal },
      ...(base === undefined ? {} : { baseSnapshotUuid: base.uuid }),
      inFlight: flags.inFlight,
      isVerified: flags.verify,
      onProgress: (progress) => {
        if (progress.stage === "copying") copy.bytesCopied = progress.bytes;
        bar?.update(progress);
      },
      checkpoint: { everyMs: statePath === undefined ? Number.POSITIVE_INFINITY : checkpointEveryMs, keep },
    });
  } catch (error) {
    // What is wrong may be anywhere: all of it is to be copied again.
    if (error instanceof SyncMismatchError) await keep(0);
    throw error;
  } finally {
    bar?.clear();
  }
}

function startText(
  snapshot: Snapshot,
  base: Snapshot | undefined,
  to: BlockDevice,
  firstBlock: number,
): string {
  const what = base === undefined ? "all of it" : `what differs from ${base.name}`;
  const where = firstBlock === 0 ? "" : `, from block ${firstBlock} on`;
  return `snapshot ${snapshot.name} (${snapshot.uuid}): ${what} to ${to.identity.name}${where}`;
}

const uuidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** @throws {ConfigError} If there is no such snapshot, or more than one has the name. */
async function findSnapshot(
  service: VolumeService,
  flag: string,
  nameOrUuid: string,
  signal: AbortSignal,
): Promise<Snapshot> {
  if (uuidPattern.test(nameOrUuid))
    return found(`${flag}: there is no snapshot ${nameOrUuid}`, service.getSnapshot(nameOrUuid, { signal }));
  const all = await service.listSnapshots({ signal });
  const named = all.filter(({ name }) => name === nameOrUuid);
  const [snapshot, another] = named;
  if (snapshot === undefined) {
    const names = all.slice(0, namesMax).map(({ name }) => name);
    const there = names.length === 0 ? "there is none" : `there is ${names.join(", ")}`;
    throw new ConfigError([
      `${flag}: there is no snapshot ${nameOrUuid}; ${there}${all.length > namesMax ? ", …" : ""}`,
    ]);
  }
  if (another !== undefined)
    throw new ConfigError([
      `${flag}: ${named.length} snapshots are called ${nameOrUuid}; name one by its UUID, such as ${snapshot.uuid} or ${another.uuid}`,
    ]);
  return snapshot;
}

async function openTargetVolume(
  service: VolumeService,
  uuid: string,
  signal: AbortSignal,
): Promise<BlockDevice> {
  if (!uuidPattern.test(uuid)) throw new ConfigError([`--target-uuid: ${uuid} is no UUID`]);
  const { state } = await found(
    `--target-uuid: there is no volume ${uuid}`,
    service.getVolume(uuid, { signal }),
  );
  if (state !== "available" && state !== "migrating")
    throw new TargetFailure(`volume ${uuid} is ${state} and cannot be written to`);
  return service.openVolume(uuid, { signal });
}

/** What is not there was named wrong. */
async function found<Result>(message: string, result: Promise<Result>): Promise<Result> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof ServiceError && error.code === "ERR_NOT_FOUND") throw new ConfigError([message]);
    throw error;
  }
}
