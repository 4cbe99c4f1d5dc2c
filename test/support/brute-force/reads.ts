/**
 * Brute-force oracle of the exhaustive checker.
 *
 * @packageDocumentation
 */
import { blocksOf, type Initial, isSameBlock, type Read, type Write, zeros } from "./history.ts";
import { isPossible, readSteps, writeSteps } from "./orders.ts";

/**
 * Whether some linearization explains what the reads gave: for each block there is an order of its reads and
 * of the writes that took effect (all that are ok, any of those in doubt) in which an operation that
 * completed before another was submitted comes first, and each read gives the content of the newest write
 * before it, or the initial one.
 */
export const explainsReads = (
  writes: readonly Write[],
  reads: readonly Read[],
  initial: Initial = zeros,
): boolean =>
  blocksOf([], reads).every((at) =>
    isPossible(
      [...writeSteps(writes, at), ...readSteps(reads.filter((read) => isSameBlock(read, at)))],
      initial(at),
    ),
  );
