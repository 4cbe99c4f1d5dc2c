/**
 * Takes snapshots, under load or at rest, checks their content and deletes them.
 *
 * @packageDocumentation
 */
import { SnapshotCall } from "../../model/snapshot-call.ts";
import { operationAt } from "../../selectors/operations.ts";
import type { Extent } from "../../selectors/geometry.ts";
import type { Snapshot } from "../../sut/port.ts";
import { asked } from "../asked.ts";
import { checkSnapshot } from "../extent-checks.ts";
import type { Run } from "../run.ts";
import type { SnapshotShelf, Taken } from "./shelf.ts";
import { reachedExtents, recentExtents, sampleExtents } from "./validate.ts";

export class SnapshotVisitor {
  readonly #run: Run;
  readonly #shelf: SnapshotShelf;

  constructor(run: Run, shelf: SnapshotShelf) {
    this.#run = run;
    this.#shelf = shelf;
  }

  async take(
    snapshot: number,
    { lts, isHot }: { readonly lts: number; readonly isHot: boolean },
  ): Promise<void> {
    const { activity, ledger } = this.#run;
    const isUnderLoad = isHot && activity.visitCount > 0;
    const taken = isHot
      ? await this.#create(snapshot, lts)
      : await activity.atRest(() => this.#create(snapshot, lts));
    if (isUnderLoad) ledger.count("snapshotsHot");
    this.#shelf.add(snapshot, taken);
    const extents = new Map<number, Extent>();
    const newest = taken[0]!.record.ltsMax;
    const ltsMin = this.#shelf.has(snapshot - 1) ? this.#shelf.of(snapshot - 1, 0).record.ltsBefore + 1 : 0;
    const some = () => recentExtents(this.#run, { ltsMin: Math.max(0, ltsMin), count: this.#extentCount });
    for (const extent of this.#extentsToCheck(newest, some)) extents.set(extent.pd, extent);
    for (const extent of this.#splitExtents(taken)) extents.set(extent.pd, extent);
    await this.check(snapshot, [...extents.values()]);
  }

  async delete(snapshot: number): Promise<void> {
    const { target, ledger, recorder } = this.#run;
    if (!this.#shelf.alive.includes(snapshot)) return;
    const { ltsMax } = this.#shelf.of(snapshot, 0).record;
    const sample = () => sampleExtents(this.#run, ltsMax, this.#extentCount);
    await this.check(snapshot, this.#extentsToCheck(ltsMax, sample));
    if (this.#run.isOver) return;
    recorder?.putDocument("intent", { kind: "deleteSnapshot", snapshot });
    recorder?.commitDurably();
    for (const { uuid } of this.#shelf.volumesOf(snapshot)) {
      await asked(`deleting snapshot ${snapshot} (${uuid})`, target.service.deleteSnapshot(uuid));
      ledger.count("snapshotsDeleted");
    }
    recorder?.putDocument("intent", null);
    this.#shelf.deleted(snapshot);
  }

  /** Reads extents of a snapshot, volume by volume, and compares them with its cut. */
  async check(snapshot: number, extents: readonly Extent[]): Promise<void> {
    const { target, ledger } = this.#run;
    for (const volume of target.volumes.keys()) {
      if (this.#run.isOver) return;
      const ofVolume = extents.filter((extent) => extent.volume === volume);
      if (ofVolume.length === 0) continue;
      const { uuid, proven, record } = this.#shelf.of(snapshot, volume);
      const device = await asked(`opening snapshot ${snapshot} (${uuid})`, target.service.openSnapshot(uuid));
      try {
        await checkSnapshot(this.#run, ofVolume, { device, record, rule: "snapshot", proven });
      } finally {
        await device[Symbol.asyncDispose]();
      }
    }
    if (extents.length > 0) ledger.count("snapshotsChecked");
  }

  /** Checks every snapshot alive: all of its extents, against the cut. */
  async checkAllAlive(): Promise<void> {
    for (const snapshot of this.#shelf.alive) {
      if (this.#run.isOver) return;
      await this.check(snapshot, [...reachedExtents(this.#run, this.#shelf.of(snapshot, 0).record.ltsMax)]);
    }
  }

  /** Removes what is left on the target; what can not be removed is said, and stays in the list. */
  async deleteAllAlive(): Promise<void> {
    for (const snapshot of this.#shelf.alive) {
      try {
        for (const { uuid } of this.#shelf.volumesOf(snapshot))
          await this.#run.target.service.deleteSnapshot(uuid);
        this.#shelf.deleted(snapshot);
      } catch (error) {
        this.#run.log.warn(
          `snapshot ${snapshot} stays: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
  }

  async #create(snapshot: number, lts: number): Promise<readonly Taken[]> {
    const { target, tracker, ledger, recorder, name: runName, workload } = this.#run;
    const taken: Taken[] = [];
    const names = target.volumes.map((_, volume) => `${runName}-v${volume}-s${snapshot}`);
    recorder?.putDocument("intent", { kind: "snapshot", names });
    recorder?.commitDurably();
    for (const [volume, { uuid: volumeUuid }] of target.volumes.entries()) {
      const name = names[volume]!;
      const call = new SnapshotCall(tracker);
      let answer: Snapshot;
      try {
        answer = await asked(
          `creating snapshot ${name}`,
          target.service.createSnapshot({ name, volumeUuid }),
        );
      } catch (error) {
        call.failed();
        throw error;
      }
      const record = call.completed({ snapshot, volume, name, lts });
      tracker.addSnapshot(record);
      taken.push({ uuid: answer.uuid, name, record, proven: new Set() });
      ledger.count("snapshotsTaken");
      this.#checkSize(answer, workload.sizes.blockCountAt(volume, lts), record.volume, snapshot);
    }
    recorder?.putDocument("intent", null);
    return taken;
  }

  #checkSize({ sizeBytes, name }: Snapshot, blockCount: number, volume: number, snapshot: number): void {
    const { geometry } = this.#run.workload;
    const expected = blockCount * geometry.blockSizeBytes;
    if (sizeBytes === expected) return;
    this.#run.violation({
      rule: "size",
      class: "wrong-size",
      summary: `snapshot ${name} is not as large as its volume was when it was taken`,
      volume,
      block: Math.min(sizeBytes, expected) / geometry.blockSizeBytes,
      blockCount: Math.max(1, Math.abs(sizeBytes - expected) / geometry.blockSizeBytes),
      snapshot,
      ltsMax: this.#run.tracker.ltsStartedMax,
      expected: `${expected} bytes`,
      observed: `${sizeBytes} bytes`,
      operations: [],
    });
  }

  /** Extents on which operations were under way around the call: which side they are on is to be seen. */
  *#splitExtents(taken: readonly Taken[]): Generator<Extent> {
    const { window, geometry } = this.#run.workload;
    if (!this.#run.config.checks.cut) return;
    for (const { record } of taken)
      for (const position of record.open.keys()) {
        const extent = geometry.extent(window.pd(operationAt(position).lts));
        if (extent.volume === record.volume) yield extent;
      }
  }

  #extentsToCheck(ltsMax: number, some: () => Iterable<Extent>): readonly Extent[] {
    const { extents } = this.#run.config.checks.snapshots;
    if (extents === "all") return [...reachedExtents(this.#run, ltsMax)];
    return extents === 0 ? [] : [...some()];
  }

  get #extentCount(): number {
    const { extents } = this.#run.config.checks.snapshots;
    return extents === "all" ? Number.POSITIVE_INFINITY : extents;
  }
}
