/**
 * A volume as a look at rest saw it then, though the run has gone on since.
 *
 * @packageDocumentation
 */
import type { RollbackRecord } from "../../model/lineage.ts";
import type { Tracker } from "../../model/tracker.ts";
import { snapshotView, type View } from "../../model/view.ts";

/**
 * Views of a volume as of an lts, the likeliest first: whoever looks right after a rollback does so as of the lts
 * before it, so that there are two views of that one.
 */
export function viewsAsOf(tracker: Tracker, volume: number, ltsMax: number): readonly View[] {
  const rollbacks = tracker.rollbacksOf(volume);
  const through = rollbacks.filter(({ afterLts }) => afterLts <= ltsMax);
  const before = rollbacks.filter(({ afterLts }) => afterLts < ltsMax);
  return (through.length === before.length ? [through] : [through, before]).map((some) =>
    viewAfter(tracker, volume, { rollbacks: some, ltsMax }),
  );
}

function viewAfter(
  tracker: Tracker,
  volume: number,
  { rollbacks, ltsMax }: { readonly rollbacks: readonly RollbackRecord[]; readonly ltsMax: number },
): View {
  const last = rollbacks.at(-1);
  const ltsMin = last?.afterLts ?? -1;
  const own = { ltsMin, ltsMax, record: undefined, branch: rollbacks.length };
  const past = last === undefined ? [] : snapshotView(tracker, last.record).segments;
  return { volume, segments: [own, ...past], observation: undefined };
}
