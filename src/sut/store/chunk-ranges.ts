/**
 * A set of chunk numbers kept as sorted ranges that neither touch nor overlap.
 *
 * @packageDocumentation
 */

export class ChunkRanges {
  /** Range i holds the chunks `#firsts[i]` to `#pasts[i] - 1`. */
  readonly #firsts: number[] = [];
  readonly #pasts: number[] = [];

  get isEmpty(): boolean {
    return this.#firsts.length === 0;
  }

  has(chunk: number): boolean {
    return this.next(chunk) === chunk;
  }

  /** The first chunk of the set that is not below `chunk`. */
  next(chunk: number): number | undefined {
    const index = this.#indexOf(chunk);
    const first = this.#firsts[index];
    return first === undefined ? undefined : Math.max(first, chunk);
  }

  /** Adds the chunks `first` to `past - 1`. */
  add(first: number, past: number): void {
    // Ranges that touch the new one melt into it.
    const from = this.#indexOf(first - 1);
    let to = from;
    let mergedFirst = first;
    let mergedPast = past;
    while (to < this.#firsts.length && this.#firsts[to]! <= past) {
      mergedFirst = Math.min(mergedFirst, this.#firsts[to]!);
      mergedPast = Math.max(mergedPast, this.#pasts[to]!);
      to++;
    }
    this.#firsts.splice(from, to - from, mergedFirst);
    this.#pasts.splice(from, to - from, mergedPast);
  }

  addAll(others: ChunkRanges): void {
    for (const [first, past] of others.ranges()) this.add(first, past);
  }

  /** Pairs of first chunk and first chunk past the range, ascending. */
  ranges(): readonly (readonly [first: number, past: number])[] {
    return this.#firsts.map((first, index) => [first, this.#pasts[index]!]);
  }

  /** Index of the first range that ends after `chunk`. */
  #indexOf(chunk: number): number {
    let low = 0;
    let high = this.#pasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#pasts[middle]! > chunk) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
