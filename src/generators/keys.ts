/**
 * Keys: descriptors that inflate to the parts of an address, and keep their order.
 *
 * - pd, an extent of the workload, inflates to [volume, extent].
 * - cd, a block of its extent, inflates to [chunk, bit]; a chunk is 64 blocks, as in changed-block bitmaps.
 *
 * A descriptor counts its keys in order: it is the number of keys that come before its own. So comparing two
 * descriptors compares their keys part by part, in the directions given.
 *
 * @packageDocumentation
 */

/** Which way descriptors count. */
export type Direction = "ascending" | "descending";

export interface KeyBijection {
  /** Descriptors are 0 to count − 1. */
  readonly count: number;
  inflate(descriptor: number): readonly [number, number];
  deflate(key: readonly [number, number]): number;
  /** Sign of the order in which two keys come, part by part. */
  compare(a: readonly [number, number], b: readonly [number, number]): number;
}

/** Blocks of a chunk. */
export const chunkBlocks = 64;

/** cd → [chunk, bit] for an extent of `extentBlocks` blocks; the last chunk may be short. */
export function clusteringKeys(extentBlocks: number, direction: Direction = "ascending"): KeyBijection {
  const sizes = Array.from({ length: Math.ceil(extentBlocks / chunkBlocks) }, (_, chunk) =>
    Math.min(chunkBlocks, extentBlocks - chunk * chunkBlocks),
  );
  return pairs(sizes, direction);
}

/** pd → [volume, extent], given the number of extents of each volume. */
export function partitionKeys(
  extentCounts: readonly number[],
  direction: Direction = "ascending",
): KeyBijection {
  return pairs(extentCounts, direction);
}

function pairs(sizes: readonly number[], direction: Direction): KeyBijection {
  const starts = [0];
  for (const [index, size] of sizes.entries()) {
    if (!(Number.isSafeInteger(size) && size >= 1))
      throw new RangeError(`part ${index} of a key needs at least one value, got ${size}`);
    starts.push(starts[index]! + size);
  }
  const count = starts[sizes.length]!;
  if (!Number.isSafeInteger(count)) throw new RangeError(`${count} keys are more than descriptors can count`);
  const turn = (descriptor: number): number =>
    direction === "ascending" ? descriptor : count - 1 - descriptor;
  const sign = direction === "ascending" ? 1 : -1;

  return {
    count,
    inflate(descriptor) {
      if (!(Number.isSafeInteger(descriptor) && descriptor >= 0 && descriptor < count))
        throw new RangeError(`descriptor ${descriptor} has no key: expected 0 to ${count - 1}`);
      const ordinal = turn(descriptor);
      const first = lastAtMost(starts, ordinal);
      return [first, ordinal - starts[first]!];
    },
    deflate([first, second]) {
      const size = sizes[first];
      if (size === undefined || !(Number.isSafeInteger(second) && second >= 0 && second < size))
        throw new RangeError(
          `[${first}, ${second}] is no key: expected [0 to ${sizes.length - 1}, 0 to ${(size ?? 1) - 1}]`,
        );
      return turn(starts[first]! + second);
    },
    compare(a, b) {
      return sign * Math.sign(a[0] - b[0] || a[1] - b[1]);
    },
  };
}

/** Index of the last start that is not beyond the ordinal. */
function lastAtMost(starts: readonly number[], ordinal: number): number {
  let low = 0;
  let high = starts.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= ordinal) low = middle;
    else high = middle - 1;
  }
  return low;
}
