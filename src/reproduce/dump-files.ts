/**
 * Files of a failure folder: each is written under another name, synchronised and renamed, so that it is there whole
 * or not at all, whenever the process ends.
 *
 * @packageDocumentation
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { FileEntry } from "./dump.ts";
import { hashOf } from "./dump-format.ts";
import type { FileSystem, WritableFile } from "./file-system.ts";

/** Room that is set aside for the last words when the disk is full. */
const reserveBytes = 256 * 1024;
const reserveName = "reserve.unfinished";
const chunkBytes = 2 ** 20;

export class DumpFiles {
  readonly path: string;
  readonly #system: FileSystem;
  readonly #entries = new Map<string, FileEntry>();

  private constructor(system: FileSystem, path: string) {
    this.#system = system;
    this.path = path;
  }

  /** Makes a folder in a directory; its name gets a number if there is one of that name. */
  static async create(system: FileSystem, directory: string, name: string): Promise<DumpFiles> {
    await system.makeDirectories(directory);
    for (let suffix = 0; ; suffix++) {
      const path = join(directory, suffix === 0 ? name : `${name}-${suffix}`);
      try {
        await system.makeDirectory(path);
      } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "EEXIST") continue;
        throw error;
      }
      const files = new DumpFiles(system, path);
      await files.#reserve();
      return files;
    }
  }

  /** Of the files that are read again, as they were written, by name. */
  get entries(): ReadonlyMap<string, FileEntry> {
    return this.#entries;
  }

  /** Writes a file that is read again, in place of the one of that name. */
  async put(name: string, content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    await this.#write(name, (file) => file.write(bytes, 0));
    this.#entries.set(name, { bytes: bytes.length, sha256: hashOf(bytes) });
  }

  /** Writes a file that says of itself whether it is whole, or is for people only; what was there stays if it fails. */
  async putUnlisted(name: string, content: string): Promise<void> {
    await this.#write(name, (file) => file.write(Buffer.from(content), 0));
    await this.#system.syncDirectory(this.path);
  }

  /** Writes a file piece by piece; see {@link SparseFile}. */
  async putSparse(name: string, fill: (file: SparseFile) => Promise<void>): Promise<void> {
    let entry: FileEntry | undefined;
    await this.#write(name, async (file) => {
      const sparse = new SparseFile(file);
      await fill(sparse);
      entry = await sparse.finish();
    });
    this.#entries.set(name, entry!);
  }

  async makeDirectory(name: string): Promise<void> {
    await this.#system.makeDirectories(join(this.path, name));
  }

  /** Has a file or directory written by others under a name that is not yet its own; `write` is given its path. */
  async putBy(name: string, write: (path: string) => void | Promise<void>): Promise<void> {
    const path = join(this.path, name);
    const unfinished = `${path}.unfinished`;
    try {
      await this.#system.remove(unfinished);
      await write(unfinished);
      await this.#system.rename(unfinished, path);
      await this.#system.syncDirectory(this.path);
    } catch (error) {
      await this.#system.remove(unfinished).catch(() => {});
      throw error;
    }
  }

  /** Lists a file that others wrote, and that is read again. */
  async list(name: string): Promise<void> {
    this.#entries.set(name, await entryOf(join(this.path, name)));
  }

  /** Gives up what was set aside, so that the last files have room. */
  async releaseReserve(): Promise<void> {
    await this.#system.remove(join(this.path, reserveName)).catch(() => {});
  }

  /** A disk without even that room is tried all the same. */
  async #reserve(): Promise<void> {
    try {
      const file = await this.#system.create(join(this.path, reserveName));
      try {
        await file.write(new Uint8Array(reserveBytes), 0);
      } finally {
        await file.close();
      }
    } catch {
      await this.releaseReserve();
    }
  }

  async #write(name: string, fill: (file: WritableFile) => Promise<void>): Promise<void> {
    const path = join(this.path, name);
    const unfinished = `${path}.unfinished`;
    try {
      const file = await this.#system.create(unfinished);
      try {
        await fill(file);
        await file.sync();
      } finally {
        await file.close();
      }
      await this.#system.rename(unfinished, path);
    } catch (error) {
      await this.#system.remove(unfinished).catch(() => {});
      throw error;
    }
  }
}

/** A file that is written from its start to its end, with holes where it has zeros. */
export class SparseFile {
  readonly #file: WritableFile;
  readonly #hash = createHash("sha256");
  #length = 0;

  constructor(file: WritableFile) {
    this.#file = file;
  }

  /** Adds bytes to the end. @param pieceBytes - What is all zeros in pieces of this length becomes a hole. */
  async append(bytes: Uint8Array, pieceBytes: number): Promise<void> {
    const start = this.#length;
    this.#hash.update(bytes);
    this.#length += bytes.length;
    for (let at = 0; at < bytes.length; ) {
      let end = at;
      while (end < bytes.length && !isZero(bytes, end, pieceBytes)) end += pieceBytes;
      if (end > at) await this.#file.write(bytes.subarray(at, Math.min(end, bytes.length)), start + at);
      at = end + pieceBytes;
    }
  }

  /** Adds zeros to the end. */
  appendZeros(byteCount: number): void {
    const piece = new Uint8Array(Math.min(chunkBytes, byteCount));
    for (let left = byteCount; left > 0; left -= piece.length)
      this.#hash.update(left < piece.length ? piece.subarray(0, left) : piece);
    this.#length += byteCount;
  }

  async finish(): Promise<FileEntry> {
    await this.#file.setLength(this.#length);
    return { bytes: this.#length, sha256: this.#hash.digest("hex") };
  }
}

/** Size and hash of a file, however long it is. */
export async function entryOf(path: string): Promise<FileEntry> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    hash.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { bytes, sha256: hash.digest("hex") };
}

function isZero(bytes: Uint8Array, at: number, length: number): boolean {
  const piece = bytes.subarray(at, at + length);
  if (zeros.length < piece.length) zeros = new Uint8Array(piece.length);
  return Buffer.compare(piece, zeros.subarray(0, piece.length)) === 0;
}

/** To compare with; grows as need be. */
let zeros = new Uint8Array(4096);
