/**
 * What a disk holds after a power cut, made from the log of its writes.
 *
 * The disk that the log was written above is put to a state in which a power cut may have left it, or, for
 * `lying`, in which only a disk that breaks its word leaves it. Of what no flush has covered, a disk may keep
 * anything: so `afterLastFlush` is the one extreme, `everything` the other, and `subset` lies between.
 *
 * Data are streamed, and zeros are not written where there are zeros: a sparse file stays one.
 *
 * Not told by a log is which was first, a plain write or one with FUA to the same blocks, if there was no flush
 * between: see {@link Replayed.unorderedCount}.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { ServiceError } from "../port.ts";
import { type LogEntry, WriteLog } from "./log-writes.ts";

/** Which of the logged writes the disk holds. */
export type PowerCut =
  | { readonly kind: "everything" }
  /** What a flush covered, and every write with FUA. */
  | { readonly kind: "afterLastFlush" }
  /** That, and of the others some, as the seed decides. */
  | {
      readonly kind: "subset";
      readonly seed: number;
      /** Of some writes only some sectors are there. */
      readonly isTorn: boolean;
    }
  /** As if the last so many flushes had done nothing: what they alone covered is gone, writes with FUA too. */
  | { readonly kind: "lying"; readonly flushCount: number };

export interface Replayed {
  /** Writes and discards in the log. */
  readonly writeCount: number;
  readonly flushCount: number;
  /** Of the writes those that the disk does not hold, or not whole. */
  readonly lostCount: number;
  /**
   * Plain writes logged after one with FUA that touches the same 4 KiB, without a flush between: the log does not
   * tell which was first, and the disk holds the plain one.
   */
  readonly unorderedCount: number;
}

/**
 * Puts the disk to the state after a power cut.
 *
 * @param log - Path of the log, which is whole.
 * @param options.mark - The power fails when the first flush after this mark is about to be submitted, and not at the
 * end of the log; at the end if there is no flush after it.
 * @param into - Path of a file that holds what the disk held when logging began; after a failure it
 * holds nothing of worth.
 * @throws {ServiceError} `ERR_BAD_ANSWER` if the log is damaged, not whole, or that of a larger disk; `ERR_NOT_FOUND` if
 * the mark is not in it.
 */
export async function replay(
  log: string,
  into: string,
  cut: PowerCut,
  options: { readonly mark?: string } = {},
): Promise<Replayed> {
  await using source = await WriteLog.open(log);
  const flushes = await lastFlushes(source, cut.kind === "lying" ? cut.flushCount : 0, options.mark);
  const target = await open(into, "r+");
  try {
    const { size: sizeBytes } = await target.stat();
    return await apply({ source, disk: new Disk(target), into, sizeBytes, cut, ...flushes });
  } finally {
    await target.close();
  }
}

interface Applying {
  readonly source: WriteLog;
  readonly disk: Disk;
  readonly into: string;
  readonly sizeBytes: number;
  readonly cut: PowerCut;
  /** Index of the last flush that counts; −1 if none does. */
  readonly keptUpTo: number;
  /** Index of the first entry of what the disk was not told any more. */
  readonly end: number;
}

/** The last flush but `skipped` before the power fails, and where in the log that is. */
async function lastFlushes(
  log: WriteLog,
  skipped: number,
  mark: string | undefined,
): Promise<Pick<Applying, "keptUpTo" | "end">> {
  const last: number[] = [];
  let end: number | undefined;
  let isMarked = false;
  // Read to its end in any case, to know that it is whole.
  for await (const entry of log.entries()) {
    if (mark !== undefined && entry.mark === mark) isMarked = true;
    if (!entry.isFlush || end !== undefined) continue;
    if (isMarked) {
      end = entry.index;
      continue;
    }
    last.push(entry.index);
    if (last.length > skipped + 1) last.shift();
  }
  if (mark !== undefined && !isMarked)
    throw new ServiceError("ERR_NOT_FOUND", `the log of ${log.entryCount} entries has no mark "${mark}"`);
  return { keptUpTo: last.length > skipped ? last[0]! : -1, end: end ?? log.entryCount };
}

async function apply({ source, disk, into, sizeBytes, cut, keptUpTo, end }: Applying): Promise<Replayed> {
  const counts = { writeCount: 0, flushCount: 0, lostCount: 0, unorderedCount: 0 };
  const order = new FuaOrder();
  for await (const entry of source.entries()) {
    const { index, offsetBytes, lengthBytes } = entry;
    if (index >= end) break;
    if (offsetBytes + lengthBytes > sizeBytes)
      throw new ServiceError(
        "ERR_BAD_ANSWER",
        `entry ${index} of the log writes up to byte ${offsetBytes + lengthBytes}, and ${into} has ${sizeBytes}`,
      );
    if (order.isUnknown(entry)) counts.unorderedCount++;
    if (entry.isFlush) counts.flushCount++;
    if (lengthBytes === 0) continue;
    counts.writeCount++;
    const kept = partKept(entry, cut, { isFlushed: index < keptUpTo, sectorBytes: source.sectorBytes });
    if (kept !== "all") counts.lostCount++;
    if (kept === "none") continue;
    const isKept = kept === "all" ? undefined : sectorsKept(cut, index);
    if (entry.isDiscard) await disk.zero(entry);
    else await disk.copy(source, entry, isKept);
  }
  return counts;
}

function partKept(
  { index, isFua, isDiscard, lengthBytes }: LogEntry,
  cut: PowerCut,
  { isFlushed, sectorBytes }: { readonly isFlushed: boolean; readonly sectorBytes: number },
): "all" | "none" | "some" {
  if (isFlushed || cut.kind === "everything") return "all";
  if (cut.kind === "lying") return "none";
  if (isFua) return "all";
  if (cut.kind === "afterLastFlush") return "none";
  const drawn = draw(cut.seed, index)[0]!;
  const canTear = cut.isTorn && !isDiscard && lengthBytes > sectorBytes;
  if (canTear && drawn % 4 === 0) return "some";
  return drawn % 2 === 0 ? "all" : "none";
}

/** Bytes drawn for an entry, from nothing but the seed and its place. */
function draw(seed: number, index: number, group = 0): Uint8Array {
  return createHash("sha256").update(`${seed} ${index} ${group}`).digest();
}

/** Which sectors of a torn write are there, by their number in it. */
function sectorsKept(cut: PowerCut, index: number): (sector: number) => boolean {
  const seed = cut.kind === "subset" ? cut.seed : 0;
  let group = -1;
  let bytes = new Uint8Array();
  return (sector) => {
    if (Math.floor(sector / 32) !== group) {
      group = Math.floor(sector / 32);
      // The first byte decided that it is torn.
      bytes = new Uint8Array(draw(seed, index, group + 1));
    }
    return bytes[sector % 32]! % 2 === 0;
  };
}

const granuleBytes = 4096;

/** Notices plain writes that may have been before or after one with FUA. */
class FuaOrder {
  /** Touched by writes with FUA since the last flush. */
  readonly #granules = new Set<number>();

  isUnknown({ offsetBytes, lengthBytes, isFlush, isFua }: LogEntry): boolean {
    if (isFlush) this.#granules.clear();
    if (lengthBytes === 0 || (!isFua && this.#granules.size === 0)) return false;
    let isUnknown = false;
    const end = Math.ceil((offsetBytes + lengthBytes) / granuleBytes);
    for (let granule = Math.floor(offsetBytes / granuleBytes); granule < end; granule++) {
      if (isFua) this.#granules.add(granule);
      else isUnknown ||= this.#granules.has(granule);
    }
    return isUnknown;
  }
}

const pieceBytes = 2 ** 20;
const zeros = new Uint8Array(pieceBytes);

/** The disk that is put to a state. */
class Disk {
  readonly #file: FileHandle;
  readonly #piece = new Uint8Array(pieceBytes);
  readonly #there = new Uint8Array(pieceBytes);

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async zero({ offsetBytes, lengthBytes }: LogEntry): Promise<void> {
    for (let done = 0; done < lengthBytes; done += pieceBytes)
      await this.#put(offsetBytes + done, zeros.subarray(0, lengthBytes - done));
  }

  /** @param isKept - Asked for each sector; all of them are if left out. */
  async copy(
    log: WriteLog,
    { index, offsetBytes, lengthBytes, dataOffsetBytes }: LogEntry,
    isKept: ((sector: number) => boolean) | undefined,
  ): Promise<void> {
    for (let done = 0; done < lengthBytes; done += pieceBytes) {
      const piece = this.#piece.subarray(0, lengthBytes - done);
      await log.read(dataOffsetBytes + done, piece, `the data of entry ${index}`);
      if (isKept === undefined) await this.#put(offsetBytes + done, piece);
      else
        for (let at = 0; at < piece.length; at += log.sectorBytes)
          if (isKept((done + at) / log.sectorBytes))
            await this.#put(offsetBytes + done + at, piece.subarray(at, at + log.sectorBytes));
    }
  }

  async #put(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    if (isZero(bytes)) {
      const there = this.#there.subarray(0, bytes.length);
      const { bytesRead } = await this.#file.read(there, 0, there.length, offsetBytes);
      if (bytesRead === there.length && isZero(there)) return;
    }
    for (let done = 0; done < bytes.length; )
      done += (await this.#file.write(bytes, done, bytes.length - done, offsetBytes + done)).bytesWritten;
  }
}

function isZero(bytes: Uint8Array): boolean {
  return Buffer.compare(bytes, zeros.subarray(0, bytes.length)) === 0;
}
