/**
 * Copies a snapshot to a volume by what a diff reports, and nothing else: in large transfers, several in flight, in
 * bounded memory, while the pages of the diff still come in.
 *
 * The volume must hold the base of the diff, or zeros if there is none; whether it does is the caller's business.
 * Verifying reads all that was to be copied once more, from the snapshot and the volume, after the flush: so it also
 * sees what a later write has destroyed, and what an earlier process has copied.
 *
 * @packageDocumentation
 */
import type { BlockDevice, BlockRange, Outcome, VolumeService } from "../port.ts";
import { SyncFitError, SyncMismatchError, SyncTransferError } from "./errors.ts";
import { Pass } from "./pass.ts";

export interface SyncOptions {
  readonly service: VolumeService;
  readonly snapshotUuid: string;
  /** What the volume holds; absent if nothing. */
  readonly baseSnapshotUuid?: string;
  readonly to: BlockDevice;
  /** First block to copy, for a copy that goes on; 0 if left out. */
  readonly firstBlock?: number;
  /** Transfers of up to 1 MiB in flight together, each with a buffer, two to verify; 8 if left out. */
  readonly inFlight?: number;
  /** Compares the volume with the snapshot at the end, wherever the diff reports a block. */
  readonly isVerified?: boolean;
  readonly signal: AbortSignal;
  /** Told after each transfer; must be quick. */
  readonly onProgress?: (progress: SyncProgress) => void;
  /** For a copy that another process may have to go on with. */
  readonly checkpoint?: Checkpoint;
}

export interface SyncProgress {
  readonly stage: "copying" | "verifying";
  /** With what is reported below this block the stage is done. */
  readonly doneTo: number;
  readonly blockCount: number;
  /** Of this stage, by this process. */
  readonly bytes: number;
}

interface Checkpoint {
  readonly everyMs: number;
  /** Told below which block all is copied and durable: now and then, at the end, and when it is stopped. */
  readonly keep: (copiedTo: number) => Promise<void>;
}

export interface SyncResult {
  readonly pageCount: number;
  readonly rangeCount: number;
  readonly bytesCopied: number;
  /** 0 if it was not to be verified. */
  readonly bytesVerified: number;
  readonly elapsedMs: number;
}

const inFlightDefault = 8;
/** To copy the same bytes again is harmless. */
const triesMax = 5;

/**
 * Opens the snapshot, copies it, and resolves when all of it is durable.
 *
 * @throws {SyncFitError} If the volume is too small, or has other blocks.
 * @throws {SyncTransferError} If a transfer failed.
 * @throws {SyncMismatchError} If the volume does not hold what was copied to it.
 * @throws {ServiceError} If the diff is refused, or makes no sense.
 * @throws {unknown} The signal's reason.
 */
export async function syncSnapshot(options: SyncOptions): Promise<SyncResult> {
  const { service, snapshotUuid, signal } = options;
  const from = await service.openSnapshot(snapshotUuid, { signal });
  let result: SyncResult;
  try {
    result = await copySnapshot({ ...options, from });
  } catch (error) {
    // Why it failed comes first.
    await from[Symbol.asyncDispose]().then(undefined, (second: unknown) => {
      if (error instanceof Error && !signal.aborted)
        error.message += `; and ${String((second as Error).message)}`;
    });
    throw error;
  }
  await from[Symbol.asyncDispose]();
  return result;
}

/** A snapshot that is open, which the caller closes. */
export type CopyOptions = SyncOptions & { readonly from: BlockDevice };

/** As {@link syncSnapshot}, from a snapshot that is open. */
export async function copySnapshot(options: CopyOptions): Promise<SyncResult> {
  const { from, to, firstBlock = 0, isVerified = false, signal, checkpoint } = options;
  expectFit(from, to);
  const started = performance.now();
  const copying = passOf(options, firstBlock);
  const keep = async (): Promise<void> => {
    // The flush has all writes that have settled by now.
    const { doneTo } = copying;
    await flush(to);
    await checkpoint?.keep(doneTo);
  };
  try {
    await copy(options, copying, keep);
  } catch (error) {
    // What can not be kept is copied again.
    if (signal.aborted && checkpoint !== undefined) await keep().catch(() => {});
    throw error;
  }
  await keep();
  const verifying = passOf(options, 0);
  if (isVerified) await verify(options, verifying);
  const { pages: pageCount, ranges: rangeCount } = copying.counts;
  const elapsedMs = performance.now() - started;
  return {
    ...{ pageCount, rangeCount, elapsedMs },
    bytesCopied: copying.bytes,
    bytesVerified: verifying.bytes,
  };
}

/** @throws {SyncFitError} If a snapshot can not be copied to a volume, whatever they hold. */
export function expectFit(from: BlockDevice, to: BlockDevice): void {
  const [{ blockSizeBytes: one }, { blockSizeBytes: other }] = [from.capabilities, to.capabilities];
  if (one !== other)
    throw new SyncFitError(
      `${to.identity.name} has blocks of ${other} bytes, the snapshot of ${one}: they must be alike`,
    );
  if (to.blockCount < from.blockCount)
    throw new SyncFitError(
      `${to.identity.name} has ${to.blockCount} blocks, the snapshot ${from.blockCount}: make the target larger`,
    );
}

async function copy(options: CopyOptions, pass: Pass, keep: () => Promise<void>): Promise<void> {
  const { from, to, checkpoint } = options;
  let dueMs = performance.now() + (checkpoint?.everyMs ?? Number.POSITIVE_INFINITY);
  await pass.run({
    bufferCount: 1,
    work: async (run, [bytes], signal) => {
      await read(from, run, bytes!, signal);
      const write = () => to.write({ ...run, from: bytes! }, { signal });
      expectOk(await again(write, signal), () => transferText("writing", run, to));
    },
    onDone: async () => {
      tell(options, "copying", pass);
      if (performance.now() < dueMs) return;
      // One at a time; the other lanes go on meanwhile.
      dueMs = Number.POSITIVE_INFINITY;
      await keep();
      dueMs = performance.now() + checkpoint!.everyMs;
    },
  });
}

async function verify(options: CopyOptions, pass: Pass): Promise<void> {
  const { from, to } = options;
  await pass.run({
    bufferCount: 2,
    work: async (run, [expected, found], signal) => {
      // Both buffers are in use until both reads have settled.
      const reads = [read(from, run, expected!, signal), read(to, run, found!, signal)];
      for (const one of await Promise.allSettled(reads)) if (one.status === "rejected") throw one.reason;
      if (Buffer.compare(expected!, found!) !== 0) throw mismatch(to, run, expected!, found!);
    },
    onDone: async () => tell(options, "verifying", pass),
  });
}

function passOf(options: CopyOptions, firstBlock: number): Pass {
  const { service, snapshotUuid, baseSnapshotUuid, from, inFlight = inFlightDefault, signal } = options;
  return new Pass({
    ...{ service, snapshotUuid, from, firstBlock, signal, laneCount: inFlight },
    ...(baseSnapshotUuid === undefined ? {} : { baseSnapshotUuid }),
  });
}

function tell({ onProgress, from }: CopyOptions, stage: SyncProgress["stage"], pass: Pass): void {
  onProgress?.({ stage, doneTo: pass.doneTo, blockCount: from.blockCount, bytes: pass.bytes });
}

async function read(
  device: BlockDevice,
  run: BlockRange,
  into: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const outcome = await again(() => device.read({ ...run, into }, { signal }), signal);
  expectOk(outcome, () => transferText("reading", run, device));
}

async function flush(device: BlockDevice): Promise<void> {
  expectOk(await again(() => device.flush()), () => `flushing ${device.identity.name}`);
}

async function again(attempt: () => Promise<Outcome>, signal?: AbortSignal): Promise<Outcome> {
  let outcome = await attempt();
  for (let tries = 1; outcome.kind === "unknown" && tries < triesMax; tries++) {
    if (signal?.aborted === true) break;
    outcome = await attempt();
  }
  return outcome;
}

function expectOk(outcome: Outcome, what: () => string): void {
  if (outcome.kind === "ok") return;
  const tries = outcome.kind === "unknown" ? `, also when it was tried ${triesMax} times` : "";
  throw new SyncTransferError(`${what()}: ${outcome.message} (${outcome.code}${tries})`);
}

function transferText(what: string, { block, blockCount }: BlockRange, { identity }: BlockDevice): string {
  return `${what} ${blockCount} blocks at ${block} of ${identity.name}`;
}

function mismatch(
  { identity, capabilities }: BlockDevice,
  run: BlockRange,
  expected: Uint8Array,
  found: Uint8Array,
): SyncMismatchError {
  const { blockSizeBytes } = capabilities;
  const at = found.findIndex((byte, index) => byte !== expected[index]);
  const start = at - (at % blockSizeBytes);
  const isZero = found.subarray(start, start + blockSizeBytes).every((byte) => byte === 0);
  const what = isZero ? "zeros" : `something else from byte ${at % blockSizeBytes} on`;
  return new SyncMismatchError(
    `block ${run.block + start / blockSizeBytes} of ${identity.name} does not hold what was copied to it, but ${what}`,
  );
}
