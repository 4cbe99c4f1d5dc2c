/**
 * Chunk slots in one sparse file: slot n starts at byte n × chunk size.
 *
 * Reads and writes are synchronous and go through the page cache. A file system with holes gives space only
 * to what was written; space of freed slots is used again, never given back.
 *
 * @packageDocumentation
 */
import { closeSync, constants, fdatasync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import type { ChunkMedium } from "./medium.ts";
import { StoreError } from "./port.ts";

export class FileMedium implements ChunkMedium {
  readonly #path: string;
  readonly #chunkBytes: number;
  readonly #fd: number;
  #isSynced = true;
  #isClosed = false;

  /** Opens the file, creating it if it does not exist. */
  constructor(path: string, chunkBytes: number) {
    this.#path = path;
    this.#chunkBytes = chunkBytes;
    try {
      this.#fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    } catch (cause) {
      throw new StoreError("ERR_IO", `${path}: cannot be opened for reading and writing`, { cause });
    }
  }

  /** Length of the file, for a check against the metadata. */
  get lengthBytes(): number {
    return fstatSync(this.#fd).size;
  }

  read(slot: number, offsetBytes: number, into: Uint8Array): void {
    const start = slot * this.#chunkBytes + offsetBytes;
    let doneBytes = 0;
    while (doneBytes < into.length) {
      let countBytes: number;
      try {
        countBytes = readSync(this.#fd, into, doneBytes, into.length - doneBytes, start + doneBytes);
      } catch (cause) {
        throw this.#failed("read", start, into.length, cause);
      }
      if (countBytes === 0) {
        throw new StoreError(
          "ERR_CORRUPT",
          `${this.#path}: ends at byte ${start + doneBytes}, where data was written before`,
        );
      }
      doneBytes += countBytes;
    }
  }

  write(slot: number, offsetBytes: number, from: Uint8Array): void {
    const start = slot * this.#chunkBytes + offsetBytes;
    this.#isSynced = false;
    let doneBytes = 0;
    while (doneBytes < from.length) {
      try {
        doneBytes += writeSync(this.#fd, from, doneBytes, from.length - doneBytes, start + doneBytes);
      } catch (cause) {
        throw this.#failed("write", start, from.length, cause);
      }
    }
  }

  release(): void {}

  sync(): Promise<void> {
    if (this.#isSynced) return Promise.resolve();
    this.#isSynced = true;
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (cause) => {
        if (cause === null || cause === undefined) resolve();
        else reject(new StoreError("ERR_IO", `${this.#path}: cannot be made durable`, { cause }));
      });
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }

  #failed(verb: string, start: number, lengthBytes: number, cause: unknown): StoreError {
    return new StoreError(
      "ERR_IO",
      `${this.#path}: cannot ${verb} ${lengthBytes} bytes at byte ${start}: ${(cause as Error).message}`,
      { cause },
    );
  }
}
