/**
 * What a test of the suite works with: a source volume whose every block is known by version, its snapshots and their
 * diffs, and a target volume that they are copied to.
 *
 * Each diff that a test asks for, and each by which something is copied, is judged block by block against the model,
 * whatever the test itself expects of it; and each copy, by its content.
 *
 * @packageDocumentation
 */
import { BlockSet } from "../../model/block-set.ts";
import type { AnswerPage } from "../../model/diff-contract.ts";
import type { BlockRange, VolumeService } from "../../sut/port.ts";
import { type SyncResult, syncSnapshot } from "../../sut/sync/sync-snapshot.ts";
import type { BenchOptions, SuiteSnapshot } from "./bench-options.ts";
import { checkCopied, checkHeld } from "./copy-check.ts";
import { type Answer, expectRest, judge } from "./diff-judge.ts";
import { type Layout, megabytes, type Region, rangeText } from "./layout.ts";
import { recordingDiffs } from "./recorded-diffs.ts";
import { SuiteFailure } from "./suite-failure.ts";
import { expectOk, inPieces } from "./transfers.ts";
import { isPromised, type Zeroing, zeroed } from "./zeroing.ts";

/** A copy, and the answer by which it was made. */
export interface Copy extends SyncResult {
  readonly answer: Answer;
}

export class Workbench {
  readonly layout: Layout;
  readonly service: VolumeService;
  /** What happened, line by line, for people. */
  readonly notes: string[] = [];
  readonly #options: BenchOptions;
  readonly #snapshots = new Map<string, SuiteSnapshot>();

  constructor(options: BenchOptions) {
    this.#options = options;
    this.layout = options.layout;
    this.service = options.service;
  }

  note(text: string): void {
    this.notes.push(text);
  }

  /** Writes new data to regions of the source, and has it durable. */
  async write(...regions: readonly Region[]): Promise<void> {
    const { memory, source, content, signal } = this.#options;
    const version = memory.touch(regions);
    for (const region of regions) memory.versions.set(region, Number.NaN);
    await inPieces(regions, content, signal, async (range, buffer) => {
      content.inflate(range, buffer, version);
      const from = buffer.bytes.subarray(0, range.blockCount * content.blockSizeBytes);
      expectOk(await source.device.write({ ...range, from }, { signal }), `writing ${rangeText(range)}`);
    });
    await this.#changed("wrote", regions, version);
  }

  /** Makes regions of the source zeros; by writing them where the device promises nothing of another way. */
  async zero(wanted: Zeroing, ...regions: readonly Region[]): Promise<void> {
    const { memory, source, content, signal } = this.#options;
    const by = isPromised(wanted, source.device) ? wanted : "write";
    const version = memory.touch(regions);
    for (const region of regions) memory.versions.set(region, Number.NaN);
    await inPieces(regions, content, signal, async (range, buffer) => {
      const from = buffer.bytes.subarray(0, range.blockCount * content.blockSizeBytes);
      expectOk(await zeroed(source.device, range, by, from, signal), `zeroing ${rangeText(range)}`);
    });
    await this.#changed(by === "write" ? "wrote zeros," : `${by},`, regions, -version);
  }

  async #changed(what: string, regions: readonly Region[], version: number): Promise<void> {
    const { memory, source } = this.#options;
    for (const region of regions) memory.versions.set(region, version);
    expectOk(await source.device.flush(), "flushing the source");
    const bytes = regions.reduce((sum, region) => sum + this.layout.bytesOf(region), 0);
    const where =
      regions.length === 1 ? regions[0]!.name : `${regions.length} places, from ${regions[0]?.name} on`;
    this.note(`${what} ${megabytes(bytes)} at ${where}`);
  }

  /** @param label - Unique within the test. */
  async snapshot(label: string): Promise<SuiteSnapshot> {
    const { source, memory, prefix, signal } = this.#options;
    signal.throwIfAborted();
    const name = `${prefix}-${label}`;
    const { touchCount } = memory;
    const versions = memory.versions.freeze();
    // Not to be interrupted: one that nobody has waited for would stay.
    const { uuid } = await this.service.createSnapshot({ name, volumeUuid: source.uuid });
    const taken = { label, uuid, name, versions, touchCount };
    this.#snapshots.set(uuid, taken);
    return taken;
  }

  async deleteSnapshot({ uuid }: SuiteSnapshot): Promise<void> {
    await this.service.deleteSnapshot(uuid);
    this.#snapshots.delete(uuid);
  }

  /** Those that the test has made and not deleted, the newest first. */
  get snapshotsLeft(): readonly SuiteSnapshot[] {
    return [...this.#snapshots.values()].reverse();
  }

  /** Asks for a diff, and judges it. @throws {SuiteFailure} As `judge`. */
  async diff(snapshot: SuiteSnapshot, base?: SuiteSnapshot): Promise<Answer> {
    const answer = this.#judged(await this.ask(snapshot.uuid, base?.uuid), snapshot, base);
    const { rangeCount, pages, reported } = answer;
    const bytes = megabytes(reported.size * this.layout.blockSizeBytes);
    this.note(
      `${answer.what}: ${rangeCount} ranges / ${pages.length} page(s) / ${reported.size} LBAs (${bytes} reported)`,
    );
    return answer;
  }

  /**
   * Asks for a diff, and judges nothing.
   *
   * @throws {SuiteFailure} If there is no end to it.
   */
  async ask(
    snapshotUuid: string,
    baseSnapshotUuid?: string,
    offsetLba?: number,
  ): Promise<readonly AnswerPage[]> {
    const { source, signal } = this.#options;
    // A page is about one chunk at the least.
    const pagesMax = Math.ceil(source.device.blockCount / this.service.diffCapabilities.chunkBlocks) + 1;
    const request = {
      snapshotUuid,
      ...(baseSnapshotUuid === undefined ? {} : { baseSnapshotUuid }),
      ...(offsetLba === undefined ? {} : { offsetLba }),
    };
    const pages: AnswerPage[] = [];
    for await (const page of this.service.diff(request, { signal }))
      if (pages.push(page) > pagesMax)
        throw new SuiteFailure(`a diff of more than ${pagesMax} pages, though there are no more chunks`, {
          faultClass: "contract",
        });
    return pages;
  }

  /** Asks again from some offsets on, as a client does that goes on after a page. */
  async expectRestFrom(
    answer: Answer,
    [snapshot, base]: readonly [SuiteSnapshot, SuiteSnapshot | undefined],
    offsets: readonly number[],
  ): Promise<void> {
    const volumeBlocks = this.#options.source.device.blockCount;
    const { chunkBlocks } = this.service.diffCapabilities;
    const inside = offsets.filter((offset) => offset < volumeBlocks);
    for (const offset of inside) {
      const pages = await this.ask(snapshot.uuid, base?.uuid, offset);
      expectRest(answer, pages, { offset, volumeBlocks, chunkBlocks });
    }
    this.note(`${answer.what}: the same from each of ${inside.length} offsets on`);
  }

  /**
   * Copies what a diff reports to the target, and judges the diff and how much was copied.
   *
   * @throws {SuiteFailure} As `judge`, or if what was copied is not what was reported.
   */
  async sync(snapshot: SuiteSnapshot, base?: SuiteSnapshot): Promise<Copy> {
    const { target, memory, signal } = this.#options;
    const pages: AnswerPage[] = [];
    const result = await syncSnapshot({
      service: recordingDiffs(this.service, pages),
      snapshotUuid: snapshot.uuid,
      ...(base === undefined ? {} : { baseSnapshotUuid: base.uuid }),
      to: target.device,
      signal,
    }).catch((error: unknown) => {
      memory.forgetTarget();
      throw error;
    });
    const against = base === undefined ? "" : ` against ${base.label}`;
    const bytes = megabytes(result.bytesCopied);
    this.note(`synced ${snapshot.label}${against}: ${result.rangeCount} ranges / ${bytes}`);
    let answer: Answer;
    try {
      answer = this.#judged(pages, snapshot, base);
    } catch (error) {
      memory.forgetTarget();
      throw error;
    }
    for (const run of answer.reported.minus(new BlockSet())) memory.copied.copy(run, snapshot.versions);
    const expected = answer.reported.size * this.layout.blockSizeBytes;
    if (result.bytesCopied !== expected)
      throw new SuiteFailure(`${result.bytesCopied} bytes copied, though the diff reports ${expected}`);
    return { ...result, answer };
  }

  #judged(pages: readonly AnswerPage[], snapshot: SuiteSnapshot, base: SuiteSnapshot | undefined): Answer {
    const { source, memory } = this.#options;
    // What a volume held before the suite began may be reported without base.
    const isAllKnown = base !== undefined || source.wasEmpty;
    return judge(pages, {
      ...{ snapshot, base, volumeBlocks: source.device.blockCount },
      capabilities: this.service.diffCapabilities,
      touched: isAllKnown ? memory.touchedBetween(base?.touchCount ?? 0, snapshot.touchCount) : undefined,
    });
  }

  /**
   * The target holds regions of a snapshot, and right beside them what it held before.
   *
   * @throws {SuiteFailure} As `checkCopied`.
   */
  async expectCopied(snapshot: SuiteSnapshot, ...regions: readonly Region[]): Promise<void> {
    this.notes.push(...(await checkCopied(this.#options, snapshot, regions)));
  }

  /** @throws {SuiteFailure} As `checkHeld`. */
  expectHeld(snapshot: SuiteSnapshot, changed: readonly BlockRange[]): Promise<void> {
    return checkHeld(this.#options, snapshot, changed);
  }
}
