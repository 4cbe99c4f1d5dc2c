/**
 * Classifies every block of a volume from the seed of its run.
 *
 * First the device is read once, from end to end, and eight bytes a block are noted; then each block is set against
 * what the history says is due, which needs the device no more. How far the run had come is told by the newest write
 * that is found, unless the caller knows.
 *
 * @packageDocumentation
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { Tracker } from "../../model/tracker.ts";
import { snapshotView, type View, volumeView } from "../../model/view.ts";
import type { History } from "../../selectors/history.ts";
import type { BlockRange, DeviceCapabilities } from "../../sut/port.ts";
import { type ScanClassName, scanClasses, scanClassNames } from "./classes.ts";
import { FoundBlocks } from "./found-blocks.ts";
import { guessVolume } from "./guess-volume.ts";
import { Judge } from "./judge.ts";
import { lastSilent, newestWrite } from "./newest-write.ts";
import { viewsAsOf } from "../rejudge/views-as-of.ts";
import { type ReadableDevice, Surveyor } from "./survey.ts";
import { type ScanFinding, type ScanMap, Tally } from "./tally.ts";

export interface ScanOptions {
  readonly device: ReadableDevice;
  /** With room in its kernels' memory for a `Surveyor`. */
  readonly history: History;
  /** Which volume of the geometry it should be; guessed from its content if absent. */
  readonly volume?: number | undefined;
  /** As of which lts, at rest; if absent that of the newest write that is found, and what may have been in flight. */
  readonly lts?: number | undefined;
  /** What is known of the run. */
  readonly state?: ScanState | undefined;
  /** lts that may have been in flight at a time: without state, nobody knows of the last of them. */
  readonly depth: number;
  /** All blocks of the volume if absent. */
  readonly blocks?: BlockRange | undefined;
  /** What the namespace promised when it was written, if the device is a copy of it; else the device is asked. */
  readonly deallocatedReads?: DeviceCapabilities["deallocatedReads"] | undefined;
  /** Findings that are listed. */
  readonly limit: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (share: number) => void;
}

interface ScanState {
  /** Of a run that is over, or interrupted: nothing is under way. */
  readonly tracker: Tracker;
  /** The device is this snapshot, by number. */
  readonly snapshot?: number | undefined;
}

export interface ScanReport {
  readonly volume: number;
  /** Whether the content was asked which volume it is, and what came of it. */
  readonly volumeFrom: "given" | "only" | "content" | "nothing";
  readonly blockSizeBytes: number;
  /** What was looked at. */
  readonly firstBlock: number;
  readonly blockCount: number;
  /** Blocks of the volume, and of the device. */
  readonly volumeBlocks: number;
  readonly deviceBlocks: number;
  /** As of which lts; −1 for a volume on which nothing was done. */
  readonly lts: number;
  readonly ltsFrom: "given" | "run" | "snapshot" | "content";
  /** Highest lts whose operations must have been performed. */
  readonly ltsSettled: number;
  /** Blocks of each class. */
  readonly counts: Readonly<Record<ScanClassName, number>>;
  /** Stale blocks, of any class, by how many newer versions they have. */
  readonly staleBy: readonly (readonly [versions: number, blocks: number])[];
  /** In ascending order, the first of them. */
  readonly findings: readonly ScanFinding[];
  readonly findingCount: number;
  readonly foreignRuns: readonly bigint[];
  readonly map: ScanMap;
}

/** Extents that are judged before whoever waits gets a turn. */
const extentsPerTurn = 256;

/** What was asked for can not be: the message says what can. */
export class ScanError extends Error {
  override readonly name = "ScanError";
}

/**
 * @throws {ScanError} If the device and what was asked for do not go together.
 * @throws {TargetFailure} If the device fails; blocks that it can not read are a class of their own.
 * @throws The signal's reason.
 */
export async function scan(options: ScanOptions): Promise<ScanReport> {
  const { device, history, limit, signal, onProgress } = options;
  const { geometry } = history;
  if (device.capabilities.blockSizeBytes !== geometry.blockSizeBytes)
    throw new ScanError(
      `${device.identity.name} has blocks of ${device.capabilities.blockSizeBytes} bytes, the configuration says ${geometry.blockSizeBytes} (geometry.blockSize)`,
    );
  const surveyor = new Surveyor(device, history.run);
  const { volume, volumeFrom } = await volumeOf(options, surveyor);
  const volumeBlocks = geometry.volumeBlocks[volume]!;
  const range = rangeOf(options, volumeBlocks);
  const found = new FoundBlocks({ firstBlock: range.block, blockCount: range.blockCount });
  await surveyor.survey(found, {
    volume,
    signal,
    onRead: (blocks) => onProgress?.(blocks / range.blockCount),
  });
  const as = asOf(options, volume, found);
  const { deallocatedReads = device.capabilities.deallocatedReads } = options;
  as.tracker.deallocateIsAdvice = deallocatedReads !== "zeros";
  const tally = new Tally({ firstBlock: range.block, blockCount: range.blockCount, limit });
  const judge = new Judge({ history, volume, ...as });
  const end = range.block + range.blockCount;
  let judgedCount = 0;
  for (let block = range.block; block < end; ) {
    const extent = geometry.extent(geometry.pdOf(volume, block));
    judge.judge(extent, found, tally);
    block = extent.firstBlock + extent.blockCount;
    if (++judgedCount % extentsPerTurn !== 0) continue;
    await nextTurn();
    signal.throwIfAborted();
  }
  return {
    volume,
    volumeFrom,
    blockSizeBytes: geometry.blockSizeBytes,
    firstBlock: range.block,
    blockCount: range.blockCount,
    volumeBlocks,
    deviceBlocks: device.blockCount,
    lts: as.lts,
    ltsFrom: as.ltsFrom,
    ltsSettled: as.ltsSettled,
    counts: Object.fromEntries(scanClassNames.map((name) => [name, tally.countOf(name)])) as Record<
      ScanClassName,
      number
    >,
    staleBy: tally.staleBy,
    findings: tally.findings,
    findingCount: tally.findingCount,
    foreignRuns: [...found.foreignRuns],
    map: tally.map,
  };
}

/** Blocks that are not what they should be; those that can not be read are not among them. */
export function wrongCount({ counts }: Pick<ScanReport, "counts">): number {
  return scanClassNames.reduce(
    (sum, name) => sum + (scanClasses[name].isRight || name === "unreadable" ? 0 : counts[name]),
    0,
  );
}

async function volumeOf(
  { device, history, volume, signal }: ScanOptions,
  surveyor: Surveyor,
): Promise<Pick<ScanReport, "volume" | "volumeFrom">> {
  const count = history.geometry.volumeBlocks.length;
  if (volume !== undefined) {
    if (Number.isInteger(volume) && volume >= 0 && volume < count) return { volume, volumeFrom: "given" };
    throw new ScanError(`volume ${volume}: the configuration has ${count}, numbered from 0`);
  }
  if (count === 1) return { volume: 0, volumeFrom: "only" };
  const guessed = await guessVolume(device, surveyor, history, signal);
  return guessed === undefined
    ? { volume: 0, volumeFrom: "nothing" }
    : { volume: guessed, volumeFrom: "content" };
}

function rangeOf({ device, blocks }: ScanOptions, volumeBlocks: number): BlockRange {
  const there = Math.min(device.blockCount, volumeBlocks);
  const { block, blockCount } = blocks ?? { block: 0, blockCount: there };
  if (blockCount < 1 || block + blockCount > there)
    throw new ScanError(`blocks ${block} to ${block + blockCount - 1}: there are ${there}, numbered from 0`);
  return { block, blockCount };
}

/** As of which lts a volume is judged, and what is known of that time. */
interface AsOf extends Pick<ScanReport, "lts" | "ltsFrom" | "ltsSettled"> {
  readonly tracker: Tracker;
  readonly due: View;
  readonly begun: View;
}

function asOf({ history, state, lts: given, depth }: ScanOptions, volume: number, found: FoundBlocks): AsOf {
  const newest = newestWrite(found, history, volume);
  if (state === undefined) {
    const tracker = new Tracker();
    if (given !== undefined) {
      // Who says as of when, says that all was done by then, and nothing later.
      const due = volumeView(tracker, volume, given);
      return { tracker, lts: given, ltsFrom: "given", ltsSettled: given, due, begun: due };
    }
    const unsettled = 2 * depth;
    return {
      tracker,
      lts: newest,
      ltsFrom: "content",
      ltsSettled: Math.max(-1, newest - unsettled),
      due: volumeView(tracker, volume, newest),
      begun: volumeView(tracker, volume, lastSilent(found, history, { volume, newest }) + unsettled),
    };
  }
  const { tracker, snapshot } = state;
  if (snapshot !== undefined) {
    const record = tracker.snapshot(volume, snapshot);
    if (record === undefined) {
      const known = tracker.snapshots.filter((one) => one.volume === volume).map((one) => one.snapshot);
      throw new ScanError(
        `snapshot ${snapshot} of volume ${volume}: the run knows ${known.length === 0 ? "none" : known.join(", ")}`,
      );
    }
    const due = snapshotView(tracker, record);
    return { tracker, lts: record.ltsMax, ltsFrom: "snapshot", ltsSettled: record.ltsMax, due, begun: due };
  }
  const lts = given ?? tracker.ltsStartedMax;
  const due = given === undefined ? volumeView(tracker, volume, lts) : viewsAsOf(tracker, volume, lts)[0]!;
  return { tracker, lts, ltsFrom: given === undefined ? "run" : "given", ltsSettled: lts, due, begun: due };
}
