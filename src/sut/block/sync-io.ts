/**
 * Transfers on the calling thread: the least CPU time per call, and one call at a time.
 *
 * For files in the page cache, where a call never waits. On a disk the whole process waits with it.
 *
 * @packageDocumentation
 */
import { readSync, writeSync } from "node:fs";
import { pageAligned } from "./aligned-memory.ts";
import {
  type ByteRange,
  type DescriptorIo,
  type Descriptors,
  type IoResult,
  pieceBytesMax,
} from "./descriptor-io.ts";
import { endFailure, failureOf } from "./errno.ts";

export class SyncIo implements DescriptorIo {
  readonly isOneStep = true;
  readonly #descriptors: Descriptors;
  #zeros: Uint8Array | undefined;

  constructor(descriptors: Descriptors) {
    this.#descriptors = descriptors;
  }

  read(into: Uint8Array, position: number): IoResult {
    const { plain } = this.#descriptors;
    let done = 0;
    try {
      while (done < into.length) {
        const count = readSync(plain, into, done, pieceBytes(into.length - done), position + done);
        if (count === 0) return endFailure(done);
        done += count;
      }
    } catch (error) {
      return failureOf(error, done);
    }
    return undefined;
  }

  write(from: Uint8Array, position: number, isDurable: boolean): IoResult {
    const { plain, durable } = this.#descriptors;
    const descriptor = isDurable ? durable : plain;
    let done = 0;
    try {
      while (done < from.length) {
        const count = writeSync(descriptor, from, done, pieceBytes(from.length - done), position + done);
        if (count === 0) return endFailure(done);
        done += count;
      }
    } catch (error) {
      return failureOf(error, done);
    }
    return undefined;
  }

  writeZeros({ position, byteCount }: ByteRange): IoResult {
    this.#zeros ??= pageAligned(pieceBytesMax);
    for (let done = 0; done < byteCount; done += pieceBytesMax) {
      const piece = this.#zeros.subarray(0, pieceBytes(byteCount - done));
      const failure = this.write(piece, position + done, false);
      if (failure !== undefined) return { ...failure, doneBytes: done + failure.doneBytes };
    }
    return undefined;
  }
}

function pieceBytes(byteCount: number): number {
  return Math.min(byteCount, pieceBytesMax);
}
