/**
 * All orders of a few operations, found by trying every one: the check of the search that the oracles share.
 *
 * @packageDocumentation
 */
import { precedes, type Timed } from "./history.ts";

/** Every order of the steps that respects real time, with any of the optional ones left out. */
export function arrangements<Step extends Timed>(
  steps: readonly Step[],
  isOptional: (step: Step) => boolean = () => false,
): Step[][] {
  return subsets(steps, isOptional)
    .flatMap(permutations)
    .filter((order) =>
      order.every((step, index) => order.slice(index + 1).every((later) => !precedes(later, step))),
    );
}

/** Every choice of the items that has all which are not optional. */
export function subsets<Item>(items: readonly Item[], isOptional: (item: Item) => boolean): Item[][] {
  const [first, ...rest] = items;
  if (first === undefined) return [[]];
  const without = subsets(rest, isOptional);
  const withIt = without.map((chosen) => [first, ...chosen]);
  return isOptional(first) ? [...withIt, ...without] : withIt;
}

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) =>
    permutations(items.toSpliced(index, 1)).map((others) => [item, ...others]),
  );
}
