/**
 * Keeps a copy of each volume up to date as a backup does: by what the diff reports, and nothing else.
 *
 * The copy held the base; after the reported blocks were copied it must equal the snapshot. What the diff leaves
 * out by mistake is therefore missing from the copy, whatever the diff checker thinks of the answer.
 *
 * @packageDocumentation
 */
import type { Extent } from "../../selectors/geometry.ts";
import type { BlockDevice, BlockRange, DiffPage, Outcome } from "../../sut/port.ts";
import { runsOf } from "../../sut/sync/diff-runs.ts";
import { asked } from "../asked.ts";
import { checkSnapshot } from "../extent-checks.ts";
import { read } from "../reading.ts";
import type { Run } from "../run.ts";
import { expectOk } from "../target-failure.ts";
import type { SnapshotShelf } from "./shelf.ts";
import { reachedExtents, recentExtents, sampleExtents } from "./validate.ts";

/** A copy of one volume. */
interface Copy {
  readonly uuid: string;
  readonly device: BlockDevice;
}

const flushTriesMax = 5;
/** Blocks that are copied at a time. */
const copyBlocksMax = 256;

export class SyncVisitor {
  readonly #run: Run;
  readonly #shelf: SnapshotShelf;
  /** By volume. */
  readonly #copies = new Map<number, Copy>();
  /** The snapshot that the copies hold. */
  #held: number | undefined;

  constructor(run: Run, shelf: SnapshotShelf) {
    this.#run = run;
    this.#shelf = shelf;
  }

  async sync(snapshot: number, base: number | undefined): Promise<void> {
    const { config, target, ledger } = this.#run;
    if (!config.checks.sync || !this.#shelf.alive.includes(snapshot)) return;
    const held =
      base !== undefined && base === this.#held && this.#shelf.alive.includes(base) ? base : undefined;
    this.#held = undefined;
    for (const volume of target.volumes.keys()) {
      const copy =
        held === undefined ? await this.#fresh(volume, snapshot) : await this.#grown(volume, snapshot);
      await this.#copy(volume, { snapshot, base: held, to: copy.device });
      const { record } = this.#shelf.of(snapshot, volume);
      await checkSnapshot(this.#run, this.#extents(snapshot, held, volume), {
        device: copy.device,
        record,
        rule: "sync",
      });
    }
    this.#held = snapshot;
    ledger.count("syncs");
  }

  /** Removes the copies, after a last look at all of them. */
  async finish(): Promise<void> {
    for (const [volume, { uuid, device }] of this.#copies) {
      if (!this.#run.isOver && this.#held !== undefined && this.#shelf.has(this.#held)) {
        const { record } = this.#shelf.of(this.#held, volume);
        const all = [...reachedExtents(this.#run, record.ltsMax)].filter(
          (extent) => extent.volume === volume,
        );
        await checkSnapshot(this.#run, all, { device, record, rule: "sync" });
      }
      if (this.#run.violations.length > 0) return;
      await device[Symbol.asyncDispose]();
      await asked(`deleting copy ${uuid}`, this.#run.target.service.deleteVolume(uuid));
    }
    this.#copies.clear();
  }

  /** An empty copy: without a base, blocks that became zeros since would not be reported. */
  async #fresh(volume: number, snapshot: number): Promise<Copy> {
    const { service } = this.#run.target;
    const old = this.#copies.get(volume);
    if (old !== undefined) {
      await old.device[Symbol.asyncDispose]();
      await asked(`deleting copy ${old.uuid}`, service.deleteVolume(old.uuid));
    }
    const { blockSizeBytes } = this.#run.workload.geometry;
    const name = `${this.#run.name}-v${volume}-sync${snapshot}`;
    const { uuid } = await asked(
      `creating copy ${name}`,
      service.createVolume({
        name,
        sizeBytes: this.#blockCount(volume, snapshot) * blockSizeBytes,
        sectorSizeBytes: blockSizeBytes,
      }),
    );
    const copy = { uuid, device: await asked(`opening copy ${name}`, service.openVolume(uuid)) };
    this.#copies.set(volume, copy);
    return copy;
  }

  /** The copy that holds the base, as large as the snapshot. */
  async #grown(volume: number, snapshot: number): Promise<Copy> {
    const copy = this.#copies.get(volume)!;
    const blockCount = this.#blockCount(volume, snapshot);
    if (copy.device.blockCount >= blockCount) return copy;
    const { service } = this.#run.target;
    const sizeBytes = blockCount * this.#run.workload.geometry.blockSizeBytes;
    await asked(`resizing copy ${copy.uuid}`, service.resizeVolume({ uuid: copy.uuid, sizeBytes }));
    await copy.device[Symbol.asyncDispose]();
    const grown = {
      uuid: copy.uuid,
      device: await asked(`opening copy ${copy.uuid}`, service.openVolume(copy.uuid)),
    };
    this.#copies.set(volume, grown);
    return grown;
  }

  #blockCount(volume: number, snapshot: number): number {
    return this.#run.workload.sizes.blockCountAt(volume, this.#shelf.of(snapshot, volume).record.lts);
  }

  async #copy(
    volume: number,
    {
      snapshot,
      base,
      to,
    }: { readonly snapshot: number; readonly base: number | undefined; readonly to: BlockDevice },
  ): Promise<void> {
    const { service } = this.#run.target;
    const { uuid: snapshotUuid } = this.#shelf.of(snapshot, volume);
    const from = await asked(`opening snapshot ${snapshot}`, service.openSnapshot(snapshotUuid));
    try {
      const request =
        base === undefined
          ? { snapshotUuid }
          : { snapshotUuid, baseSnapshotUuid: this.#shelf.of(base, volume).uuid };
      const pages: DiffPage[] = [];
      const collect = async () => {
        for await (const page of service.diff(request)) pages.push(page);
      };
      await asked(`diff of snapshot ${snapshot} for its copy`, collect());
      for (const run of runsIn(pages)) {
        if (this.#run.isOver) return;
        await this.#copyRun(volume, run, { from, to });
      }
      await this.#flush(volume, to);
    } finally {
      await from[Symbol.asyncDispose]();
    }
  }

  async #copyRun(
    volume: number,
    { block: firstBlock, blockCount }: BlockRange,
    { from, to }: { readonly from: BlockDevice; readonly to: BlockDevice },
  ): Promise<void> {
    const { blockSizeBytes } = this.#run.workload.geometry;
    // What reaches beyond the volume is the diff checker's finding.
    const end = Math.min(firstBlock + blockCount, from.blockCount, to.blockCount);
    for (let block = firstBlock; block < end; block += copyBlocksMax) {
      const count = Math.min(copyBlocksMax, end - block);
      const bytes = new Uint8Array(count * blockSizeBytes);
      await read(this.#run, from, { volume, firstBlock: block, blockCount: count }, bytes);
      const command = { kind: "write", device: to, volume, block, blockCount: count };
      const write = (): Promise<Outcome> =>
        this.#run.liveness.watch(command, to.write({ block, blockCount: count, from: bytes }));
      let outcome = await write();
      // To copy the same bytes again is harmless.
      for (let tries = 0; outcome.kind === "unknown" && tries < 5; tries++) outcome = await write();
      expectOk(outcome, `copying ${count} blocks at ${block}`);
      this.#run.ledger.count("syncBlocksCopied", count);
    }
  }

  /** A copy is kept for the next snapshot, whatever happens meanwhile. */
  async #flush(volume: number, device: BlockDevice): Promise<void> {
    const command = { kind: "flush", device, volume, block: 0, blockCount: 0 };
    const flush = (): Promise<Outcome> => this.#run.liveness.watch(command, device.flush());
    let outcome = await flush();
    for (let tries = 0; outcome.kind === "unknown" && tries < flushTriesMax; tries++) outcome = await flush();
    expectOk(outcome, `flushing ${device.identity.name}`);
  }

  /** What was visited between the two, and as many others. */
  #extents(snapshot: number, base: number | undefined, volume: number): readonly Extent[] {
    const { record } = this.#shelf.of(snapshot, volume);
    const { extents } = this.#run.config.checks.snapshots;
    const count = extents === "all" ? Number.POSITIVE_INFINITY : Math.max(8, extents);
    const ltsMin = base === undefined ? 0 : this.#shelf.of(base, volume).record.ltsBefore + 1;
    const all =
      extents === "all"
        ? reachedExtents(this.#run, record.ltsMax)
        : [
            ...recentExtents(this.#run, { ltsMin: Math.max(0, ltsMin), count }),
            ...sampleExtents(this.#run, record.lts, count),
          ];
    const found = new Map([...all].map((extent) => [extent.pd, extent]));
    return [...found.values()].filter((extent) => extent.volume === volume);
  }
}

/** Runs of reported blocks, in the order of the pages; what is not as it should be is the diff checker's finding. */
function* runsIn(pages: readonly DiffPage[]): Generator<BlockRange> {
  let joined: BlockRange | undefined;
  for (const { ranges } of pages)
    for (const range of ranges)
      for (const run of runsOf(range)) {
        if (joined !== undefined && run.block === joined.block + joined.blockCount) {
          joined = { block: joined.block, blockCount: joined.blockCount + run.blockCount };
          continue;
        }
        if (joined !== undefined) yield joined;
        joined = run;
      }
  if (joined !== undefined) yield joined;
}
