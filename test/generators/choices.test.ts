import fc from "fast-check";
import PcgRandom from "pcg-random";
import { describe, expect, test } from "vitest";
import { Choices } from "../../src/generators/choices.ts";
import { advance } from "../../src/generators/pcg.ts";

describe("choices", () => {
  test("are PCG XSH-RR: the numbers of the demo program of the PCG distribution, seed 42, stream 54", () => {
    const generator = new PcgRandom(42n, 54n);
    const drawn = Array.from({ length: 6 }, () => generator.next32().toString(16));
    expect(drawn).toEqual(["a15c02b7", "7b47f409", "ba1d3330", "83d2f293", "bfa4784b", "cbed606e"]);
  });

  test("step as the generator of descriptors does: the package is an oracle of advance", () => {
    fc.assert(
      fc.property(
        fc.bigInt(0n, 2n ** 64n - 1n),
        fc.bigInt(0n, 2n ** 63n - 1n),
        fc.integer({ min: 0, max: 50 }),
        (seed, stream, n) => {
          const generator = new PcgRandom(seed, stream);
          const state = (): bigint => {
            const [low, high] = generator.getState();
            return (BigInt(high) << 32n) | BigInt(low);
          };
          const before = state();
          for (let step = 0; step < n; step++) generator.next32();
          expect(state()).toBe(advance(before, BigInt(n), stream));
        },
      ),
    );
  });

  test("are even, within their bound, and the same for the same seed", () => {
    const counts = new Array<number>(7).fill(0);
    const choices = new Choices(1n, 2n);
    for (let draw = 0; draw < 7000; draw++) counts[choices.below(7)]!++;
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
    expect(new Choices(5n, 1n).shuffled([1, 2, 3, 4, 5, 6])).toEqual(
      new Choices(5n, 1n).shuffled([1, 2, 3, 4, 5, 6]),
    );
    expect(new Choices(5n, 1n).shuffled([1, 2, 3]).sort()).toEqual([1, 2, 3]);
    expect(new Choices(5n, 1n).fraction()).toBeGreaterThanOrEqual(0);
    expect(new Choices(5n, 1n).fraction()).toBeLessThan(1);
  });
});

test("nothing to choose from is an error, and not a draw without end", () => {
  const choices = new Choices(1n, 1n);
  for (const bound of [0, -1, Number.NaN, 2 ** 32 + 1])
    expect(() => choices.below(bound)).toThrow(`a choice below ${bound}: expected 1 to 2^32`);
  expect(choices.below(1)).toBe(0);
});
