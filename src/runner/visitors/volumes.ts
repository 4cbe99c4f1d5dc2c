/**
 * Resizes volumes and puts them back to snapshots.
 *
 * @packageDocumentation
 */
import type { Extent } from "../../selectors/geometry.ts";
import type { ResizeStep } from "../../selectors/size-schedule.ts";
import type { BlockDevice } from "../../sut/port.ts";
import { delay } from "../../sut/clock.ts";
import { asked } from "../asked.ts";
import { checkVolumes } from "../extent-checks.ts";
import type { Run } from "../run.ts";
import type { SnapshotShelf } from "./shelf.ts";
import { reachedExtents, recentExtents, sampleExtents } from "./validate.ts";

/** How long hosts may take to see a new size. */
const sizeSeenMs = 30_000;
const sizePollMs = 20;
/** Extents that are read after a volume has changed as a whole. */
const extentsCheckedMax = 64;

/** Makes volumes larger; what is new must read as zeros, and what was there must stay. */
export async function resize(run: Run, { blockCounts, step }: ResizeStep): Promise<void> {
  const { target, workload, recorder, ledger } = run;
  const { blockSizeBytes } = workload.geometry;
  recorder?.putDocument("intent", { kind: "resize", step });
  recorder?.commitDurably();
  const grown: Extent[] = [];
  for (const [volume, { uuid, device, second, secondUuid }] of target.volumes.entries()) {
    const blockCount = blockCounts[volume]!;
    const before = device.blockCount;
    if (before >= blockCount) continue;
    const sizeBytes = blockCount * blockSizeBytes;
    await asked(`resizing volume ${volume}`, target.service.resizeVolume({ uuid, sizeBytes }));
    await expectSize(run, volume, device, blockCount);
    if (secondUuid !== undefined && second !== undefined) {
      await asked(
        `resizing the second volume ${volume}`,
        target.service.resizeVolume({ uuid: secondUuid, sizeBytes }),
      );
      await expectSize(run, volume, second, blockCount);
    }
    const { extentBlocks } = workload.geometry;
    for (
      let block = Math.ceil(before / extentBlocks) * extentBlocks;
      block < blockCount;
      block += extentBlocks
    )
      grown.push(workload.geometry.extent(workload.geometry.pdOf(volume, block)));
  }
  recorder?.putDocument("intent", null);
  ledger.count("resizes");
  // The extents exist for the lts to come, and are untouched: every one of a few, of many those at both ends.
  const half = extentsCheckedMax / 2;
  const some = grown.length <= extentsCheckedMax ? grown : [...grown.slice(0, half), ...grown.slice(-half)];
  if (!run.config.checks.changed) return;
  await checkVolumes(run, some, { hasGrown: true });
  await checkVolumes(run, sampleExtents(run, run.tracker.ltsStartedMax, 8));
}

async function expectSize(run: Run, volume: number, device: BlockDevice, blockCount: number): Promise<void> {
  const deadline = run.clock.now() + sizeSeenMs;
  while (device.blockCount !== blockCount && run.clock.now() < deadline && !run.isOver)
    await delay(run.clock, sizePollMs, undefined);
  if (device.blockCount === blockCount || run.isOver) return;
  run.violation({
    rule: "size",
    class: "wrong-size",
    summary: `volume ${volume} was resized, and its namespace does not show the new size ${sizeSeenMs / 1000} s later`,
    volume,
    block: Math.min(device.blockCount, blockCount),
    blockCount: Math.max(1, Math.abs(blockCount - device.blockCount)),
    ltsMax: run.tracker.ltsStartedMax,
    expected: `${blockCount} blocks`,
    observed: `${device.blockCount} blocks`,
    operations: [],
  });
}

/** Puts all volumes back to a snapshot, at rest; everything since must be gone. */
export async function rollback(run: Run, shelf: SnapshotShelf, snapshot: number): Promise<void> {
  const { target, tracker, ledger, recorder } = run;
  const { window } = run.workload;
  if (!shelf.alive.includes(snapshot)) return;
  const since = shelf.of(snapshot, 0).record.ltsBefore;
  await run.activity.atRest(async () => {
    const afterLts = tracker.ltsStartedMax;
    recorder?.putDocument("intent", { kind: "rollback", snapshot, afterLts });
    recorder?.commitDurably();
    for (const [volume, { uuid: volumeUuid }] of target.volumes.entries()) {
      const { uuid: snapshotUuid, record } = shelf.of(snapshot, volume);
      await asked(
        `putting volume ${volume} back to snapshot ${snapshot}`,
        target.service.rollbackVolume({ volumeUuid, snapshotUuid }),
      );
      tracker.rolledBack({ volume, afterLts, record });
      run.durability.forget(volume);
    }
    recorder?.putDocument("intent", null);
    recorder?.commitDurably();
    ledger.count("rollbacks");
    run.visible.forget();
    for (const extent of reachedExtents(run, afterLts))
      if ((window.lastLts(extent.pd, afterLts) ?? -1) > since) ledger.unproven(extent);
  });
  if (!run.config.checks.changed) return;
  const undone = recentExtents(run, { ltsMin: Math.max(0, since + 1), count: extentsCheckedMax });
  await checkVolumes(run, [...undone, ...sampleExtents(run, tracker.ltsStartedMax, 8)]);
}
