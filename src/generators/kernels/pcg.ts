/**
 * PCG RXS-M-XS 64/64, forwards and backwards by jump tables.
 *
 * After n steps an LCG with multiplier A and increment c is at A^n·s + c·S(n), with S(n) = 1 + A + … + A^(n−1).
 * Neither A^n nor S(n) depends on the stream, so both come out of one table per byte of n. Backwards,
 * S(n) = (state − s) / ((A − 1)·s + c), an odd divisor, and S is undone a byte at a time: the low byte of
 * S(b·256^j) / 256^j is a permutation of b. Eight look-ups replace 64 rounds of bit-wise distance.
 */

export const MULTIPLIER: u64 = 6364136223846793005;
const OUTPUT_MULTIPLIER: u64 = 12605985483714917081;
const OUTPUT_MULTIPLIER_INVERSE: u64 = 15009553638781119849;

/** [byte position 0…7][byte value 0…255] → A^(value·256^position), then S of the same, 16 bytes an entry. */
const forwardTable: usize = memory.data(8 * 256 * 16, 16);
/** [byte position][byte value] → S(value·256^position), then A^−(value·256^position), 16 bytes an entry. */
const backwardTable: usize = memory.data(8 * 256 * 16, 16);
/** [byte position][byte of S] → byte value. */
const digitTable: usize = memory.data(8 * 256);

/** A^n and S(n) of the last {@link jump}: two results without an allocation. */
export let power: u64 = 1;
export let sum: u64 = 0;

export function initialiseTables(): void {
  let stepPower: u64 = MULTIPLIER;
  let stepSum: u64 = 1;
  for (let position = 0; position < 8; position++) {
    let a: u64 = 1;
    let s: u64 = 0;
    const aInverse = inverseOdd(stepPower);
    let b: u64 = 1;
    for (let value = 0; value < 256; value++) {
      const entry = ((position << 8) | value) << 4;
      store<u64>(forwardTable + entry, a);
      store<u64>(forwardTable + entry, s, 8);
      store<u64>(backwardTable + entry, s);
      store<u64>(backwardTable + entry, b, 8);
      const digit = <usize>((s >> (<u64>position << 3)) & 255);
      store<u8>(digitTable + (<usize>position << 8) + digit, <u8>value);
      s = s * stepPower + stepSum;
      a *= stepPower;
      b *= aInverse;
    }
    stepPower = a;
    stepSum = s;
  }
}

/** Inverse of an odd number modulo 2^64, by Newton's iteration from 5 right bits. */
@inline
export function inverseOdd(d: u64): u64 {
  let x = (d * 3) ^ 2;
  x *= 2 - d * x;
  x *= 2 - d * x;
  x *= 2 - d * x;
  x *= 2 - d * x;
  return x;
}

/** Sets {@link power} and {@link sum} for n steps. */
export function jump(n: u64): void {
  let a: u64 = 1;
  let s: u64 = 0;
  let table = forwardTable;
  while (n != 0) {
    const entry = table + (<usize>(n & 255) << 4);
    const stepPower = load<u64>(entry);
    s = s * stepPower + load<u64>(entry, 8);
    a *= stepPower;
    n >>= 8;
    table += 256 << 4;
  }
  power = a;
  sum = s;
}

/** The n with S(n) = x. */
export function unsum(x: u64): u64 {
  let n: u64 = 0;
  for (let position: usize = 0; position < 8; position++) {
    const shift = <u64>position << 3;
    const value = load<u8>(digitTable + (position << 8) + <usize>((x >> shift) & 255));
    const entry = backwardTable + (((position << 8) | <usize>value) << 4);
    n |= <u64>value << shift;
    x = (x - load<u64>(entry)) * load<u64>(entry, 8);
  }
  return n;
}

@inline
export function shuffle(state: u64): u64 {
  const word = (state ^ (state >> ((state >> 59) + 5))) * OUTPUT_MULTIPLIER;
  return word ^ (word >> 43);
}

@inline
export function unshuffle(word: u64): u64 {
  let x = word ^ (word >> 43);
  x *= OUTPUT_MULTIPLIER_INVERSE;
  let shift = (x >> 59) + 5;
  while (shift < 64) {
    x ^= x >> shift;
    shift <<= 1;
  }
  return x;
}

@inline
export function increment(stream: u64): u64 {
  return (stream << 1) | 1;
}

/** The i-th number of a stream. */
@inline
export function rng(seed: u64, i: u64, stream: u64): u64 {
  jump(i);
  return shuffle(power * seed + increment(stream) * sum);
}

/** The i with rng(seed, i, stream) = value; every value has one. */
@inline
export function rngInverse(seed: u64, value: u64, stream: u64): u64 {
  const divisor = (MULTIPLIER - 1) * seed + increment(stream);
  return unsum((unshuffle(value) - seed) * inverseOdd(divisor));
}
