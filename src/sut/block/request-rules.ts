/**
 * What is refused before a system call is made: ranges and buffers that do not fit.
 *
 * @packageDocumentation
 */
import type { BlockRange, Outcome, OutcomeCode } from "../port.ts";

export interface BufferRules {
  /** Of the file or device, to tell. */
  readonly path: string;
  readonly blockSizeBytes: number;
  /** What a buffer's offset in its memory is a multiple of, in bytes. */
  readonly bufferAlignment: number;
}

export function failed(code: OutcomeCode, message: string): Outcome {
  return { kind: "failed", code, message };
}

/** @param deviceBlocks - The size of the device at `path`. */
export function rangeRefusal(
  { block, blockCount }: BlockRange,
  deviceBlocks: number,
  path: string,
): Outcome | undefined {
  if (!(Number.isSafeInteger(block) && Number.isSafeInteger(blockCount) && block >= 0 && blockCount >= 0))
    return failed("ERR_INVALID_REQUEST", `${blockCount} blocks at block ${block} are no range of blocks`);
  if (block + blockCount > deviceBlocks)
    return failed(
      "ERR_OUT_OF_RANGE",
      `${blockCount} blocks at block ${block} exceed the ${deviceBlocks} blocks of ${path}`,
    );
  return undefined;
}

export function bufferRefusal(
  bytes: Uint8Array,
  blockCount: number,
  { path, blockSizeBytes, bufferAlignment }: BufferRules,
): Outcome | undefined {
  if (bytes.length !== blockCount * blockSizeBytes)
    return failed(
      "ERR_INVALID_REQUEST",
      `a buffer of ${bytes.length} bytes does not hold ${blockCount} blocks of ${blockSizeBytes} bytes`,
    );
  const beside = bytes.byteOffset % bufferAlignment;
  if (beside !== 0)
    return failed(
      "ERR_INVALID_REQUEST",
      `the buffer lies ${beside} bytes past a multiple of ${bufferAlignment}: ${path} was opened with O_DIRECT, which wants aligned buffers`,
    );
  return undefined;
}
