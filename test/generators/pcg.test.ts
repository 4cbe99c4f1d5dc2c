import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../../src/generators/kernel.ts";
import { mix, unmix } from "../../src/generators/mix.ts";
import {
  advance,
  distance,
  next,
  prev,
  rng,
  rngInverse,
  shuffle,
  unshuffle,
} from "../../src/generators/pcg.ts";

const word = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 1n, 2n ** 63n, 2n ** 63n - 1n, 2n ** 64n - 1n),
);
const stream = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n });

/** Values that the original implementation of the scheme gives for these calls. */
const vectors: readonly (readonly [string, () => bigint, bigint])[] = [
  ["shuffle(0)", () => shuffle(0n), 0n],
  ["shuffle(1)", () => shuffle(1n), 0xaef17502109b2cf7n],
  ["shuffle(2)", () => shuffle(2n), 0x5de2ea04211659efn],
  ["shuffle(2^64 - 1)", () => shuffle(2n ** 64n - 1n), 0xdef710d2701bdee2n],
  ["shuffle(0123456789abcdef)", () => shuffle(0x0123456789abcdefn), 0x5ba34217f8e973e8n],
  ["shuffle(2^63)", () => shuffle(2n ** 63n), 0xbbcb64000017796cn],
  ["shuffle(2^63 - 1)", () => shuffle(2n ** 63n - 1n), 0x0869380000010d27n],
  ["rng(seed 0, 1, 0)", () => rng(0n, 1n, 0n), 0xaef17502109b2cf7n],
  ["rng(seed 0, 2, 0)", () => rng(0n, 2n, 0n), 0xf922f43516dbbbddn],
  ["rng(seed 0, 3, 0)", () => rng(0n, 3n, 0n), 0xe861949fd25ef557n],
  ["rng(seed 0, 1000, 0)", () => rng(0n, 1000n, 0n), 0x565216215f4391f5n],
  ["rng(seed 0, -1, 0)", () => rng(0n, -1n, 0n), 0x2c614ba822ebcc7fn],
  ["rng(seed 1, 1, 1)", () => rng(1n, 1n, 1n), 0xf062e607aa65cc81n],
  ["rng(seed 1, 2, 1)", () => rng(1n, 2n, 1n), 0x1cecd55207ee3f2bn],
  ["rng(seed 1, 1000, 1)", () => rng(1n, 1000n, 1n), 0xde12a6e9a181690en],
  ["rng(seed 1, 1, 706b)", () => rng(1n, 1n, 0x706bn), 0xb94a5a195fd1e289n],
  ["rng(seed 1, 1000, 706b)", () => rng(1n, 1000n, 0x706bn), 0x3abeb4b0081d7dc8n],
  ["rng(seed 42, 0, 7)", () => rng(42n, 0n, 7n), 0x628ea758c80e9ba7n],
  ["rng(seed 42, 1, 1)", () => rng(42n, 1n, 1n), 0xad63098e8534d604n],
  ["rng(seed 42, -1, 706b)", () => rng(42n, -1n, 0x706bn), 0xf2ac583558204f50n],
  ["next(7, 5)", () => next(7n, 5n), 0x9f9c03a923d9a887n],
  ["prev(7, 5)", () => prev(7n, 5n), 0xb697cc99ab245555n],
  ["prev(0, 99)", () => prev(0n, 99n), 0x349078a35bd968ebn],
  ["prev(3, 99)", () => prev(3n, 99n), 0xe0cb3922a2875a82n],
];

describe("PCG RXS-M-XS", () => {
  test.for(vectors)("gives the known value of %s", ([, call, expected]) => {
    expect(call().toString(16)).toBe(expected.toString(16));
  });

  test("undoes its output permutation for every word", () => {
    fc.assert(fc.property(word, (x) => unshuffle(shuffle(x)) === x && shuffle(unshuffle(x)) === x));
  });

  test("counts the steps that it advanced, backwards too", () => {
    fc.assert(
      fc.property(word, word, stream, (state, n, s) => {
        expect(distance(state, advance(state, n, s), s)).toBe(n);
        expect(advance(advance(state, n, s), -n, s)).toBe(state);
      }),
      { numRuns: 300 },
    );
  });

  test("finds the position of every number of every stream", () => {
    fc.assert(
      fc.property(word, word, stream, (seed, i, s) => {
        expect(rngInverse(seed, rng(seed, i, s), s)).toBe(i);
        expect(rng(seed, rngInverse(seed, i, s), s)).toBe(i);
      }),
      { numRuns: 300 },
    );
  });

  test("steps to the next number and back", () => {
    fc.assert(
      fc.property(word, word, stream, (seed, i, s) => {
        const value = rng(seed, i, s);
        expect(next(value, s)).toBe(rng(seed, i + 1n, s));
        expect(prev(next(value, s), s)).toBe(value);
      }),
      { numRuns: 200 },
    );
  });

  test("is a permutation that mix and unmix share", () => {
    fc.assert(fc.property(word, (x) => unmix(mix(x)) === x && mix(unmix(x)) === x));
  });
});

describe("the kernels", () => {
  const kernel = new Kernel({ memoryBytes: 4 * 2 ** 20 });

  test.for(vectors.filter(([name]) => name.startsWith("rng")))("agree on %s", ([name, , expected]) => {
    const [, seed, i, s] = /seed (\d+), (-?\d+), ([0-9a-f]+)/.exec(name)!;
    const value = kernel.exports.rngAt(BigInt(seed!), BigInt(i!), BigInt(`0x${s}`));
    expect(BigInt.asUintN(64, value)).toBe(expected);
  });

  test("draw and undo the same numbers as the reference, one by one and in batches", () => {
    const positions = kernel.allocateUint64(64);
    const values = kernel.allocateUint64(64);
    const back = kernel.allocateUint64(64);
    fc.assert(
      fc.property(word, stream, fc.array(word, { minLength: 1, maxLength: 64 }), (seed, s, list) => {
        positions.values.set(list);
        kernel.exports.rngBatch(seed, s, positions.address, values.address, list.length);
        kernel.exports.rngInverseBatch(seed, s, values.address, back.address, list.length);
        for (const [index, i] of list.entries()) {
          const expected = rng(seed, i, s);
          expect(values.values[index]).toBe(expected);
          expect(back.values[index]).toBe(i);
          expect(BigInt.asUintN(64, kernel.exports.rngPositionOf(seed, expected, s))).toBe(i);
        }
      }),
      { numRuns: 200 },
    );
  });
});
