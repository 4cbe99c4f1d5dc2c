/**
 * Looks at an extent before its first visit: the model starts from zeros, so it must hold zeros.
 *
 * Of a volume that was given, this is also the last guard of what others keep on it; of one that the run created, it
 * finds another tenant's old data.
 *
 * @packageDocumentation
 */
import type { Extent } from "../../selectors/geometry.ts";
import type { Turn } from "../block-order.ts";
import { checkHeld } from "../extent-checks.ts";
import { findContentIn, OccupiedVolumeError } from "../guard.ts";
import type { Run } from "../run.ts";

/** Takes the first place in the order of the extent of an lts, if it is visited for the first time. */
export function enterFirstVisit(run: Run, lts: number): Turn | undefined {
  const { window, geometry } = run.workload;
  const pd = window.pd(lts);
  if (window.firstLts(pd) !== lts) return undefined;
  const { blockCount } = geometry.extent(pd);
  return run.order.enter({ pd, firstBlock: 0, blockCount, kind: "look", position: 0 });
}

/**
 * @returns Whether the extent holds what it should.
 * @throws {OccupiedVolumeError} If the volume was given, may not be overwritten, and holds something here.
 */
export async function inspectFirstVisit(run: Run, { extent, lts, turn }: FirstVisit): Promise<boolean> {
  try {
    await run.order.ready(turn);
    if (!run.workload.sizes.hasExtent(extent, lts)) return true;
    const { device, isCreated } = run.target.volumes[extent.volume]!;
    if (!isCreated && !run.config.overwrite) {
      const { identity, capabilities } = device;
      const found = await findContentIn(
        {
          identity,
          capabilities,
          read: (request) => run.liveness.read(device, extent.volume, request),
        },
        { block: extent.firstBlock, blockCount: extent.blockCount },
      );
      if (found !== undefined) throw new OccupiedVolumeError(device, found);
    }
    return await checkHeld(run, extent, lts - 1, "quiescent");
  } finally {
    run.order.leave(turn);
  }
}

export interface FirstVisit {
  readonly extent: Extent;
  readonly lts: number;
  readonly turn: Turn;
}
