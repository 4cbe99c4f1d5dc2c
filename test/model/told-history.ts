/**
 * Tells the model a history that the selectors did not choose: a workload whose visits are given, and a tracker that
 * is driven through the history's events in their order.
 *
 * Each write of a history has an even lts of its own, and is all that is done there; the odd ones are empty, or hold
 * an operation that the target refused. Blocks are really inflated, and read back by the kernels.
 *
 * @packageDocumentation
 */
import { contentFormat } from "../../src/generators/content.ts";
import { Kernel, type Region, RunKernel } from "../../src/generators/kernel.ts";
import { ContentChecker } from "../../src/model/content-checker.ts";
import { DurabilityLog } from "../../src/model/durability.ts";
import { Reconciler } from "../../src/model/reconciler.ts";
import { SnapshotCall } from "../../src/model/snapshot-call.ts";
import type { SnapshotRecord } from "../../src/model/snapshot-record.ts";
import { Tracker } from "../../src/model/tracker.ts";
import { liveView, snapshotView, type View, volumeView } from "../../src/model/view.ts";
import { Geometry } from "../../src/selectors/geometry.ts";
import { type Operation, operationAt, positionOf } from "../../src/selectors/operations.ts";
import type { History } from "../../src/selectors/history.ts";
import type { ScheduledWrite } from "../support/brute-force/execution.ts";
import { type Read, type Shown, type Timed, touches } from "../support/brute-force/history.ts";

export interface Told {
  readonly volumeCount: number;
  readonly blockCount: number;
  readonly writes: readonly ScheduledWrite[];
}

/** What is left to chance beside the history itself. */
export interface Chances {
  /** Verdicts wait until so many more events have happened. */
  readonly judgedAfter: number;
  /** Reads while nothing is under way are judged as such. */
  readonly asAtRest: boolean;
  /** The outcome of what is in doubt is known to be unknown at once, and not only as it is fenced. */
  readonly unknownAtOnce: boolean;
  /** Beside each write there is one that the target refused. */
  readonly hasRefused: boolean;
}

const blockBytes = 512;
const format = contentFormat({
  seed: 5n,
  order: "ascending",
  weights: { incompressible: 1, compressible: 0, text: 0 },
  compressionRatio: 2,
});
/** Checkers take kernel memory for good: every so many histories get a kernel of their own. */
const historiesPerKernel = 1000;
let historyCount = 0;
let run: RunKernel;
let buffer: Region;

function renewKernel(): void {
  if (historyCount++ % historiesPerKernel > 0) return;
  run = new RunKernel(new Kernel({ memoryBytes: (historiesPerKernel + 32) * 8192 }), format);
  buffer = run.kernel.allocate(64 * blockBytes);
}

export class ToldHistory {
  readonly told: Told;
  readonly chances: Chances;
  readonly workload: History;
  readonly tracker = new Tracker();
  readonly reconciler: Reconciler;
  readonly content: ContentChecker;
  readonly durability: DurabilityLog;
  /** Whether every verdict was that nothing is wrong. */
  isRight = true;
  readonly #byContent: ReadonlyMap<number, ScheduledWrite>;
  readonly #active = new Set<ScheduledWrite>();
  /** Changes whenever an operation begins. */
  #submissions = 0;
  #begun = -1;
  #waiting: { events: number; readonly judge: () => void }[] = [];

  constructor(told: Told, chances: Chances, { hasVolatileCache = false } = {}) {
    this.durability = new DurabilityLog({ hasVolatileCache });
    renewKernel();
    this.told = told;
    this.chances = chances;
    this.workload = workloadOf(told, chances);
    this.reconciler = new Reconciler(this.workload, this.tracker);
    this.tracker.deallocateIsAdvice = told.writes.some(({ isAdvice }) => isAdvice === true);
    this.content = new ContentChecker(this.workload, this.tracker, this.reconciler);
    this.#byContent = new Map(told.writes.map((write) => [write.content, write]));
  }

  /** Lets things happen in the order of their events. */
  happen(events: readonly { readonly at: number; readonly happen: () => void }[]): this {
    for (const { at, happen } of events.toSorted((one, other) => one.at - other.at)) {
      if (!Number.isFinite(at)) break;
      happen();
      for (const one of this.#waiting) one.events--;
      for (const { judge } of this.#waiting.filter((one) => one.events < 0)) judge();
      this.#waiting = this.#waiting.filter((one) => one.events >= 0);
    }
    for (const { judge } of this.#waiting) judge();
    this.#waiting = [];
    return this;
  }

  writeEvents(): { at: number; happen: () => void }[] {
    return this.told.writes.flatMap((write) => [
      { at: write.submitted, happen: () => this.#submit(write) },
      { at: write.completed, happen: () => this.#complete(write) },
    ]);
  }

  readEvents(reads: readonly (Read & { readonly volume: number })[]): { at: number; happen: () => void }[] {
    return reads.flatMap((read) => {
      let completed = (): void => {};
      return [
        { at: read.submitted, happen: () => void (completed = this.#beginRead(read)) },
        { at: read.completed, happen: () => completed() },
      ];
    });
  }

  /** A snapshot of every volume at one instant. */
  snapshotEvents(
    { submitted, completed }: Timed,
    snapshot: number,
    taken: (records: readonly SnapshotRecord[]) => void,
  ): { at: number; happen: () => void }[] {
    const calls: SnapshotCall[] = [];
    const volumes = Array.from({ length: this.told.volumeCount }, (_, volume) => volume);
    const begin = (): void => {
      for (const _ of volumes) calls.push(new SnapshotCall(this.tracker));
    };
    const end = (): void => {
      const records: SnapshotRecord[] = [];
      for (const volume of volumes) {
        const about = { snapshot, volume, name: `s${snapshot}`, lts: this.tracker.ltsStartedMax };
        const cut = records[0]?.cut;
        const record = calls[volume]!.completed(cut === undefined ? about : { ...about, cut });
        this.tracker.addSnapshot(record);
        records.push(record);
      }
      taken(records);
    };
    return [
      { at: submitted, happen: begin },
      { at: completed, happen: end },
    ];
  }

  /** Holds the content of blocks of one volume, from a first one on, against a view. */
  judge(view: View, shown: readonly Shown[]): void {
    const extent = this.workload.geometry.extent(this.workload.geometry.pdOf(view.volume, 0));
    const sorted = shown.toSorted((one, other) => one.block - other.block);
    const firstBlock = sorted[0]!.block;
    for (const [index, { block, content }] of sorted.entries()) {
      const address = buffer.address + index * blockBytes;
      if (content === 0) buffer.bytes.fill(0, index * blockBytes, (index + 1) * blockBytes);
      else
        run.inflate(
          { volume: view.volume, block, blockCount: 1, sectorCount: 1 },
          address,
          this.#position(content),
        );
    }
    const range = { extent, firstBlock, blockCount: sorted.length, view, address: buffer.address };
    if (this.content.check(range).wrong.length > 0) this.isRight = false;
  }

  /** Holds the whole content of a snapshot of one volume against its cut. */
  judgeSnapshot(record: SnapshotRecord, shown: readonly Required<Shown>[]): void {
    this.judge(
      snapshotView(this.tracker, record),
      shown.filter(({ volume }) => volume === record.volume),
    );
  }

  flushEvents(
    flushes: readonly (Timed & { readonly volume: number })[],
  ): { at: number; happen: () => void }[] {
    return flushes.flatMap(({ submitted, completed, volume }) => {
      let event = 0;
      const begin = (): void => void (event = this.tracker.event());
      const end = (): void => {
        this.tracker.event();
        this.durability.flushed(volume, event);
      };
      return [
        { at: submitted, happen: begin },
        { at: completed, happen: end },
      ];
    });
  }

  /** The target goes down, and nothing that was under way can be applied any more. */
  crash({ fencedFirst }: { readonly fencedFirst: boolean }): void {
    if (fencedFirst) this.#fenceAll();
    const event = this.tracker.crashed();
    for (const lost of this.durability.crashed()) this.tracker.lose(lost.position, event, lost);
    if (!fencedFirst) this.#fenceAll();
  }

  #fenceAll(): void {
    for (const write of [...this.#active]) {
      const position = this.positionOf(write);
      if (this.tracker.timesOf(position)!.outcome === "inFlight") this.tracker.complete(position, "unknown");
      this.tracker.fence(position);
      this.#end(write);
    }
  }

  positionOf(write: ScheduledWrite): number {
    return positionOf(2 * write.lts, 0);
  }

  /** Of content whose write was never submitted, a place that no history comes to. */
  #position(content: number): number {
    const write = this.#byContent.get(content);
    return write === undefined ? positionOf(1000 + content, 0) : this.positionOf(write);
  }

  #submit(write: ScheduledWrite): void {
    while (this.#begun < 2 * write.lts + 1) this.#begin(++this.#begun);
    this.#submissions++;
    this.tracker.submit(this.positionOf(write), { hasOverlap: this.#overlap(write) });
    this.#active.add(write);
    if (write.outcome === "inDoubt" && this.chances.unknownAtOnce)
      this.tracker.complete(this.positionOf(write), "unknown");
  }

  #begin(lts: number): void {
    this.tracker.beginLts(lts);
    const write = this.told.writes.find((one) => one.lts === lts >> 1);
    if (write !== undefined && lts % 2 === 0) return;
    if (write !== undefined && this.chances.hasRefused) {
      this.tracker.submit(positionOf(lts, 0), { hasOverlap: this.#overlap(write) });
      this.tracker.complete(positionOf(lts, 0), "failed");
    }
    this.tracker.endLts(lts);
  }

  #overlap(write: ScheduledWrite): boolean {
    const others = [...this.#active].filter((other) => sharesBlock(other, write));
    for (const other of others) this.tracker.overlapped(this.positionOf(other));
    return others.length > 0;
  }

  #complete(write: ScheduledWrite): void {
    const position = this.positionOf(write);
    const { submitted } = this.tracker.timesOf(position)!;
    const isOk = write.outcome === "ok";
    if (!isOk && !this.chances.unknownAtOnce) this.tracker.complete(position, "unknown");
    const completed = isOk ? this.tracker.complete(position, "ok") : this.tracker.fence(position);
    const isFua = isOk && write.fua;
    this.durability.completed(write.volume, { position, submitted, completed }, { isFua });
    this.#end(write);
  }

  #end(write: ScheduledWrite): void {
    this.#active.delete(write);
    this.tracker.endLts(2 * write.lts);
  }

  #beginRead(read: Read & { readonly volume: number }): () => void {
    const { tracker } = this;
    const observation = tracker.observe();
    const isAtRest = this.#active.size === 0;
    const submissions = this.#submissions;
    return () => {
      tracker.observed(observation);
      const judge = (): void => {
        const isQuiet =
          isAtRest && submissions === this.#submissions && tracker.ltsCompleteMax === tracker.ltsStartedMax;
        const view =
          isQuiet && this.chances.asAtRest
            ? volumeView(tracker, read.volume, tracker.ltsStartedMax)
            : liveView(tracker, read.volume, observation);
        this.judge(view, [read]);
        tracker.release(observation);
      };
      if (this.chances.judgedAfter === 0) judge();
      else this.#waiting.push({ events: this.chances.judgedAfter, judge });
    };
  }
}

const sharesBlock = (one: ScheduledWrite, other: ScheduledWrite): boolean =>
  one.volume === other.volume &&
  Array.from({ length: other.blocks[1] }, (_, index) => other.blocks[0] + index).some((block) =>
    touches(one, { volume: one.volume, block }),
  );

/** The part of a workload that the model asks. */
function workloadOf({ volumeCount, blockCount, writes }: Told, { hasRefused }: Chances): History {
  const geometry = new Geometry({
    blockSizeBytes: blockBytes,
    volumeBlocks: Array.from({ length: volumeCount }, () => blockCount),
    extentBlocks: blockCount,
  });
  const byLts = new Map(writes.map((write) => [write.lts, write]));
  const pd = (lts: number): number => geometry.pdOf(byLts.get(lts >> 1)?.volume ?? 0, 0);
  const ltsCount = 2 * (Math.max(-1, ...byLts.keys()) + 1);
  const operations = (lts: number): readonly Operation[] => {
    const write = byLts.get(lts >> 1);
    if (write === undefined || (lts % 2 === 1 && !hasRefused)) return [];
    const zeroing = write.isAdvice === true ? "deallocate" : "writeZeroes";
    const kind = write.content === 0 ? zeroing : write.fua ? "writeFua" : "write";
    return [{ kind, operationId: 0, batch: 0, firstBlock: write.blocks[0], blockCount: write.blocks[1] }];
  };
  const last = (of: number, from: number): number | undefined => {
    for (let lts = Math.min(from, ltsCount - 1); lts >= 0; lts--) if (pd(lts) === of) return lts;
    return undefined;
  };
  const next = (of: number, from: number): number => {
    for (let lts = from; lts < ltsCount; lts++) if (pd(lts) === of) return lts;
    return Number.POSITIVE_INFINITY;
  };
  const double = {
    geometry,
    run,
    window: {
      pd,
      firstLts: (of: number) => next(of, 0),
      lastLts: last,
      prevLts: (lts: number) => last(pd(lts), lts - 1),
      nextLts: (lts: number) => next(pd(lts), lts + 1),
      reachedCount: () => volumeCount,
      reachedPd: (index: number) => index,
    },
    sizes: { hasExtent: () => true, blockCountAt: () => blockCount },
    operationOf: (position: number) => {
      const { lts } = operationAt(position);
      const [operation] = operations(lts);
      return operation === undefined ? undefined : { extent: geometry.extent(pd(lts)), operation };
    },
    visit: (lts: number) => ({ lts, extent: geometry.extent(pd(lts)), operations: operations(lts) }),
    operationOn: (lts: number, block: number) =>
      operations(lts).find(
        ({ firstBlock, blockCount: count }) => block >= firstBlock && block < firstBlock + count,
      ),
  };
  return double as unknown as History;
}
