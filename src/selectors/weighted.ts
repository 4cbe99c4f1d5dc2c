/**
 * Choice among weighted alternatives.
 *
 * @packageDocumentation
 */

export interface WeightedChoice<Name extends string> {
  /** Sum of the weights: draw from [0, total). */
  readonly total: number;
  pick(drawn: number): Name;
}

/**
 * Alternatives in proportion to whole, non-negative weights. Those of weight 0, or of none, are never picked.
 *
 * @throws {RangeError} If no weight is above 0.
 */
export function weightedChoice<Name extends string>(
  names: readonly Name[],
  weights: Readonly<Partial<Record<Name, number>>>,
): WeightedChoice<Name> {
  const weightOf = (name: Name): number => weights[name] ?? 0;
  const kept = names.filter((name) => weightOf(name) > 0);
  if (kept.length === 0) throw new RangeError(`at least one of ${names.join(", ")} needs a weight above 0`);
  const ends: number[] = [];
  let total = 0;
  for (const name of kept) ends.push((total += weightOf(name)));
  return {
    total,
    pick: (drawn) => kept[ends.findIndex((end) => drawn < end)]!,
  };
}
