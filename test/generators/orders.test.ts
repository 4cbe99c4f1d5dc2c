import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clusteringKeys, type KeyBijection, partitionKeys } from "../../src/generators/keys.ts";
import { bitPermutation, permutation } from "../../src/generators/permutation.ts";
import { choiceStream, purposes, valueStream } from "../../src/generators/streams.ts";

describe("a permutation", () => {
  test("is one to one on every domain up to 2^10, exhaustively", () => {
    for (let e = 0; e <= 10; e++) {
      const { at, positionOf } = bitPermutation(e, { seed: 7n, stream: 3n });
      const seen = new Set<bigint>();
      for (let i = 0n; i < 1n << BigInt(e); i++) {
        expect(positionOf(at(i))).toBe(i);
        seen.add(at(i));
      }
      expect(seen.size).toBe(2 ** e);
    }
  });

  test("is one to one on [0, n) for every n up to 300, exhaustively", () => {
    for (let n = 1; n <= 300; n++) {
      const { at, positionOf } = permutation(n, { seed: 11n, stream: 5n });
      const seen = new Set<number>();
      for (let i = 0; i < n; i++) {
        const value = at(i);
        expect(value >= 0 && value < n && positionOf(value) === i).toBe(true);
        seen.add(value);
      }
      expect(seen.size).toBe(n);
    }
  });

  test("is the same in 32-bit arithmetic as in that of 64 bits", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 31 }),
        fc.nat({ max: 2 ** 31 - 1 }),
        fc.bigInt(0n, 2n ** 64n - 1n),
        (e, x, seed) => {
          const narrow = permutation(2 ** e, { seed, stream: 4n });
          const wide = bitPermutation(e, { seed, stream: 4n });
          const position = x % 2 ** e;
          expect(narrow.at(position)).toBe(Number(wide.at(BigInt(position))));
          expect(narrow.positionOf(position)).toBe(Number(wide.positionOf(BigInt(position))));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("has an inverse on large domains", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        fc.nat(),
        fc.bigInt(0n, 2n ** 64n - 1n),
        (n, i, seed) => {
          const p = permutation(n, { seed, stream: 1n });
          expect(p.positionOf(p.at(i % n))).toBe(i % n);
        },
      ),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.bigInt(0n, 2n ** 64n - 1n), (e, x) => {
        const p = bitPermutation(e, { seed: 3n, stream: 9n });
        const value = BigInt.asUintN(e, x);
        expect(p.positionOf(p.at(value))).toBe(value);
      }),
    );
  });

  test("is another one for another seed or stream, and leaves few numbers in place", () => {
    const order = (seed: bigint, stream: bigint) => {
      const p = permutation(1000, { seed, stream });
      return Array.from({ length: 1000 }, (_, i) => p.at(i));
    };
    expect(order(1n, 1n)).not.toEqual(order(2n, 1n));
    expect(order(1n, 1n)).not.toEqual(order(1n, 2n));
    expect(order(1n, 1n).filter((value, i) => value === i).length).toBeLessThan(10);
  });

  test("refuses numbers outside its domain", () => {
    const p = permutation(10, { seed: 1n, stream: 1n });
    expect(() => p.at(10)).toThrow("10 is outside the permutation of [0, 10)");
    expect(() => permutation(0, { seed: 1n, stream: 1n })).toThrow(/size from 1/);
  });
});

describe("a key", () => {
  const sizesArb = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
  const direction = fc.constantFrom("ascending" as const, "descending" as const);
  const keysArb: fc.Arbitrary<KeyBijection> = fc.oneof(
    fc.tuple(sizesArb, direction).map(([sizes, d]) => partitionKeys(sizes, d)),
    fc.tuple(fc.integer({ min: 1, max: 700 }), direction).map(([blocks, d]) => clusteringKeys(blocks, d)),
  );

  test("inflates and deflates without loss", () => {
    fc.assert(
      fc.property(keysArb, fc.nat(), (keys, x) => {
        const descriptor = x % keys.count;
        expect(keys.deflate(keys.inflate(descriptor))).toBe(descriptor);
      }),
    );
  });

  test("compares as its descriptors do, ascending and descending", () => {
    fc.assert(
      fc.property(keysArb, fc.nat(), fc.nat(), (keys, x, y) => {
        const [a, b] = [x % keys.count, y % keys.count];
        expect(keys.compare(keys.inflate(a), keys.inflate(b)) + 0).toBe(Math.sign(a - b) + 0);
      }),
    );
  });

  test("of a block names its chunk of 64 and the bit within", () => {
    expect(clusteringKeys(256).inflate(130)).toEqual([2, 2]);
    expect(clusteringKeys(256, "descending").inflate(0)).toEqual([3, 63]);
    expect(clusteringKeys(70).count).toBe(70);
  });

  test("refuses what is no key", () => {
    expect(() => clusteringKeys(70).deflate([1, 6])).toThrow("[1, 6] is no key");
    expect(() => partitionKeys([4]).inflate(4)).toThrow("descriptor 4 has no key");
  });
});

describe("a stream", () => {
  test("differs wherever purpose or address differs", () => {
    const part = fc.record({
      volume: fc.constantFrom(0, 1, 2, 4095),
      block: fc.constantFrom(0, 1, 2, 2 ** 32, 2 ** 44 - 1),
    });
    fc.assert(
      fc.property(part, part, (a, b) => {
        expect(valueStream(a.volume, a.block) === valueStream(b.volume, b.block)).toBe(
          a.volume === b.volume && a.block === b.block,
        );
      }),
    );
    const all = Object.values(purposes).map((purpose) => choiceStream(purpose));
    expect(new Set(all).size).toBe(all.length);
    expect(all.every((stream) => stream < 2n ** 63n)).toBe(true);
  });

  test("refuses an address that would run into another", () => {
    expect(() => valueStream(4096, 0)).toThrow("volume 4096 has no stream");
    expect(() => valueStream(0, 2 ** 44)).toThrow("block 17592186044416 has no stream");
  });
});
