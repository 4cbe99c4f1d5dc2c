/**
 * What is known of a run, for a scan of what it left.
 *
 * @packageDocumentation
 */
import { Tracker } from "../../model/tracker.ts";
import type { RunMemory } from "../../runner/run-store.ts";
import { type History, openChanges } from "../../selectors/history.ts";

/** The tracker of a run at rest: whatever it may have had under way is in doubt. */
export function trackerOf(memory: RunMemory, history: History): Tracker {
  const tracker = Tracker.resumed(memory);
  tracker.interrupt(openChanges(history, memory));
  return tracker;
}
