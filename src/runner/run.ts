/**
 * A run in progress: the workload, the model of it, the target, and what was found so far.
 *
 * Visitors share one of these. It holds no policy: what happens when is the runner's business.
 *
 * @packageDocumentation
 */
import { Kernel } from "../generators/kernel.ts";
import { ContentChecker } from "../model/content-checker.ts";
import { Diagnosis } from "../model/diagnosis.ts";
import { DiffChecker } from "../model/diff-checker.ts";
import { DurabilityLog } from "../model/durability.ts";
import { Ledger, type LedgerState } from "../model/ledger.ts";
import { LtsClock } from "../model/lts-clock.ts";
import { Reconciler } from "../model/reconciler.ts";
import { Tracker } from "../model/tracker.ts";
import type { Violation } from "../model/violation.ts";
import { VisibleChecker } from "../model/visible-checker.ts";
import type { History } from "../selectors/history.ts";
import { Workload } from "../selectors/workload.ts";
import { type Clock, systemClock } from "../sut/clock.ts";
import { Activity } from "./activity.ts";
import { BlockOrder } from "./block-order.ts";
import { BufferPool } from "./buffers.ts";
import type { Config } from "./config/schema.ts";
import type { Exhibit } from "./exhibit.ts";
import type { KeptSnapshot } from "./kept-snapshot.ts";
import { Fence } from "./fences.ts";
import { type DigestLink, HistoryDigest } from "./history-digest.ts";
import { Liveness } from "./liveness.ts";
import { OperationLog } from "./operation-log.ts";
import type { RunLog } from "./run-log.ts";
import type { Target } from "./target.ts";
import { UnequalBlocks } from "./unequal-blocks.ts";
import { depthOf, workloadShape } from "./workload-shape.ts";

/** Extents that are read at the same time by a check. */
export const readAhead = 4;
/** Memory for operations in flight; those beyond wait for a buffer. */
const writeBufferBytesMax = 64 * 2 ** 20;
const readBufferBytesMax = 16 * 2 ** 20;
const readBuffersMax = 16;

/** What a run that goes on takes over from the time before. */
export interface ResumedRun {
  readonly tracker: Tracker;
  readonly ledger: LedgerState;
  /** Absent, as the clock is, if the run ended before it had kept any. */
  readonly digest: DigestLink | undefined;
  readonly clock: unknown;
  /** Milliseconds that the run had gone on for. */
  readonly elapsedMs: number;
  /** See {@link UnequalBlocks}. */
  readonly unequal?: readonly (readonly number[])[] | undefined;
}

/** Keeps a run on disk; absent for one that is not to be resumed. */
export interface RunRecorder {
  /** Durably notes that lts up to this may have been begun. */
  reserve(ltsMax: number): void;
  /** Durably notes that nothing is under way, and that none above this was begun. */
  release(ltsMax: number): void;
  putDocument(name: string, value: unknown): void;
  commit(): void;
  commitDurably(): void;
}

export interface RunOptions {
  readonly config: Config;
  readonly seed: bigint;
  /** What the run's objects on the target are called. */
  readonly name: string;
  readonly target: Target;
  readonly log: RunLog;
  /** Aborted by Ctrl-C: in-flight work is drained, nothing new begins. */
  readonly signal: AbortSignal;
  /** Told at once of what is wrong, and what was seen of it; must be quick. */
  readonly onViolation: (violation: Violation, exhibit: Exhibit | undefined) => void;
  readonly clock?: Clock;
  readonly recorder?: RunRecorder;
  readonly resumed?: ResumedRun;
  /** Makes the history, if it is not to be drawn from the seed; its content is to be of that seed all the same. */
  readonly history?: (kernel: Kernel) => History;
}

export class Run {
  readonly config: Config;
  readonly seed: bigint;
  readonly name: string;
  readonly target: Target;
  readonly log: RunLog;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly recorder: RunRecorder | undefined;
  /** The history was given, not drawn: what it has in store does not stand in the configuration. */
  readonly isWritten: boolean;
  readonly workload: History;
  readonly tracker: Tracker;
  readonly reconciler: Reconciler;
  readonly content: ContentChecker;
  readonly visible: VisibleChecker;
  readonly diagnosis: Diagnosis;
  readonly diffs: DiffChecker;
  readonly durability: DurabilityLog;
  readonly ledger: Ledger;
  readonly digest: HistoryDigest;
  readonly ltsClock: LtsClock;
  readonly order: BlockOrder;
  readonly activity = new Activity();
  readonly liveness: Liveness;
  /** The last operations and control steps of this process. */
  readonly operationLog: OperationLog;
  readonly violations: Violation[] = [];
  /** Blocks of each volume of which the two devices need not agree: an operation failed on one of them. */
  readonly unequal: UnequalBlocks;
  /** Wrong blocks that were found beyond those explained. */
  unexplainedCount = 0;
  targetErrorCount = 0;
  /** What ended the run, beside violations. */
  failure: unknown;
  /** How many lts were begun, or at least looked forward to: so many show again what was found. */
  ltsBegun = 0;
  /** Those on the target, and deleted ones that the history may still ask for. */
  snapshotsKept: readonly KeptSnapshot[] = [];
  /** Of the latest crash that may have dropped something; −1 before. */
  crashLts = -1;
  /** The configuration has the target put to trouble. */
  readonly isTroubled: boolean;
  readonly writeBuffers: BufferPool;
  readonly readBuffers: BufferPool;
  readonly extentBuffers: BufferPool;
  /** One block, for wrong ones to be read again: whoever has it waits for nothing else. */
  readonly rereadBuffers: BufferPool;
  #isKeepingUnequal = false;
  readonly #fences: readonly Fence[];
  readonly #onViolation: (violation: Violation, exhibit: Exhibit | undefined) => void;

  constructor(options: RunOptions) {
    const { config, seed, target, resumed } = options;
    this.config = config;
    this.isTroubled = Object.values(config.faults).some((fault) => fault !== undefined);
    this.seed = seed;
    this.name = options.name;
    this.target = target;
    this.log = options.log;
    this.signal = options.signal;
    this.clock = options.clock ?? systemClock;
    this.recorder = options.recorder;
    this.operationLog = new OperationLog({ clock: this.clock });
    this.#onViolation = options.onViolation;
    const shape = workloadShape(config);
    const { geometry } = shape;
    const extentBytes = (geometry.extentBlocks + 1) * geometry.blockSizeBytes;
    const operationBytes = config.operations.blocks.max * geometry.blockSizeBytes;
    const { perBatch } = config.operations;
    const writeCount = Math.max(
      perBatch.max,
      Math.min(depthOf(config) * perBatch.max, Math.floor(writeBufferBytesMax / operationBytes)),
    );
    const readCount = Math.max(4, Math.min(readBuffersMax, Math.floor(readBufferBytesMax / operationBytes)));
    const scratchBytes = 4 * 2 ** 20 + geometry.extentBlocks * 64;
    const kernel = new Kernel({
      memoryBytes:
        scratchBytes +
        (readAhead + 1) * (extentBytes + 8192) +
        (writeCount + readCount) * (operationBytes + 8192),
    });
    const { volumes } = target;
    const first = volumes[0]!.device.capabilities;
    this.isWritten = options.history !== undefined;
    this.workload = options.history?.(kernel) ?? new Workload(kernel, seed, shape);
    this.digest = new HistoryDigest(this.workload);
    this.tracker = resumed?.tracker ?? new Tracker();
    this.tracker.deallocateIsAdvice = first.deallocatedReads !== "zeros";
    this.durability = new DurabilityLog({
      hasVolatileCache: config.faults.crash !== undefined && first.volatileWriteCache,
    });
    this.reconciler = new Reconciler(this.workload, this.tracker);
    this.content = new ContentChecker(this.workload, this.tracker, this.reconciler);
    this.visible = new VisibleChecker(this.workload, this.tracker);
    this.diagnosis = new Diagnosis(this.workload, this.tracker, this.reconciler);
    this.diffs = new DiffChecker(this.workload, this.tracker, this.reconciler);
    this.ledger = new Ledger(
      this.workload,
      this.tracker,
      this.reconciler,
      resumed === undefined ? undefined : { state: resumed.ledger, ltsMax: this.tracker.ltsCompleteMax },
    );
    this.ltsClock = resumed?.clock === undefined ? new LtsClock() : LtsClock.fromJSON(resumed.clock);
    if (resumed !== undefined) {
      this.ltsBegun = this.tracker.ltsStartedMax + 1;
      this.digest.resume(resumed.digest ?? this.digest.link, this.ltsBegun);
    }
    this.order = new BlockOrder({ overlap: config.runner.overlap === "allow" });
    this.writeBuffers = new BufferPool(kernel, { count: writeCount, byteLength: operationBytes });
    this.readBuffers = new BufferPool(kernel, { count: readCount, byteLength: operationBytes });
    // One block more than an extent, to which a wrong block is read again.
    this.extentBuffers = new BufferPool(kernel, { count: readAhead, byteLength: extentBytes });
    this.rereadBuffers = new BufferPool(kernel, { count: 1, byteLength: geometry.blockSizeBytes });
    this.unequal = new UnequalBlocks(volumes.length, {
      ...(resumed?.unequal === undefined ? {} : { known: resumed.unequal }),
      onAdded: () => this.#keepUnequal(),
    });
    this.liveness = new Liveness({
      config,
      clock: this.clock,
      tracker: this.tracker,
      workload: this.workload,
      isExcused: this.isTroubled,
      report: (violation) => {
        if (!this.isOver) this.violation(violation);
      },
    });
    this.#fences = volumes.map(({ device, second }, volume) => {
      const devices = second === undefined ? [device] : [device, second];
      return new Fence(
        devices.map((one) => ({ read: (request) => this.liveness.read(one, volume, request) })),
        kernel.allocate(geometry.blockSizeBytes).bytes,
        { quiesceMs: "quiesceTime" in config.target ? config.target.quiesceTime : 0, clock: this.clock },
      );
    });
  }

  get isOver(): boolean {
    const { stopAfterViolations, stopAfterTargetErrors } = this.config.runner;
    return (
      this.signal.aborted ||
      this.failure !== undefined ||
      this.target.failure !== undefined ||
      this.violations.length >= stopAfterViolations ||
      this.targetErrorCount >= stopAfterTargetErrors
    );
  }

  /** Resolves when what was in doubt on a volume before the call has happened or never will. */
  fence(volume: number): Promise<boolean> {
    return this.#fences[volume]!.passed();
  }

  /** A failure of the target that the run survives. */
  targetError(message: string): void {
    this.targetErrorCount++;
    // Trouble that was asked for is no news.
    if (this.isTroubled) this.log.info(message);
    else this.log.warn(message);
  }

  /** Something that ends the run; the first counts. */
  fail(error: unknown): void {
    this.failure ??= error;
  }

  /** Once for all that is added together, and before the operations that it is about are known to have ended. */
  #keepUnequal(): void {
    const { recorder } = this;
    if (recorder === undefined || this.#isKeepingUnequal) return;
    this.#isKeepingUnequal = true;
    queueMicrotask(() => {
      this.#isKeepingUnequal = false;
      recorder.putDocument("unequal", this.unequal);
    });
  }

  violation(violation: Violation, exhibit?: Exhibit): void {
    this.violations.push(violation);
    this.#onViolation(violation, exhibit);
  }
}
