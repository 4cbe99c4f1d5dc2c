/**
 * Sparse images of the volumes and snapshots that a failure concerns, read from the target while it is still open.
 *
 * What can not be read is zeros in the image, and listed. Beside the snapshots that violations name, the newest that
 * are alive are kept, for what broke may show in them as well.
 *
 * @packageDocumentation
 */
import type { Violation } from "../model/violation.ts";
import type { Run } from "../runner/run.ts";
import type { BlockDevice, BlockRange } from "../sut/port.ts";
import type { ImageEntry } from "./dump.ts";
import type { DumpFiles, SparseFile } from "./dump-files.ts";
import { fileNames } from "./dump-format.ts";

const readBytes = 2 ** 20;
/** Reads in flight together. */
const readAhead = 4;
/** How often a read with an unknown outcome is asked again. */
const readTriesMax = 3;
/** A device that fails so many reads in succession is given up. */
const failuresMax = 8;
/** A larger volume is read for too long: every byte of it is, and hashed. */
const imageBytesMax = 2 ** 41;
/** Snapshots of a volume that are kept beside those concerned. */
const othersMax = 8;

/**
 * Writes all images, one after another.
 *
 * @param missing - Told in words what could not be written.
 */
export async function writeImages(
  run: Run,
  files: DumpFiles,
  violations: readonly Violation[],
  missing: (what: string) => void,
): Promise<readonly ImageEntry[]> {
  const images: ImageEntry[] = [];
  const image = async (
    about: Omit<ImageEntry, "unread">,
    open: () => Promise<{ readonly device: BlockDevice; readonly close: () => PromiseLike<void> }>,
  ): Promise<void> => {
    if (run.signal.aborted) {
      missing(`${about.file}: the run was interrupted`);
      return;
    }
    try {
      const { device, close } = await open();
      try {
        const sizeBytes = device.blockCount * device.capabilities.blockSizeBytes;
        if (sizeBytes > imageBytesMax) {
          missing(`${about.file}: ${sizeBytes} bytes: an image has at most ${imageBytesMax}`);
          return;
        }
        const unread = await writeImage(device, files, about.file, run.signal);
        images.push({ ...about, unread });
        if (unread.length > 0)
          missing(`${about.file}: ${rangesText(unread)} could not be read, and are zeros in it`);
      } finally {
        await close();
      }
    } catch (error) {
      missing(`${about.file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  try {
    await files.makeDirectory(fileNames.images);
  } catch (error) {
    missing(`${fileNames.images}: ${error instanceof Error ? error.message : String(error)}`);
    return [];
  }
  const { volumes, service } = run.target;
  for (const volume of volumesOf(violations)) {
    const { device } = volumes[volume]!;
    const file = `${fileNames.images}/volume-${volume}.img`;
    await image({ file, volume }, () => Promise.resolve({ device, close: () => Promise.resolve() }));
  }
  for (const { volume, snapshot } of snapshotsOf(run, violations)) {
    const file = `${fileNames.images}/snapshot-${snapshot}-${volume}.img`;
    const kept = run.snapshotsKept.find((one) => one.snapshot === snapshot);
    if (kept === undefined || !kept.isAlive) {
      missing(`${file}: snapshot ${snapshot} had been deleted`);
      continue;
    }
    await image({ file, volume, snapshot }, async () => {
      const device = await service.openSnapshot(kept.volumes[volume]!.uuid, { signal: run.signal });
      return { device, close: () => device[Symbol.asyncDispose]() };
    });
  }
  return images;
}

function volumesOf(violations: readonly Violation[]): readonly number[] {
  return [...new Set(violations.map(({ volume }) => volume))].sort((a, b) => a - b);
}

interface SnapshotOfVolume {
  readonly volume: number;
  readonly snapshot: number;
}

/** Those concerned, and of each volume the newest others. */
function snapshotsOf(run: Run, violations: readonly Violation[]): readonly SnapshotOfVolume[] {
  const alive = run.snapshotsKept.filter(({ isAlive }) => isAlive).map(({ snapshot }) => snapshot);
  return volumesOf(violations).flatMap((volume) => {
    const own = violations.filter((violation) => violation.volume === volume);
    const concerned = new Set(own.flatMap(({ snapshot, base }) => [snapshot, base]));
    const others = alive.filter((snapshot) => !concerned.has(snapshot)).sort((a, b) => b - a);
    return [...concerned, ...others.slice(0, othersMax)]
      .filter((snapshot) => snapshot !== undefined)
      .sort((a, b) => a - b)
      .map((snapshot) => ({ volume, snapshot }));
  });
}

/** @returns What could not be read. */
async function writeImage(
  device: BlockDevice,
  files: DumpFiles,
  name: string,
  signal: AbortSignal,
): Promise<readonly BlockRange[]> {
  const { blockCount } = device;
  const { blockSizeBytes } = device.capabilities;
  const blocksPerRead = readBytes / blockSizeBytes;
  const unread: BlockRange[] = [];
  let failures = 0;
  const buffers = Array.from({ length: readAhead }, () => new Uint8Array(readBytes));
  const begin = (index: number): Promise<boolean> | undefined => {
    const block = index * blocksPerRead;
    if (block >= blockCount) return undefined;
    if (failures >= failuresMax || signal.aborted) return Promise.resolve(false);
    const count = Math.min(blocksPerRead, blockCount - block);
    const into = buffers[index % readAhead]!.subarray(0, count * blockSizeBytes);
    return readOrFail(device, { block, blockCount: count, into }, signal);
  };
  const copy = async (file: SparseFile): Promise<void> => {
    const reads = Array.from({ length: readAhead }, (_, index) => begin(index));
    try {
      for (let index = 0; ; index++) {
        const read = reads[index % readAhead];
        if (read === undefined) return;
        const block = index * blocksPerRead;
        const count = Math.min(blocksPerRead, blockCount - block);
        const bytes = buffers[index % readAhead]!.subarray(0, count * blockSizeBytes);
        if (await read) {
          failures = 0;
          await file.append(bytes, 4096);
        } else {
          if (signal.aborted) throw new Error("the run was interrupted");
          failures++;
          addRange(unread, { block, blockCount: count });
          file.appendZeros(bytes.length);
        }
        reads[index % readAhead] = begin(index + readAhead);
      }
    } finally {
      // Nothing is under way any more when the device is closed.
      await Promise.allSettled(reads);
    }
  };
  await files.putSparse(name, copy);
  return unread;
}

async function readOrFail(
  device: BlockDevice,
  request: BlockRange & { readonly into: Uint8Array },
  signal: AbortSignal,
): Promise<boolean> {
  for (let tries = 1; tries <= readTriesMax; tries++) {
    try {
      const outcome = await device.read(request, { signal });
      if (outcome.kind === "ok") return true;
      if (outcome.kind === "failed") return false;
    } catch {
      return false;
    }
    if (signal.aborted) return false;
  }
  return false;
}

function addRange(ranges: BlockRange[], { block, blockCount }: BlockRange): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.block + last.blockCount === block)
    ranges[ranges.length - 1] = { block: last.block, blockCount: last.blockCount + blockCount };
  else ranges.push({ block, blockCount });
}

function rangesText(ranges: readonly BlockRange[]): string {
  const total = ranges.reduce((sum, { blockCount }) => sum + blockCount, 0);
  return `${total} blocks from block ${ranges[0]!.block} on`;
}
