/**
 * The log of the kernel's dm-log-writes target, read from the file behind its log device.
 *
 *   sector 0      the super: magic u64, version u64, entries u64, sector size u32, all little-endian
 *   then, for each entry, one sector of header: sector u64, sectors u64, flags u64, data length u64, and,
 *   but for a mark, a discard or a flush alone, as many sectors of data
 *
 * Sectors are logical blocks of the logged device. The kernel logs a plain write or a discard when the next flush
 * is done, in the order in which they had completed; a write with FUA as soon as it has completed; and counts the
 * entries in the super at a mark or FUA only. So the log of a device is whole when its table was taken off, which
 * logs what no flush has covered and then the mark that {@link WriteLog.entries} asks for.
 *
 * What a disk holds after a power cut is another matter: see `log-writes-replay.ts`.
 *
 * @see Linux 6.1, drivers/md/dm-log-writes.c and Documentation/admin-guide/device-mapper/log-writes.rst
 *
 * @packageDocumentation
 */
import { type FileHandle, open } from "node:fs/promises";
import { ServiceError } from "../port.ts";

const magic = 0x6a_7366_7773_6872n;
const version = 1n;
const headerBytes = 32;
const superBytes = 28;
/** What the kernel itself logs last, when the device is taken down. */
const lastMark = "dm-log-writes-end";
const flag = { flush: 1n, fua: 2n, discard: 4n, mark: 8n, metadata: 16n };
const knownFlags = flag.flush | flag.fua | flag.discard | flag.mark | flag.metadata;

/** One logged request. A flush may carry data, and so may be a write as well; a mark is neither. */
export interface LogEntry {
  /** Position in the log, from 0. */
  readonly index: number;
  /** Where on the logged device, in bytes. */
  readonly offsetBytes: number;
  /** 0 for a mark and for a flush alone. */
  readonly lengthBytes: number;
  /** Where in the log the written bytes stand; there are none of a discard. */
  readonly dataOffsetBytes: number;
  readonly isFlush: boolean;
  readonly isFua: boolean;
  readonly isDiscard: boolean;
  readonly mark: string | undefined;
}

/** Every method rejects with a {@link ServiceError} `ERR_BAD_ANSWER` if the log makes no sense. */
export class WriteLog implements AsyncDisposable {
  /** Bytes per sector, and of each header. */
  readonly sectorBytes: number;
  readonly entryCount: number;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #sizeBytes: number;

  private constructor(
    path: string,
    file: FileHandle,
    { sizeBytes, sectorBytes, entryCount }: Super & { readonly sizeBytes: number },
  ) {
    this.#path = path;
    this.#file = file;
    this.#sizeBytes = sizeBytes;
    this.sectorBytes = sectorBytes;
    this.entryCount = entryCount;
  }

  /** @param path - File behind the log device. */
  static async open(path: string): Promise<WriteLog> {
    const file = await open(path);
    try {
      const { size: sizeBytes } = await file.stat();
      const bytes = new Uint8Array(superBytes);
      const { bytesRead } = await file.read(bytes, 0, superBytes, 0);
      if (bytesRead < superBytes)
        throw bad(path, `it has ${bytesRead} bytes, less than the ${superBytes} of a super`);
      return new WriteLog(path, file, { sizeBytes, ...superOf(bytes, path, sizeBytes) });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** All entries in their order, one header at a time; the last is the mark of a log that is whole. */
  async *entries(): AsyncGenerator<LogEntry> {
    const { sectorBytes, entryCount } = this;
    const header = new Uint8Array(sectorBytes);
    let mark: string | undefined;
    for (let index = 0, at = sectorBytes; index < entryCount; index++) {
      await this.read(at, header, `the header of entry ${index}`);
      const entry = this.#entryOf(header, index, at + sectorBytes);
      at = entry.dataOffsetBytes + (entry.isDiscard ? 0 : entry.lengthBytes);
      if (at > this.#sizeBytes)
        throw this.#bad(
          `the data of entry ${index} end at byte ${at}, past the ${this.#sizeBytes} of the log`,
        );
      mark = entry.mark;
      yield entry;
    }
    if (mark !== lastMark)
      throw this.#bad(
        `it ends with ${mark === undefined ? "no mark" : `the mark "${mark}"`} instead of "${lastMark}": take the device's table off before reading, and give the log more room if it was full`,
      );
  }

  /** Fills `into` with bytes of the log. */
  async read(offsetBytes: number, into: Uint8Array, what = "data"): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await this.#file.read(into, done, into.length - done, offsetBytes + done);
      if (bytesRead === 0) throw this.#bad(`it ends at byte ${offsetBytes + done}, within ${what}`);
      done += bytesRead;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  #entryOf(header: Uint8Array, index: number, dataOffsetBytes: number): LogEntry {
    const view = new DataView(header.buffer);
    const inBytes = (at: number, what: string): number => {
      const bytes = view.getBigUint64(at, true) * BigInt(this.sectorBytes);
      if (bytes > Number.MAX_SAFE_INTEGER)
        throw this.#bad(`entry ${index} has a ${what} of ${bytes} bytes, beyond every device`);
      return Number(bytes);
    };
    const flags = view.getBigUint64(16, true);
    if ((flags & ~knownFlags) !== 0n)
      throw this.#bad(`entry ${index} has the flags 0x${flags.toString(16)}, of which some are unknown`);
    const has = (bit: bigint): boolean => (flags & bit) !== 0n;
    const entry = {
      index,
      dataOffsetBytes,
      offsetBytes: inBytes(0, "position"),
      lengthBytes: inBytes(8, "length"),
      isFlush: has(flag.flush),
      isFua: has(flag.fua),
      isDiscard: has(flag.discard),
      mark: has(flag.mark) ? this.#markOf(header, index, view.getBigUint64(24, true)) : undefined,
    };
    const hasMeaning =
      entry.mark === undefined ? entry.lengthBytes > 0 || entry.isFlush : entry.lengthBytes === 0;
    if (!hasMeaning)
      throw this.#bad(
        `entry ${index} is ${entry.mark === undefined ? "neither a flush nor" : "a mark and"} a write`,
      );
    return entry;
  }

  #markOf(header: Uint8Array, index: number, lengthBytes: bigint): string {
    const most = this.sectorBytes - headerBytes;
    if (lengthBytes > most)
      throw this.#bad(`entry ${index} is a mark of ${lengthBytes} bytes, and at most ${most} fit`);
    return new TextDecoder().decode(header.subarray(headerBytes, headerBytes + Number(lengthBytes)));
  }

  #bad(what: string): ServiceError {
    return bad(this.#path, what);
  }
}

interface Super {
  readonly sectorBytes: number;
  readonly entryCount: number;
}

function superOf(bytes: Uint8Array, path: string, sizeBytes: number): Super {
  const view = new DataView(bytes.buffer);
  const found = view.getBigUint64(0, true);
  if (found === 0n)
    throw bad(path, "nothing is written where the super belongs: it is kept from the first mark or FUA on");
  if (found !== magic) throw bad(path, `it starts with 0x${found.toString(16)}, not 0x${magic.toString(16)}`);
  const foundVersion = view.getBigUint64(8, true);
  if (foundVersion !== version)
    throw bad(path, `it has version ${foundVersion}, and only ${version} can be read`);
  const sectorBytes = view.getUint32(24, true);
  if (sectorBytes < 512 || sectorBytes > 65_536 || (sectorBytes & (sectorBytes - 1)) !== 0)
    throw bad(path, `it has sectors of ${sectorBytes} bytes, not a power of two from 512 to 65536`);
  const entries = view.getBigUint64(16, true);
  const most = Math.max(0, Math.floor(sizeBytes / sectorBytes) - 1);
  if (entries > most)
    throw bad(path, `it announces ${entries} entries, and ${sizeBytes} bytes have room for at most ${most}`);
  return { sectorBytes, entryCount: Number(entries) };
}

function bad(path: string, what: string): ServiceError {
  return new ServiceError("ERR_BAD_ANSWER", `${path} is no whole log of dm-log-writes: ${what}`);
}
