/**
 * Makes a history that fails small, as long as it fails by the same name.
 *
 * @packageDocumentation
 */
import type { Violation } from "../model/violation.ts";
import { failingOf, smallest } from "../reproduce/shrink/search.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";

interface Failing {
  readonly plan: HistoryPlan;
  readonly violation: Violation;
}

/**
 * The smallest history that was found; the one given, if there is none smaller.
 *
 * @param options.deadline - On the clock of `performance.now()`.
 * @param options.try - Runs a history; gives what is wrong with it.
 */
export async function shrunk<Found extends Failing>(
  found: Found,
  options: {
    readonly deadline: number;
    readonly try: (plan: HistoryPlan) => Promise<Violation | undefined>;
  },
): Promise<Failing> {
  const failing = failingOf(found.plan, found.violation);
  // One that can not be written, as it is longer than a text may be, is told as it is.
  if (failing === undefined) return found;
  const best = await smallest(failing, {
    isOver: () => performance.now() > options.deadline,
    isSpaceKept: true,
    fails: ({ plan }) =>
      options.try(plan).then(
        (violation) => (violation?.class === found.violation.class ? violation : undefined),
        // One that the target fails at takes nothing away from what was found.
        () => undefined,
      ),
  });
  return best === failing ? found : best;
}
