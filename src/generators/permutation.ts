/**
 * Permutations of [0, 2^e) and of [0, n), with their inverses.
 *
 * The first N draws are N different numbers, with no state and no collision to look up. A round multiplies by
 * an odd number, adds, and folds the high half onto the low half; each of these has an inverse on e bits. For n
 * that is no power of two the walk goes on until it is back inside (cycle walking): fewer than two steps on
 * average, as 2^(e−1) < n.
 *
 * @see J. Black and P. Rogaway, "Ciphers with Arbitrary Finite Domains", 2002 (cycle walking).
 *
 * @packageDocumentation
 */
import { rng, u64 } from "./pcg.ts";

export interface Permutation {
  /** Size of the domain: numbers are 0 to size − 1. */
  readonly size: number;
  /** The number at a position. */
  at(position: number): number;
  /** The position of a number; inverse of {@link Permutation.at}. */
  positionOf(value: number): number;
}

const roundCount = 4;
/** Bits of a number that stay positive in 32-bit arithmetic. */
const narrowBitsMax = 31;

/**
 * A permutation of [0, size), drawn from a stream.
 *
 * @param size - 1 to 2^53 − 1.
 */
export function permutation(size: number, { seed, stream }: { seed: bigint; stream: bigint }): Permutation {
  if (!(Number.isSafeInteger(size) && size >= 1))
    throw new RangeError(`a permutation needs a size from 1 to 2^53 - 1, got ${size}`);
  const bitCount = bitLength(size - 1);
  if (bitCount <= narrowBitsMax)
    return narrowPermutation(size, bitCount, roundsOf(bitCount, { seed, stream }));
  const cipher = bitPermutation(bitCount, { seed, stream });
  const n = BigInt(size);
  const walk = (start: number, step: (value: bigint) => bigint): number => {
    if (!(Number.isSafeInteger(start) && start >= 0 && start < size))
      throw new RangeError(`${start} is outside the permutation of [0, ${size})`);
    let value = step(BigInt(start));
    while (value >= n) value = step(value);
    return Number(value);
  };
  return {
    size,
    at: (position) => walk(position, cipher.at),
    positionOf: (value) => walk(value, cipher.positionOf),
  };
}

/** A permutation of [0, 2^bitCount) on BigInts; `bitCount` is 0 to 64. */
export function bitPermutation(
  bitCount: number,
  { seed, stream }: { seed: bigint; stream: bigint },
): { at(position: bigint): bigint; positionOf(value: bigint): bigint } {
  if (!(Number.isInteger(bitCount) && bitCount >= 0 && bitCount <= 64))
    throw new RangeError(`a permutation of 2^e numbers needs e from 0 to 64, got ${bitCount}`);
  const wrap = (value: bigint): bigint => BigInt.asUintN(bitCount, value);
  const fold = BigInt(foldOf(bitCount));
  const rounds = roundsOf(bitCount, { seed, stream });
  const undone = rounds.toReversed();
  return {
    at(position) {
      let x = position;
      for (const { factor, addend } of rounds) {
        x = wrap(x * factor + addend);
        x ^= x >> fold;
      }
      return x;
    },
    positionOf(value) {
      let x = value;
      for (const { inverse, addend } of undone) {
        // fold ≥ half of the bits, so a second fold undoes the first.
        x ^= x >> fold;
        x = wrap((x - addend) * inverse);
      }
      return x;
    },
  };
}

/** The same on numbers, for few enough bits that the low 32 bits of a product are all of it that counts. */
function narrowPermutation(size: number, bitCount: number, rounds: readonly Round[]): Permutation {
  const mask = 2 ** bitCount - 1;
  const fold = foldOf(bitCount);
  const narrow = rounds.map(({ factor, inverse, addend }) => ({
    factor: Number(factor) | 0,
    inverse: Number(inverse) | 0,
    addend: Number(addend) | 0,
  }));
  const undone = narrow.toReversed();
  const assertInside = (value: number): void => {
    if (!(Number.isSafeInteger(value) && value >= 0 && value < size))
      throw new RangeError(`${value} is outside the permutation of [0, ${size})`);
  };
  return {
    size,
    at: (position) => {
      assertInside(position);
      let x = position;
      do
        for (const { factor, addend } of narrow) {
          x = (Math.imul(x, factor) + addend) & mask;
          x ^= x >> fold;
        }
      while (x >= size);
      return x;
    },
    positionOf: (value) => {
      assertInside(value);
      let x = value;
      do
        for (const { inverse, addend } of undone) {
          x ^= x >> fold;
          x = Math.imul(x - addend, inverse) & mask;
        }
      while (x >= size);
      return x;
    },
  };
}

interface Round {
  readonly factor: bigint;
  readonly inverse: bigint;
  readonly addend: bigint;
}

function roundsOf(bitCount: number, { seed, stream }: { seed: bigint; stream: bigint }): readonly Round[] {
  const wrap = (value: bigint): bigint => BigInt.asUintN(bitCount, value);
  return Array.from({ length: roundCount }, (_, round) => {
    const factor = rng(seed, BigInt(2 * round + 1), stream) | 1n;
    return {
      factor: wrap(factor),
      inverse: wrap(inverseOdd(factor)),
      addend: wrap(rng(seed, BigInt(2 * round + 2), stream)),
    };
  });
}

function foldOf(bitCount: number): number {
  return Math.max(1, (bitCount + 1) >> 1);
}

/** Inverse of an odd number modulo 2^64, by Newton's iteration. */
function inverseOdd(odd: bigint): bigint {
  let x = odd;
  for (let bits = 3; bits < 64; bits *= 2) x = u64(x * (2n - odd * x));
  return x;
}

function bitLength(value: number): number {
  return value === 0 ? 0 : BigInt(value).toString(2).length;
}
