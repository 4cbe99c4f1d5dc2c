/**
 * What is known of a run, for a scan of what it left.
 *
 * @packageDocumentation
 */
import { Tracker } from "../../model/tracker.ts";
import type { Config } from "../../runner/config/schema.ts";
import type { RunMemory } from "../../runner/run-store.ts";
import type { HistoryPlan } from "../../selectors/history-builder.ts";
import type { History } from "../../selectors/history.ts";
import { effectOf, positionOf } from "../../selectors/operations.ts";

/** The tracker of a run at rest: whatever it may have had under way is in doubt. */
export function trackerOf(memory: RunMemory, history: History): Tracker {
  const tracker = Tracker.resumed(memory);
  tracker.interrupt(changesBetween(history, memory.ltsComplete, memory.ltsReserved));
  return tracker;
}

/** lts that are in flight together at most. */
export function depthOf({ runner }: Config, plan: HistoryPlan | undefined): number {
  if (plan !== undefined) return plan.depth ?? 1;
  const loads = runner.stages ?? [{ kind: runner.kind, depth: runner.depth }];
  return Math.max(...loads.map(({ kind, depth }) => (kind === "sequential" ? 1 : depth)));
}

function* changesBetween(history: History, ltsComplete: number, ltsReserved: number): Generator<number> {
  for (let lts = ltsComplete + 1; lts <= ltsReserved; lts++)
    for (const { kind, operationId } of history.visit(lts).operations)
      if (effectOf(kind) !== "none") yield positionOf(lts, operationId);
}
