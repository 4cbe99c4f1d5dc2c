/**
 * Choices outside the descriptor path: jitter of delays, shuffles, random configurations.
 *
 * PCG XSH-RR, a generator that moves only forwards, so that nothing of a history can come to depend on it.
 *
 * @packageDocumentation
 */
import PcgRandom from "pcg-random";

export class Choices {
  readonly #generator: PcgRandom;

  /** @param stream - Tells purposes of one seed apart; 63 bits count. */
  constructor(seed: bigint, stream: bigint) {
    this.#generator = new PcgRandom(seed, stream);
  }

  /** From 0 up to, and without, 1. */
  fraction(): number {
    return this.#generator.number();
  }

  /**
   * A number of [0, bound), without bias.
   *
   * @param bound - 1 to 2^32.
   * @throws {RangeError} If there is nothing to choose from.
   */
  below(bound: number): number {
    if (!(bound >= 1 && bound <= 2 ** 32))
      throw new RangeError(`a choice below ${bound}: expected 1 to 2^32`);
    // The package's own bounded draw ignores its bound (2.0.1), so draws of the incomplete last round are refused here.
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const drawn = this.#generator.next32();
      if (drawn < limit) return drawn % bound;
    }
  }

  /** A new array in random order. */
  shuffled<Item>(items: readonly Item[]): Item[] {
    const result = [...items];
    for (let last = result.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      [result[last], result[other]] = [result[other]!, result[last]!];
    }
    return result;
  }
}
