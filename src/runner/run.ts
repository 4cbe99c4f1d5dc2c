/**
 * A run in progress: the workload, the model of it, the target, and what was found so far.
 *
 * Visitors share one of these. It holds no policy: what happens when is the runner's business.
 *
 * @packageDocumentation
 */
import { Kernel, type Region } from "../generators/kernel.ts";
import { ContentChecker } from "../model/content-checker.ts";
import { Diagnosis } from "../model/diagnosis.ts";
import { DiffChecker } from "../model/diff-checker.ts";
import { Ledger } from "../model/ledger.ts";
import { Reconciler } from "../model/reconciler.ts";
import { MemoryTracker, type Tracker } from "../model/tracker.ts";
import type { Violation } from "../model/violation.ts";
import type { Extent } from "../selectors/geometry.ts";
import { Workload } from "../selectors/workload.ts";
import type { BlockDevice } from "../sut/port.ts";
import { BufferPool } from "./buffers.ts";
import type { Config } from "./config/schema.ts";
import { HistoryDigest } from "./history-digest.ts";
import type { RunLog } from "./run-log.ts";
import type { Target } from "./target.ts";
import { TargetFailure } from "./target-failure.ts";
import { workloadShape } from "./workload-shape.ts";

/** Extents that are read at the same time by a check. */
const readAhead = 4;
/** Wrong blocks that are explained of one extent; the others are counted. */
const explainedPerExtentMax = 8;

export class Run {
  readonly config: Config;
  readonly seed: bigint;
  /** What the run's objects on the target are called. */
  readonly name: string;
  readonly target: Target;
  readonly log: RunLog;
  /** Aborted by Ctrl-C: in-flight work is drained, nothing new begins. */
  readonly signal: AbortSignal;
  readonly workload: Workload;
  readonly tracker: Tracker = new MemoryTracker();
  readonly reconciler: Reconciler;
  readonly content: ContentChecker;
  readonly diagnosis: Diagnosis;
  readonly diffs: DiffChecker;
  readonly ledger: Ledger;
  readonly digest: HistoryDigest;
  readonly violations: Violation[] = [];
  /** Wrong blocks that were found beyond those explained. */
  unexplainedCount = 0;
  targetErrorCount = 0;
  /** How many lts were begun, or at least looked forward to: so many show again what was found. */
  ltsBegun = 0;
  readonly writeBuffers: BufferPool;
  readonly #extentBuffers: BufferPool;
  readonly #onViolation: (violation: Violation, bytes: Uint8Array | undefined) => void;

  constructor(options: {
    readonly config: Config;
    readonly seed: bigint;
    readonly name: string;
    readonly target: Target;
    readonly log: RunLog;
    readonly signal: AbortSignal;
    readonly onViolation: (violation: Violation, bytes: Uint8Array | undefined) => void;
  }) {
    const { config, seed } = options;
    this.config = config;
    this.seed = seed;
    this.name = options.name;
    this.target = options.target;
    this.log = options.log;
    this.signal = options.signal;
    this.#onViolation = options.onViolation;
    const shape = workloadShape(config);
    const { geometry } = shape;
    const extentBytes = geometry.extentBlocks * geometry.blockSizeBytes;
    const writeBytes = config.operations.blocks.max * geometry.blockSizeBytes;
    const writeCount = config.operations.perBatch.max;
    const scratchBytes = 4 * 2 ** 20 + geometry.extentBlocks * 32;
    const kernel = new Kernel({
      memoryBytes: scratchBytes + readAhead * (extentBytes + 8192) + writeCount * (writeBytes + 4096),
    });
    this.workload = new Workload(kernel, seed, shape);
    this.digest = new HistoryDigest(this.workload);
    this.reconciler = new Reconciler(this.workload, this.tracker);
    this.content = new ContentChecker(this.workload, this.tracker, this.reconciler);
    this.diagnosis = new Diagnosis(this.workload, this.tracker, this.reconciler);
    this.diffs = new DiffChecker(this.workload, this.tracker, this.reconciler);
    this.ledger = new Ledger(this.workload, this.tracker, this.reconciler);
    this.writeBuffers = new BufferPool(kernel, { count: writeCount, byteLength: writeBytes });
    // One block more than an extent, to which a wrong block is read again.
    this.#extentBuffers = new BufferPool(kernel, {
      count: readAhead,
      byteLength: extentBytes + geometry.blockSizeBytes,
    });
  }

  get isOver(): boolean {
    const { stopAfterViolations, stopAfterTargetErrors } = this.config.runner;
    return (
      this.signal.aborted ||
      this.target.failure !== undefined ||
      this.violations.length >= stopAfterViolations ||
      this.targetErrorCount >= stopAfterTargetErrors
    );
  }

  /** A failure of the target that the run survives. */
  targetError(message: string): void {
    this.targetErrorCount++;
    this.log.warn(message);
  }

  violation(violation: Violation, bytes?: Uint8Array): void {
    this.violations.push(violation);
    this.#onViolation(violation, bytes);
  }

  /**
   * Reads extents and compares them with the model; several are read at a time, in order.
   *
   * @param ltsMax - As of which lts the device must hold them.
   * @param snapshot - Number of the snapshot that the device shows, if it does.
   * @param proven - Extents of that snapshot that were right before; those found right now are added.
   * @returns How many were found right.
   */
  async checkExtents(
    extents: Iterable<Extent>,
    options: {
      readonly deviceOf: (extent: Extent) => BlockDevice;
      readonly ltsMax: number;
      readonly snapshot?: number;
      readonly proven?: Set<number>;
    },
  ): Promise<number> {
    const iterator = extents[Symbol.iterator]();
    let right = 0;
    const worker = async (): Promise<void> => {
      for (;;) {
        if (this.isOver) return;
        const next = iterator.next();
        if (next.done === true) return;
        if (await this.#checkExtent(next.value, options)) right++;
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: readAhead }, worker));
    for (const result of workers) if (result.status === "rejected") throw result.reason;
    return right;
  }

  async #checkExtent(
    extent: Extent,
    {
      deviceOf,
      ltsMax,
      snapshot,
      proven,
    }: {
      readonly deviceOf: (extent: Extent) => BlockDevice;
      readonly ltsMax: number;
      readonly snapshot?: number;
      readonly proven?: Set<number>;
    },
  ): Promise<boolean> {
    const device = deviceOf(extent);
    const buffer = await this.#extentBuffers.take();
    try {
      const { blockSizeBytes } = this.workload.geometry;
      const into = buffer.bytes.subarray(0, extent.blockCount * blockSizeBytes);
      await this.#read(device, extent.firstBlock, extent.blockCount, into);
      const { states, wrong } = this.content.check({ extent, ltsMax, address: buffer.address });
      if (snapshot === undefined) this.ledger.extentCompared(extent, ltsMax, states, wrong);
      else this.ledger.snapshotBlocksCompared(extent.blockCount - wrong.length);
      for (const block of wrong.slice(0, explainedPerExtentMax)) {
        const bytes = into.slice(block * blockSizeBytes, (block + 1) * blockSizeBytes);
        const rereads = await this.#reread({ device, extent, block, ltsMax, seen: bytes, buffer });
        const provenBefore = proven?.has(extent.pd) ?? false;
        const isVolumes =
          snapshot !== undefined &&
          !provenBefore &&
          (await this.#volumeShows({ extent, block, ltsMax, bytes, buffer }));
        const violation = this.diagnosis.explain({
          extent,
          block,
          ...(isVolumes
            ? { ltsMax: this.tracker.ltsCompleteMax, alsoInSnapshot: snapshot }
            : { ltsMax, ...(snapshot === undefined ? {} : { snapshot }) }),
          provenBefore,
          bytes,
          rereads,
        });
        this.violation(violation, bytes);
      }
      this.unexplainedCount += Math.max(0, wrong.length - explainedPerExtentMax);
      if (wrong.length === 0) proven?.add(extent.pd);
      return wrong.length === 0;
    } finally {
      this.#extentBuffers.giveBack(buffer);
    }
  }

  /** Reads; a read whose outcome is unknown is asked again, for it changes nothing. */
  async #read(device: BlockDevice, block: number, blockCount: number, into: Uint8Array): Promise<void> {
    const triesMax = 3;
    for (let tries = 1; ; tries++) {
      const outcome = await device.read({ block, blockCount, into });
      if (outcome.kind === "ok") return;
      const message = `reading ${blockCount} blocks at ${block} of ${device.identity.name}: ${outcome.code}: ${outcome.message}`;
      if (tries === triesMax || outcome.kind === "failed") throw new TargetFailure(message);
      this.log.warn(`${message}; asking again`);
    }
  }

  /** Whether the volume shows the same wrong bytes, and should show the same right ones: then the fault is its own. */
  async #volumeShows({
    extent,
    block,
    ltsMax,
    bytes,
    buffer,
  }: {
    readonly extent: Extent;
    readonly block: number;
    readonly ltsMax: number;
    readonly bytes: Uint8Array;
    readonly buffer: Region;
  }): Promise<boolean> {
    const stateAt = (lts: number): number | undefined =>
      this.reconciler.versions(extent, block, lts).next().value ?? undefined;
    if (stateAt(ltsMax) !== stateAt(this.tracker.ltsCompleteMax)) return false;
    const { device } = this.target.volumes[extent.volume]!;
    const into = buffer.bytes.subarray(buffer.bytes.length - bytes.length);
    const outcome = await device.read({ block: extent.firstBlock + block, blockCount: 1, into });
    return outcome.kind === "ok" && Buffer.compare(into, bytes) === 0;
  }

  /** Tells a block that is stored wrong from one that was read wrong. */
  async #reread({
    device,
    extent,
    block,
    ltsMax,
    seen,
    buffer,
  }: {
    readonly device: BlockDevice;
    readonly extent: Extent;
    readonly block: number;
    readonly ltsMax: number;
    readonly seen: Uint8Array;
    readonly buffer: Region;
  }): Promise<NonNullable<Violation["rereads"]>> {
    const spare = buffer.bytes.length - seen.length;
    const into = buffer.bytes.subarray(spare);
    let isSame = true;
    let isRight = true;
    for (let tries = 0; tries < this.config.checks.rereads; tries++) {
      const outcome = await device.read({ block: extent.firstBlock + block, blockCount: 1, into });
      if (outcome.kind !== "ok") return "failed";
      isSame &&= Buffer.compare(into, seen) === 0;
      isRight &&= this.content.isRight({ extent, block, ltsMax, address: buffer.address + spare });
    }
    if (isSame) return "same";
    return isRight ? "healed" : "changing";
  }
}
