/**
 * Makes a history that fails small: lines of its text are taken out as long as it fails by the same name.
 *
 * @packageDocumentation
 */
import type { Violation } from "../model/violation.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { historyText, parseHistory } from "../selectors/history-text.ts";

interface Failing {
  readonly plan: HistoryPlan;
  readonly violation: Violation;
}

/**
 * Delta debugging over lines: halves, then quarters, down to single lines (Zeller and Hildebrandt, 2002).
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
  let best: Failing = found;
  let lines = historyText(found.plan).trimEnd().split("\n");
  for (let size = Math.ceil(lines.length / 2), lineCount = 0; size >= 1; ) {
    lineCount = lines.length;
    for (let first = 0; first < lines.length; ) {
      if (performance.now() > options.deadline) return best;
      const fewer = [...lines.slice(0, first), ...lines.slice(first + size)];
      const smaller = await failingAs(best.violation, fewer, options.try);
      if (smaller === undefined) first += size;
      else {
        best = smaller;
        lines = fewer;
      }
    }
    // Of single lines until none can go: a snapshot goes once its diffs are gone.
    size = size > 1 ? Math.ceil(size / 2) : lines.length < lineCount ? 1 : 0;
  }
  return best;
}

/** The history of some lines, if it is one, can be performed, and fails by the same name. */
async function failingAs(
  { class: name }: Violation,
  lines: readonly string[],
  attempt: (plan: HistoryPlan) => Promise<Violation | undefined>,
): Promise<Failing | undefined> {
  try {
    const plan = parseHistory(lines.join("\n"), "shrinking");
    const violation = await attempt(plan);
    return violation?.class === name ? { plan, violation } : undefined;
  } catch {
    // Lines that are no history, or one that the target fails at: neither takes away from what was found.
    return undefined;
  }
}
