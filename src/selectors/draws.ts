/**
 * What is drawn: numbers of a range, and whether something happens.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import type { Purpose } from "../generators/streams.ts";

/** Whole numbers from min to max, both included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** A chance: `numerator` of `denominator` times, from 0 to always. */
export interface Ratio {
  readonly numerator: number;
  readonly denominator: number;
}

/** Where a number is drawn: one stream per purpose and index, and a position in it, from 1. */
export interface DrawPlace {
  readonly position: number;
  readonly purpose: Purpose;
  /** 0 if left out. */
  readonly index?: number;
}

export function drawRange(
  run: RunKernel,
  { position, purpose, index = 0 }: DrawPlace,
  { min, max }: Range,
): number {
  return min + run.draw(position, purpose, index, max - min + 1);
}

/** Whether something of this chance happens; without a chance it never does. */
export function drawChance(
  run: RunKernel,
  { position, purpose, index = 0 }: DrawPlace,
  chance: Ratio | undefined,
): boolean {
  if (chance === undefined || chance.numerator === 0) return false;
  return run.draw(position, purpose, index, chance.denominator) < chance.numerator;
}
