/**
 * Makes clones of snapshots, writes to them, and checks that each shows its own writes and its origin's blocks, and
 * that nobody else shows the clone's.
 *
 * @packageDocumentation
 */
import type { Region } from "../../generators/kernel.ts";
import type { WrongBlock } from "../../model/content-checker.ts";
import type { SnapshotRecord } from "../../model/snapshot-record.ts";
import { snapshotView } from "../../model/view.ts";
import type { CloneVisit } from "../../selectors/clone-selector.ts";
import type { Extent } from "../../selectors/geometry.ts";
import { effectOf, type Operation, positionOf } from "../../selectors/operations.ts";
import type { BlockDevice, Outcome } from "../../sut/port.ts";
import { asked } from "../asked.ts";
import { checkSnapshot } from "../extent-checks.ts";
import { RangeKeeper } from "../exhibit.ts";
import { read } from "../reading.ts";
import { reread } from "../wrong-blocks.ts";
import type { Run } from "../run.ts";
import { outcomeText } from "../target-failure.ts";
import type { SnapshotShelf } from "./shelf.ts";
import type { SnapshotVisitor } from "./snapshots.ts";

/** A clone of one volume's snapshot. */
interface Clone {
  readonly uuid: string;
  readonly device: BlockDevice;
  readonly record: SnapshotRecord;
  readonly visits: readonly CloneVisit[];
  /** Blocks of which the outcome of the clone's own write is not known. */
  readonly unknown: Set<number>;
}

/** What a block of a clone may hold after the clone's own operations on it. */
interface OwnBlock {
  /** Newest first. */
  readonly states: readonly number[];
  /** The clone has only deallocated it, which need not have done anything. */
  readonly mayBeOrigins: boolean;
}

/** By block of the extent; absent for what is its origin's for certain. */
type OwnBlocks = ReadonlyMap<number, OwnBlock>;

export class CloneVisitor {
  readonly #run: Run;
  readonly #shelf: SnapshotShelf;
  readonly #snapshots: SnapshotVisitor;
  /** By number, then by volume. */
  readonly #clones = new Map<number, readonly Clone[]>();

  constructor(run: Run, shelf: SnapshotShelf, snapshots: SnapshotVisitor) {
    this.#run = run;
    this.#shelf = shelf;
    this.#snapshots = snapshots;
  }

  async make(clone: number, snapshot: number): Promise<void> {
    const { workload, target, ledger, config, name: runName } = this.#run;
    if (!config.checks.clones || !this.#shelf.alive.includes(snapshot)) return;
    const { record: first } = this.#shelf.of(snapshot, 0);
    const visits = workload.cloneVisits(clone, first.lts);
    const made: Clone[] = [];
    this.#clones.set(clone, made);
    for (const volume of target.volumes.keys()) {
      const { uuid: snapshotUuid, record } = this.#shelf.of(snapshot, volume);
      const name = `${runName}-v${volume}-c${clone}`;
      const { uuid } = await asked(
        `cloning snapshot ${snapshot} as ${name}`,
        target.service.cloneSnapshot({ name, snapshotUuid }),
      );
      const device = await asked(`opening clone ${name}`, target.service.openVolume(uuid));
      const own = visits.filter(({ extent }) => extent.volume === volume);
      const entry: Clone = { uuid, device, record, visits: own, unknown: new Set() };
      made.push(entry);
      for (const visit of own) await this.#write(clone, visit, entry);
      await this.#flush(clone, entry);
    }
    ledger.count("clonesMade");
    await this.check(clone);
    // Nor may the origin show any of it.
    await this.#snapshots.check(snapshot, [
      ...new Map(visits.map(({ extent }) => [extent.pd, extent])).values(),
    ]);
  }

  /** Reads what was written, and as many extents that were not. */
  async check(clone: number): Promise<void> {
    const { workload, ledger } = this.#run;
    for (const entry of this.#clones.get(clone) ?? []) {
      const touched = new Map(entry.visits.map(({ extent }) => [extent.pd, extent]));
      for (const extent of touched.values()) {
        if (this.#run.isOver) return;
        await this.#checkExtent(clone, entry, extent);
      }
      const others: Extent[] = [];
      for (let number = 0; number < touched.size; number++) {
        const extent = workload.sampleExtent(entry.record.lts, number);
        if (!touched.has(extent.pd) && extent.volume === entry.record.volume) others.push(extent);
      }
      const { device, record } = entry;
      await checkSnapshot(this.#run, others, { device, record, rule: "clone" });
    }
    if (this.#clones.has(clone)) ledger.count("clonesChecked");
  }

  async delete(clone: number): Promise<void> {
    for (const { uuid, device } of this.#clones.get(clone) ?? []) {
      await device[Symbol.asyncDispose]();
      await asked(`deleting clone ${clone} (${uuid})`, this.#run.target.service.deleteVolume(uuid));
    }
    this.#clones.delete(clone);
  }

  /** Checks and removes all that are left. */
  async finish(): Promise<void> {
    for (const clone of [...this.#clones.keys()]) {
      if (!this.#run.isOver) await this.check(clone);
      if (this.#run.violations.length > 0) return;
      await this.delete(clone);
    }
  }

  async #write(clone: number, { extent, operations, lts }: CloneVisit, entry: Clone): Promise<void> {
    for (const operation of operations) {
      const { device } = entry;
      const { kind, blockCount } = operation;
      const block = extent.firstBlock + operation.firstBlock;
      const outcome = await this.#run.liveness.watch(
        { kind, device, volume: extent.volume, block, blockCount },
        this.#apply(clone, extent, operation, { device, lts }),
      );
      if (outcome.kind === "ok") continue;
      this.#run.targetError(`clone ${clone}, ${operation.kind}: ${outcomeText(outcome)}`);
      const first = extent.firstBlock + operation.firstBlock;
      for (let block = first; block < first + operation.blockCount; block++) entry.unknown.add(block);
    }
  }

  /** What is not durable now may be gone after a crash. */
  async #flush(clone: number, { device, record, visits, unknown }: Clone): Promise<void> {
    if (!device.capabilities.volatileWriteCache) return;
    const command = { kind: "flush", device, volume: record.volume, block: 0, blockCount: 0 };
    const outcome = await this.#run.liveness.watch(command, device.flush());
    if (outcome.kind === "ok") return;
    this.#run.targetError(`clone ${clone}, flush: ${outcomeText(outcome)}`);
    for (const { extent, operations } of visits)
      for (const { firstBlock, blockCount } of operations)
        for (let block = firstBlock; block < firstBlock + blockCount; block++)
          unknown.add(extent.firstBlock + block);
  }

  async #apply(
    clone: number,
    extent: Extent,
    { kind, operationId, firstBlock, blockCount }: Operation,
    { device, lts }: { readonly device: BlockDevice; readonly lts: number },
  ): Promise<Outcome> {
    const block = extent.firstBlock + firstBlock;
    if (effectOf(kind) === "zeros")
      return kind === "writeZeroes"
        ? device.writeZeroes({ block, blockCount })
        : device.deallocate({ ranges: [{ block, blockCount }] });
    const { run, geometry } = this.#run.workload;
    const volume = this.#run.workload.cloneVolume(clone);
    const buffer = await this.#run.writeBuffers.take();
    try {
      const { sectorsPerBlock: sectorCount, blockSizeBytes } = geometry;
      run.inflate({ volume, block, blockCount, sectorCount }, buffer.address, positionOf(lts, operationId));
      const from = buffer.bytes.subarray(0, blockCount * blockSizeBytes);
      return await device.write({ block, blockCount, from, fua: kind === "writeFua" });
    } finally {
      this.#run.writeBuffers.giveBack(buffer);
    }
  }

  async #checkExtent(clone: number, entry: Clone, extent: Extent): Promise<void> {
    const { content, ledger, tracker, extentBuffers, workload } = this.#run;
    const { blockSizeBytes } = workload.geometry;
    const own = ownBlocks(entry.visits, extent, tracker.deallocateIsAdvice);
    const buffer = await extentBuffers.take();
    try {
      const into = buffer.bytes.subarray(0, extent.blockCount * blockSizeBytes);
      await read(this.#run, entry.device, extent, into);
      const view = snapshotView(tracker, entry.record);
      // Only what the clone has not written itself: zeros of its own would pass for the snapshot's.
      const inherited: { readonly fault: WrongBlock; readonly kept: RangeKeeper }[] = [];
      for (const { firstBlock, blockCount } of inheritedRuns(extent, own)) {
        const at = firstBlock * blockSizeBytes;
        const address = buffer.address + at;
        const bytes = into.subarray(at, at + blockCount * blockSizeBytes);
        const kept = new RangeKeeper({ firstBlock, blockCount, bytes }, blockSizeBytes);
        for (const fault of content.check({ extent, firstBlock, blockCount, view, address }).wrong)
          inherited.push({ fault, kept });
      }
      for (const { fault, kept } of inherited) {
        const bytes = into.slice(fault.block * blockSizeBytes, (fault.block + 1) * blockSizeBytes);
        const { snapshot } = entry.record;
        const at = { extent, view, device: entry.device, buffer };
        const { rereads, last } = await reread(this.#run, fault, bytes, at);
        const about = { extent, wrong: fault, view, rule: "clone", provenBefore: false } as const;
        this.#run.violation(this.#run.diagnosis.explain({ ...about, bytes, rereads, snapshot }), {
          kind: "block",
          found: bytes,
          reread: last,
          allowed: fault.allowed,
          judged: {
            ...kept.around(fault),
            ...{ place: "clone", pd: extent.pd, snapshot },
            ...{ isLive: false, provenBefore: false, wasProven: false },
          },
        });
      }
      const lost = this.#ownWrong(clone, { entry, extent, own, buffer });
      ledger.count("cloneBlocksCompared", extent.blockCount - inherited.length - lost);
    } finally {
      extentBuffers.giveBack(buffer);
    }
  }

  /** Compares the clone's own blocks; @returns how many are wrong, or in doubt. */
  #ownWrong(
    clone: number,
    {
      entry,
      extent,
      own,
      buffer,
    }: { readonly entry: Clone; readonly extent: Extent; readonly own: OwnBlocks; readonly buffer: Region },
  ): number {
    const { content, workload, tracker } = this.#run;
    const { blockSizeBytes } = workload.geometry;
    const volume = workload.cloneVolume(clone);
    let wrongCount = 0;
    const view = snapshotView(tracker, entry.record);
    for (const [block, { states, mayBeOrigins }] of own) {
      const onVolume = extent.firstBlock + block;
      const address = buffer.address + block * blockSizeBytes;
      if (entry.unknown.has(onVolume)) wrongCount++;
      else if (!states.some((state) => content.shows({ volume, block: onVolume, address, state }))) {
        const showsOrigin = content.isRight({ extent, block, view, address });
        if (showsOrigin && mayBeOrigins) continue;
        wrongCount++;
        const bytes = buffer.bytes.slice(block * blockSizeBytes, (block + 1) * blockSizeBytes);
        this.#run.violation(
          {
            rule: "clone",
            class: showsOrigin ? "lost-write" : bytes.every((byte) => byte === 0) ? "zeroed" : "garbage",
            summary: showsOrigin
              ? `clone ${clone} shows what its snapshot holds, not what was written to the clone`
              : `clone ${clone} does not show what was written to it`,
            volume: extent.volume,
            block: onVolume,
            blockCount: 1,
            snapshot: entry.record.snapshot,
            ltsMax: entry.record.ltsMax,
            expected: states[0]! > 0 ? "data of the clone's own write" : "zeros made in the clone",
            observed: showsOrigin ? "the block of the snapshot" : "something else",
            operations: [],
          },
          { kind: "block", found: bytes, allowed: states, contentVolume: volume },
        );
      }
    }
    return wrongCount;
  }
}

/** Runs of blocks that the clone has not written. */
function* inheritedRuns(
  { blockCount }: Extent,
  own: OwnBlocks,
): Generator<{ readonly firstBlock: number; readonly blockCount: number }> {
  for (let first = 0; first < blockCount; ) {
    let end = first;
    while (end < blockCount && !own.has(end)) end++;
    if (end > first) yield { firstBlock: first, blockCount: end - first };
    first = end + 1;
  }
}

/** What the clone's own operations left on an extent. */
function ownBlocks(visits: readonly CloneVisit[], { pd }: Extent, deallocateIsAdvice: boolean): OwnBlocks {
  const blocks = new Map<number, OwnBlock>();
  for (const { extent, operations, lts } of visits) {
    if (extent.pd !== pd) continue;
    for (const { kind, operationId, firstBlock, blockCount } of operations) {
      const position = positionOf(lts, operationId);
      const state = effectOf(kind) === "data" ? position : -position;
      const isAdvice = deallocateIsAdvice && kind.startsWith("deallocate");
      for (let block = firstBlock; block < firstBlock + blockCount; block++) {
        const before = isAdvice ? blocks.get(block) : undefined;
        blocks.set(block, {
          states: [state, ...(before?.states ?? [])],
          mayBeOrigins: isAdvice && (before?.mayBeOrigins ?? true),
        });
      }
    }
  }
  return blocks;
}
