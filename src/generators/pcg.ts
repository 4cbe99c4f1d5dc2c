/**
 * PCG RXS-M-XS 64/64 as pure functions: forwards, backwards, and undone.
 *
 * A 64-bit linear congruential generator under an output permutation that has an inverse, so that a number of
 * a stream leads back to its position. This is the reference in BigInt, for single numbers and as the oracle of
 * the kernels; whole buffers go through `kernel.ts`.
 *
 * @see M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms for Random
 * Number Generation", 2014, section 6.3.4 (RXS-M-XS); F. Brown, "Random Number Generation with Arbitrary
 * Strides", 1994 (advance).
 *
 * @packageDocumentation
 */

const multiplier = 6364136223846793005n;
const outputMultiplier = 12605985483714917081n;
const outputMultiplierInverse = 15009553638781119849n;

/** Wraps to 64 bits, unsigned. */
export const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);

/** Number `i` (any 64-bit number, wrapped) of a stream; number 0 is the same in every stream. */
export function rng(seed: bigint, i: bigint, stream: bigint): bigint {
  return shuffle(advance(seed, i, stream));
}

/**
 * The position of a value in a stream: `rng(seed, rngInverse(seed, value, stream), stream) === value`.
 *
 * Every value has a position in every stream, so having one proves nothing. That it is small does.
 */
export function rngInverse(seed: bigint, value: bigint, stream: bigint): bigint {
  return distance(seed, unshuffle(value), stream);
}

/** The number after `value` in its stream. */
export function next(value: bigint, stream: bigint): bigint {
  return shuffle(u64(unshuffle(value) * multiplier + increment(stream)));
}

/** The number before `value` in its stream. */
export function prev(value: bigint, stream: bigint): bigint {
  return shuffle(advance(unshuffle(value), -1n, stream));
}

/** The state `n` steps on, in O(log n); a negative `n` steps back. */
export function advance(state: bigint, n: bigint, stream: bigint): bigint {
  let factor = 1n;
  let addend = 0n;
  let stepFactor = multiplier;
  let stepAddend = increment(stream);
  for (let left = u64(n); left !== 0n; left >>= 1n) {
    if (left & 1n) {
      factor = u64(factor * stepFactor);
      addend = u64(addend * stepFactor + stepAddend);
    }
    stepAddend = u64((stepFactor + 1n) * stepAddend);
    stepFactor = u64(stepFactor * stepFactor);
  }
  return u64(factor * state + addend);
}

/** Steps from one state to another, as an unsigned 64-bit number, in 64 rounds. */
export function distance(from: bigint, to: bigint, stream: bigint): bigint {
  let state = u64(from);
  const target = u64(to);
  let stepFactor = multiplier;
  let stepAddend = increment(stream);
  let steps = 0n;
  // The low k bits of the state have period 2^k: each round settles one bit of the count.
  for (let bit = 1n; state !== target; bit = u64(bit << 1n)) {
    if ((state ^ target) & bit) {
      state = u64(state * stepFactor + stepAddend);
      steps |= bit;
    }
    stepAddend = u64((stepFactor + 1n) * stepAddend);
    stepFactor = u64(stepFactor * stepFactor);
  }
  return steps;
}

/** The output permutation. */
export function shuffle(state: bigint): bigint {
  const word = u64((state ^ (state >> ((state >> 59n) + 5n))) * outputMultiplier);
  return word ^ (word >> 43n);
}

/** Inverse of {@link shuffle}. */
export function unshuffle(value: bigint): bigint {
  let word = u64((value ^ (value >> 43n)) * outputMultiplierInverse);
  // x ^ (x >> k) is undone by doubling k; the five bits that choose k are never touched.
  for (let shift = (word >> 59n) + 5n; shift < 64n; shift <<= 1n) word ^= word >> shift;
  return word;
}

/** Streams s and s + 2^63 are one: the top bit is lost. */
function increment(stream: bigint): bigint {
  return u64((stream << 1n) | 1n);
}
