/**
 * Transfers on libuv's thread pool: as many in flight as the pool has threads, while the process goes on.
 *
 * For disks. The pool has four threads unless the environment sets UV_THREADPOOL_SIZE (up to 1024) before it is
 * used for the first time. The pieces of one transfer follow each other.
 *
 * An abort stops a transfer between two pieces. A system call cannot be called back, and the caller's buffer is
 * in its hands until it returns, so the transfer does not settle before.
 *
 * @packageDocumentation
 */
import { read, write } from "node:fs";
import { pageAligned } from "./aligned-memory.ts";
import {
  type ByteRange,
  type DescriptorIo,
  type Descriptors,
  type IoResult,
  pieceBytesMax,
} from "./descriptor-io.ts";
import { abortFailure, endFailure, failureOf } from "./errno.ts";

type Signal = AbortSignal | undefined;

export class ThreadIo implements DescriptorIo {
  readonly isOneStep = false;
  readonly #descriptors: Descriptors;
  #zeros: Uint8Array | undefined;

  constructor(descriptors: Descriptors) {
    this.#descriptors = descriptors;
  }

  read(into: Uint8Array, position: number, signal: Signal): Promise<IoResult> {
    const { plain } = this.#descriptors;
    return transfer(into.length, signal, (done, lengthBytes, onDone) =>
      read(plain, into, done, lengthBytes, position + done, onDone),
    );
  }

  write(from: Uint8Array, position: number, isDurable: boolean, signal: Signal): Promise<IoResult> {
    const { plain, durable } = this.#descriptors;
    const descriptor = isDurable ? durable : plain;
    return transfer(from.length, signal, (done, lengthBytes, onDone) =>
      write(descriptor, from, done, lengthBytes, position + done, onDone),
    );
  }

  writeZeros({ position, byteCount }: ByteRange, signal: Signal): Promise<IoResult> {
    const { plain } = this.#descriptors;
    const zeros = (this.#zeros ??= pageAligned(pieceBytesMax));
    return transfer(byteCount, signal, (done, lengthBytes, onDone) =>
      write(plain, zeros, 0, lengthBytes, position + done, onDone),
    );
  }
}

/** Makes system calls, each for the rest or a piece of it, until all bytes are moved. */
function transfer(
  byteCount: number,
  signal: Signal,
  call: (
    done: number,
    lengthBytes: number,
    onDone: (error: Error | null, countBytes: number) => void,
  ) => void,
): Promise<IoResult> {
  if (byteCount === 0) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    let done = 0;
    const next = () => call(done, Math.min(byteCount - done, pieceBytesMax), onDone);
    const onDone = (error: Error | null, countBytes: number) => {
      try {
        if (error !== null) return resolve(failureOf(error, done));
        if (countBytes === 0) return resolve(endFailure(done));
        done += countBytes;
        if (done === byteCount) return resolve(undefined);
        if (signal?.aborted === true) return resolve(abortFailure(done));
        next();
      } catch (bug) {
        reject(bug);
      }
    };
    next();
  });
}
