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
  const number = between(chance, bounds);
  let calls = 0;
  return () => {
    if (++calls !== number) return false;
    chance.struck();
    return true;
  };
}
