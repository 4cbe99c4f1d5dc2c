/**
 * Which writes of a workload a fault is put to, by what becomes of their blocks.
 *
 * Whether anybody can see a fault depends on what is written there before and after it, so that is chosen, from the
 * trace of the same workload without a fault. All faults of a kind of place strike the same writes: the block behind
 * a write, which a misdirected one spoils, has to fare as the write's own do.
 *
 * @packageDocumentation
 */
import type { TracedWrite } from "./injector.ts";

/**
 * `first`: nobody writes to these blocks before or after it. `newest`: all of its blocks have been written before,
 * and none is again. `partly-overwritten`: some of its blocks are written again, some are not. `overwritten`: all of
 * its blocks are written again before the workload ends.
 */
export type Place = "first" | "newest" | "partly-overwritten" | "overwritten";

interface Space {
  readonly blockBytes: number;
  readonly fileBytes: number;
}

/** The writes at such a place, by number, in order; none of zeros alone, or that ends where the file does. */
export function writesAt(place: Place, writes: readonly TracedWrite[], space: Space): number[] {
  const { blockBytes, fileBytes } = space;
  const blockCount = fileBytes / blockBytes;
  const firstWrites = new Array<number>(blockCount).fill(Number.POSITIVE_INFINITY);
  const lastWrites = new Array<number>(blockCount).fill(-1);
  for (const [at, write] of writes.entries())
    for (const block of blocksOf(write, blockBytes)) {
      firstWrites[block] = Math.min(firstWrites[block]!, at);
      lastWrites[block] = at;
    }
  return [...writes.keys()].filter((at) => {
    const write = writes[at]!;
    if (write.isZeros || write.offset + write.lengthBytes + blockBytes > fileBytes) return false;
    const own = blocksOf(write, blockBytes);
    const all = [...own, own.at(-1)! + 1];
    const isOverwrite = own.every((block) => firstWrites[block]! < at);
    const isWrittenAgain = (block: number) => lastWrites[block]! > at;
    switch (place) {
      case "first":
        return own.every((block) => firstWrites[block] === at) && !all.some(isWrittenAgain);
      case "newest":
        return isOverwrite && !all.some(isWrittenAgain);
      case "partly-overwritten":
        return isOverwrite && own.some(isWrittenAgain) && !own.every(isWrittenAgain);
      case "overwritten":
        return isOverwrite && all.every(isWrittenAgain);
      default:
        return unreachable(place);
    }
  });
}

function blocksOf({ offset, lengthBytes }: TracedWrite, blockBytes: number): number[] {
  const first = Math.floor(offset / blockBytes);
  const end = Math.ceil((offset + lengthBytes) / blockBytes);
  return Array.from({ length: end - first }, (_, index) => first + index);
}

function unreachable(place: never): never {
  throw new Error(`no such place: ${place}`);
}
