/**
 * Reads extents of the volumes and has them checked: those visited last, a sample, or all.
 *
 * @packageDocumentation
 */
import type { Extent } from "../../selectors/geometry.ts";
import type { Run } from "../run.ts";

/** The extents visited last, at most `count`. */
export async function validateRecent(run: Run, count: number): Promise<void> {
  await validate(run, recentExtents(run, { ltsMin: 0, count }));
}

/** Extents drawn from all that were reached; another draw at each lts. */
export async function validateSample(run: Run, count: number): Promise<void> {
  const ltsMax = run.tracker.ltsCompleteMax;
  const drawn = new Map<number, Extent>();
  for (let number = 0; number < count; number++) {
    const extent = run.workload.sampleExtent(ltsMax, number);
    drawn.set(extent.pd, extent);
  }
  await validate(run, drawn.values());
}

/** Every extent that was reached. */
export async function validateAll(run: Run): Promise<void> {
  await validate(run, reachedExtents(run, run.tracker.ltsCompleteMax));
}

/** The newest `count` different extents visited from `ltsMin` on, the newest first. */
export function recentExtents(
  run: Run,
  { ltsMin, count }: { ltsMin: number; count: number },
): Iterable<Extent> {
  const { window, geometry } = run.workload;
  const pds = new Set<number>();
  const most = Math.min(count, window.reachedCount(run.tracker.ltsCompleteMax));
  for (let lts = run.tracker.ltsCompleteMax; lts >= ltsMin && pds.size < most; lts--) pds.add(window.pd(lts));
  return [...pds].map((pd) => geometry.extent(pd));
}

/** All extents reached by an lts. */
export function* reachedExtents({ workload }: Run, ltsMax: number): Generator<Extent> {
  const count = workload.window.reachedCount(ltsMax);
  for (let index = 0; index < count; index++)
    yield workload.geometry.extent(workload.window.reachedPd(index));
}

async function validate(run: Run, extents: Iterable<Extent>): Promise<void> {
  await run.checkExtents(extents, {
    deviceOf: ({ volume }) => run.target.volumes[volume]!.device,
    ltsMax: run.tracker.ltsCompleteMax,
  });
}
