/**
 * Looks at an extent before its first visit: the model starts from zeros, so it must hold zeros.
 *
 * Of a volume that was given, this is also the last guard of what others keep on it; of one that the run created, it
 * finds another tenant's old data.
 *
 * @packageDocumentation
 */
import { findContentIn, OccupiedVolumeError } from "../guard.ts";
import type { Run } from "../run.ts";

/** @throws {OccupiedVolumeError} If the volume was given, may not be overwritten, and holds something here. */
export async function inspectFirstVisit(run: Run, lts: number): Promise<void> {
  const { window, geometry } = run.workload;
  const pd = window.pd(lts);
  if (window.firstLts(pd) !== lts) return;
  const extent = geometry.extent(pd);
  const { device, isCreated } = run.target.volumes[extent.volume]!;
  if (!isCreated && !run.config.overwrite) {
    const found = await findContentIn(device, { block: extent.firstBlock, blockCount: extent.blockCount });
    if (found !== undefined) throw new OccupiedVolumeError(device, found);
  }
  await run.checkExtents([extent], { deviceOf: () => device, ltsMax: lts - 1 });
}
