/**
 * Brute-force oracle of the durability checker.
 *
 * @packageDocumentation
 */
import {
  type Address,
  type Flush,
  type Initial,
  isOptional,
  precedes,
  touches,
  type Write,
  zeros,
} from "./history.ts";

export interface Crash {
  readonly writes: readonly Write[];
  readonly flushes: readonly Flush[];
  /** The event of the crash. What was not completed by then is in doubt; what was submitted later is ignored. */
  readonly crashAt: number;
  readonly hasVolatileCache: boolean;
  readonly initial?: Initial;
}

/**
 * The contents that a block may hold after a crash.
 *
 * A write is durable if it completed well before the crash and, where there is a volatile cache, was written
 * with FUA or completed before a flush of its volume was submitted that completed before the crash. Durable
 * writes took effect and are on the medium. Any other write that was submitted before the crash is there or
 * not, on each block alone. Of those that are there, the last shows, in some order that respects real time:
 * so a write may show unless a durable one was submitted after it completed, and what was there before all
 * writes unless any is durable. Advice is never sure to be there.
 */
export function legalAfterCrash(crash: Crash, at: Address): Set<number> {
  const { flushes, crashAt, hasVolatileCache, initial = zeros } = crash;
  const writes = crash.writes.filter((write) => touches(write, at) && write.submitted < crashAt);
  const isFlushed = (write: Write): boolean =>
    flushes.some(
      (flush) =>
        (flush.volume ?? 0) === (at.volume ?? 0) && precedes(write, flush) && flush.completed < crashAt,
    );
  const durable = writes.filter(
    (write) =>
      !isOptional(write) &&
      write.completed < crashAt &&
      (!hasVolatileCache || write.fua === true || isFlushed(write)),
  );
  const legal = new Set<number>();
  if (durable.length === 0) legal.add(initial({ volume: at.volume ?? 0, block: at.block }));
  for (const write of writes) {
    if (!durable.some((newer) => precedes(write, newer))) legal.add(write.content);
  }
  return legal;
}
