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

/**
 * A permutation of [0, size), drawn from a stream.
 *
 * @param size - 1 to 2^53 − 1.
 */
export function permutation(size: number, { seed, stream }: { seed: bigint; stream: bigint }): Permutation {
  if (!(Number.isSafeInteger(size) && size >= 1))
    throw new RangeError(`a permutation needs a size from 1 to 2^53 - 1, got ${size}`);
  const cipher = bitPermutation(bitLength(size - 1), { seed, stream });
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
  const fold = BigInt(Math.max(1, (bitCount + 1) >> 1));
  const rounds = Array.from({ length: roundCount }, (_, round) => {
    const factor = rng(seed, BigInt(2 * round + 1), stream) | 1n;
    return {
      factor: wrap(factor),
      inverse: wrap(inverseOdd(factor)),
      addend: wrap(rng(seed, BigInt(2 * round + 2), stream)),
    };
  });
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

/** Inverse of an odd number modulo 2^64, by Newton's iteration. */
function inverseOdd(odd: bigint): bigint {
  let x = odd;
  for (let bits = 3; bits < 64; bits *= 2) x = u64(x * (2n - odd * x));
  return x;
}

function bitLength(value: number): number {
  return value === 0 ? 0 : BigInt(value).toString(2).length;
}
