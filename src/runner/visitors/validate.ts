/**
 * Reads extents of the volumes and has them checked: those visited last, a sample, or all.
 *
 * @packageDocumentation
 */
import type { Extent } from "../../selectors/geometry.ts";
import { checkVisible, checkVolumes } from "../extent-checks.ts";
import type { Run } from "../run.ts";

/** The extents visited last, at most `count`. */
export async function validateRecent(run: Run, count: number): Promise<void> {
  await checkVolumes(run, recentExtents(run, { ltsMin: 0, count }));
}

/** Extents drawn from all that were reached; another draw at each lts. */
export async function validateSample(run: Run, count: number): Promise<void> {
  await checkVolumes(run, sampleExtents(run, run.tracker.ltsStartedMax, count));
}

/** Every extent that was reached. */
export async function validateAll(run: Run): Promise<void> {
  await checkVolumes(run, reachedExtents(run, run.tracker.ltsStartedMax));
}

/** Extents drawn from all that were reached, read while whatever goes on goes on. */
export async function lookAtVisible(run: Run, count: number): Promise<void> {
  for (const extent of sampleExtents(run, run.tracker.ltsStartedMax, count))
    await run.activity.during(() => checkVisible(run, extent));
}

/** Different extents drawn from those reached by an lts, at most `count`. */
export function sampleExtents({ workload }: Run, ltsMax: number, count: number): Iterable<Extent> {
  const drawn = new Map<number, Extent>();
  if (ltsMax < 0) return [];
  for (let number = 0; number < count; number++) {
    const extent = workload.sampleExtent(ltsMax, number);
    drawn.set(extent.pd, extent);
  }
  return drawn.values();
}

/** The newest `count` different extents visited from `ltsMin` on, the newest first. */
export function recentExtents(
  run: Run,
  { ltsMin, count }: { ltsMin: number; count: number },
): Iterable<Extent> {
  const { window, geometry } = run.workload;
  const pds = new Set<number>();
  const newest = run.tracker.ltsStartedMax;
  const most = Math.min(count, window.reachedCount(newest));
  for (let lts = newest; lts >= ltsMin && pds.size < most; lts--) pds.add(window.pd(lts));
  return [...pds].map((pd) => geometry.extent(pd));
}

/** All extents reached by an lts. */
export function* reachedExtents({ workload }: Run, ltsMax: number): Generator<Extent> {
  const count = workload.window.reachedCount(ltsMax);
  for (let index = 0; index < count; index++)
    yield workload.geometry.extent(workload.window.reachedPd(index));
}
