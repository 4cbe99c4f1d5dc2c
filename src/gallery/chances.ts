/**
 * When a mutant strikes: seeded, bounded, and told each time.
 *
 * @packageDocumentation
 */
import type { Chance } from "./mutant.ts";

/** From `min` to `max`, both included. */
export function between(
  { choices }: Chance,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  return min + choices.below(max - min + 1);
}

/** Answers true once, at a call with a number drawn from `min` to `max`, counted from 1; tells that it has struck. */
export function nthOf(chance: Chance, bounds: { readonly min: number; readonly max: number }): () => boolean {
  const number = chance.isEager ? 1 : between(chance, bounds);
  let calls = 0;
  return () => {
    if (++calls !== number) return false;
    chance.struck();
    return true;
  };
}

/** How often a mutant strikes, and how far apart. */
interface Strikes {
  /** Counts a call; answers whether the fault may strike at it, and at those after it until it does. */
  readonly isDue: () => boolean;
  /** To be called when the fault takes effect. */
  readonly strike: () => void;
}

/**
 * Strikes at most `count` times, each so many calls after the one before.
 *
 * For a fault that can not take effect at every call: it waits until it can.
 */
export function strikesOf(
  chance: Chance,
  {
    count,
    apart,
  }: { readonly count: number; readonly apart: { readonly min: number; readonly max: number } },
): Strikes {
  let left = count;
  const next = (): number => (chance.isEager ? 1 : between(chance, apart));
  let calls = next();
  return {
    isDue: () => left > 0 && --calls <= 0,
    strike: () => {
      left--;
      calls = next();
      chance.struck();
    },
  };
}

/** One of some, each as likely as the others; `undefined` if there is none. */
export function oneOf<Item>({ choices }: Chance, items: readonly Item[]): Item | undefined {
  return items.length === 0 ? undefined : items[choices.below(items.length)];
}

/** Flips a bit somewhere in some bytes. */
export function flipBit({ choices }: Chance, bytes: Uint8Array): void {
  bytes[choices.below(bytes.length)]! ^= 1 << choices.below(8);
}

/**
 * Answers true at one call of `oneOf`, drawn anew each time, until it has `most` times; tells each time that it has
 * struck.
 *
 * @param bounds.after - So many calls are passed over first; none if left out.
 */
export function nowAndThen(
  chance: Chance,
  { oneOf, most, after = 0 }: { readonly oneOf: number; readonly most: number; readonly after?: number },
): () => boolean {
  let left = most;
  let calls = 0;
  return () => {
    const isDue = chance.isEager || (++calls > after && chance.choices.below(oneOf) === 0);
    if (left === 0 || !isDue) return false;
    left--;
    chance.struck();
    return true;
  };
}

/** Bytes that no run wrote. */
export function strangeBytes({ choices }: Chance, lengthBytes: number): Uint8Array {
  const words = Uint32Array.from({ length: lengthBytes / 4 }, () => choices.below(2 ** 32));
  return new Uint8Array(words.buffer);
}
