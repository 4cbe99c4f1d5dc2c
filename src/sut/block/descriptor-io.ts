/**
 * Whole transfers between a buffer and an open file: the port of the two ways to make system calls.
 *
 * Positions and lengths are bytes. Nothing here knows blocks, ranges or outcomes.
 *
 * @packageDocumentation
 */
import type { IoFailure } from "./errno.ts";

/**
 * Longest system call, in bytes; longer transfers are made of several.
 *
 * Long enough that its fixed cost does not count, short enough for the second-level cache.
 */
export const pieceBytesMax = 2 ** 20;

/** Open descriptors of one file or device. */
export interface Descriptors {
  readonly plain: number;
  /**
   * The same, opened with O_DSYNC: a write is durable when it returns. Against fdatasync on the plain one, which
   * writes back whatever is dirty, a durable write of 4 KiB among 64 plain ones measured 0.37 instead of 2.4 ms.
   */
  readonly durable: number;
}

/** `undefined` if all bytes were moved. */
export type IoResult = IoFailure | undefined;
type Settled = IoResult | Promise<IoResult>;

export interface DescriptorIo {
  /** Calls are done, one at a time, when they return: nothing of this process comes between their parts. */
  readonly isOneStep: boolean;
  read(into: Uint8Array, position: number, signal: AbortSignal | undefined): Settled;
  write(from: Uint8Array, position: number, isDurable: boolean, signal: AbortSignal | undefined): Settled;
  writeZeros(range: ByteRange, signal: AbortSignal | undefined): Settled;
}

export interface ByteRange {
  readonly position: number;
  readonly byteCount: number;
}
