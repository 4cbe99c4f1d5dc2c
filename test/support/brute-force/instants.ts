/**
 * The instants at which snapshot calls may have taken effect.
 *
 * Only the place of an instant among the events matters, so a handful of numbers stand for all of time.
 *
 * @packageDocumentation
 */
import type { Timed } from "./history.ts";
import type { Step } from "./orders.ts";

/**
 * Every way to give each call an instant of its own inside its interval, told apart by the events between.
 * No two calls of one way share an instant, so their order is the same on all blocks.
 */
export function instantsOf(calls: readonly Timed[], operations: readonly Timed[]): number[][] {
  const events = [...calls, ...operations]
    .flatMap(({ submitted, completed }) => [submitted, completed])
    .filter(Number.isFinite)
    .sort((one, other) => one - other);
  let ways: number[][] = [[]];
  for (const { submitted, completed } of calls) {
    const instants = events.flatMap((event, index) => {
      if (event < submitted || event >= completed) return [];
      const gap = (events[index + 1] ?? event + 1) - event;
      return calls.map((_, rank) => event + (gap * (rank + 1)) / (calls.length + 1));
    });
    ways = ways.flatMap((way) =>
      instants.filter((instant) => !way.includes(instant)).map((instant) => [...way, instant]),
    );
  }
  return ways;
}

/**
 * Remembers what a question about a block's steps and some instants was answered, for as long as the instants
 * lie alike among each other and among the events of that block.
 */
export function rememberByPlace<Answer>(
  steps: readonly Step[],
  ask: (instants: readonly number[]) => Answer,
): (instants: readonly number[]) => Answer {
  const answers = new Map<string, Answer>();
  const events = steps.flatMap(({ submitted, completed }) => [submitted, completed]);
  return (instants) => {
    const place = instants.map((instant) => {
      const before = (other: number): boolean => other < instant;
      return `${events.filter(before).length}.${instants.filter(before).length}`;
    });
    const key = place.join();
    if (!answers.has(key)) answers.set(key, ask(instants));
    return answers.get(key)!;
  };
}
