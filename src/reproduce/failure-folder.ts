/**
 * The folder that a failure leaves: what is needed to understand it, to judge it again, and to run it again.
 *
 *   run.yml             the whole configuration with its seed, bounded where the run ended
 *   failure.json        violations, context, and what every other file is; see `dump-format.ts`
 *   failure.txt         the violations for people
 *   history.txt         the history, if it was written and not drawn; "run.yml" says then only what it was performed on
 *   observed-N.bin      the N-th wrong block, as it was found; reread-N.bin: as it was read again, the last time
 *   expected-N-K.bin    what it may hold: bytes of its allowed states, the newest first
 *   range-N.bin         all that was read together with it
 *   diff-N.json         the answers of a diff
 *   model/run.sqlite    what the model knew when the run was over, as a run that is kept on disk has it
 *   operations.sqlite   the last operations, with their times
 *   image/*.img         sparse images of volumes and snapshots, if the configuration says `dump: image`
 *
 * Each file is written whole or not at all, and "failure.json" last, anew with every violation: whenever the process
 * ends, the folder can be read. What can not be written, because the disk is full or the target does not answer, is
 * listed and warned of; everything else is there. No token and no secret is part of a configuration or of what the
 * model knows, so none can get in.
 *
 * @packageDocumentation
 */
import { describeViolation, type Violation } from "../model/violation.ts";
import type { Config } from "../runner/config/schema.ts";
import { configToYaml } from "../runner/config/write.ts";
import type { Exhibit } from "../runner/exhibit.ts";
import { writeOperationLog } from "../runner/operation-log-file.ts";
import type { Run } from "../runner/run.ts";
import { RunStoreError } from "../runner/run-store-error.ts";
import { writeRunMemory } from "../runner/run-memory.ts";
import type { Target } from "../runner/target.ts";
import { operationAt } from "../selectors/operations.ts";
import type { DeviceCapabilities } from "../sut/port.ts";
import type { BugNote, DumpedOperation, ImageEntry } from "./dump.ts";
import { DumpFiles } from "./dump-files.ts";
import { configDigestOf, type ExhibitJson, failureText, fileNames, type FailureJson } from "./dump-format.ts";
import { ExhibitWriter } from "./dumped-exhibits.ts";
import { diskFiles, type FileSystem } from "./file-system.ts";
import { writeImages } from "./image-writer.ts";

/** What a failure folder says beside what the run knows of itself. */
export interface FailureContext {
  readonly version: string;
  /** The text of the history, if it was written and not drawn. */
  readonly history?: string;
  /** The mistake that the target made on purpose. */
  readonly bug?: BugNote | undefined;
  /** Where the folder is made; the disk if left out. */
  readonly fileSystem?: FileSystem;
}

/** Violations of which bytes and text are kept. */
const keptMax = 100;
/** Operations in flight or in doubt that are listed, of each. */
const operationsMax = 1000;
/** Bytes of exhibits that may wait for the disk; what is beyond loses the range that was read with it. */
const waitingBytesMax = 128 * 2 ** 20;

/** A violation that is kept, and what became of its exhibit. */
interface Kept {
  readonly violation: Violation;
  /** Until it is written, or can not be. */
  waiting: Exhibit | undefined;
  written: ExhibitJson | undefined;
}

/** What was going on when the first violation was found. */
interface FirstLook {
  readonly failedAt: Date;
  readonly inFlight: readonly DumpedOperation[];
  readonly inDoubt: readonly DumpedOperation[];
}

export class FailureFolder {
  readonly #context: FailureContext;
  readonly #startedAt = new Date();
  readonly #kept: Kept[] = [];
  readonly #missing: string[] = [];
  #first: FirstLook | undefined;
  #beyondCount = 0;
  #waitingBytes = 0;
  #files: DumpFiles | undefined;
  #exhibits: ExhibitWriter | undefined;
  #images: readonly ImageEntry[] = [];
  #isComplete = false;
  #isImageDue = false;
  /** Why "failure.json" is not as it should be; absent if it is. */
  #failure: unknown;
  #writing: Promise<void> = Promise.resolve();

  constructor(context: FailureContext) {
    this.#context = context;
  }

  /** Where the folder is; `undefined` while there is no failure. */
  get path(): string | undefined {
    return this.#files?.path;
  }

  /** Adds a violation; its files are written in the background, in order. See {@link FailureFolder.finish}. */
  add(violation: Violation, exhibit: Exhibit | undefined, run: Run): void {
    if (this.#kept.length >= keptMax) {
      this.#beyondCount++;
      return;
    }
    this.#first ??= firstLook(run);
    this.#kept.push({ violation, waiting: this.#bounded(exhibit), written: undefined });
    this.#writing = this.#writing
      .then(() => this.#writeRound(run))
      .catch((error: unknown) => {
        this.#failure = error;
      });
  }

  /**
   * Waits until all is written, and adds what can only be known when the run is over; to be called then, with its
   * target still open. What could not be written is warned of.
   *
   * @throws {Error} If there is no folder that could be read; what was written before stays.
   */
  async finish(run: Run): Promise<void> {
    await this.#writing;
    if (this.#first === undefined) return;
    if (this.#files === undefined) await this.#writeRound(run);
    if (this.#files !== undefined && !this.#isComplete) {
      this.#isComplete = true;
      if (this.#beyondCount > 0)
        this.#missing.push(`violations beyond the first ${keptMax}: there were ${this.#beyondCount} more`);
      await this.#writeModel(run, this.#files);
      this.#isImageDue = run.config.dump === "image";
      await this.#writeFailure(run, this.#files);
      if (this.#isImageDue) {
        const violations = this.#kept.map(({ violation }) => violation);
        this.#images = await writeImages(run, this.#files, violations, (what) => this.#missing.push(what));
        this.#isImageDue = false;
      }
      await this.#files.releaseReserve();
      await this.#writeFailure(run, this.#files);
    }
    const where = this.path ?? run.config.failures;
    for (const what of this.#missing) run.log.warn(`failure folder ${where} lacks ${what}`);
    const failure = this.#failure;
    if (failure !== undefined)
      throw new Error(`the failure folder ${where} is not complete: ${messageOf(failure)}`, {
        cause: failure,
      });
  }

  /** Writes what waits. */
  async #writeRound(run: Run): Promise<void> {
    const waiting = this.#kept.filter((kept) => kept.waiting !== undefined);
    const isFirst = this.#files === undefined;
    try {
      this.#files ??= await this.#create(run);
    } catch (error) {
      this.#failure = error;
      return;
    }
    const files = this.#files;
    this.#exhibits ??= new ExhibitWriter(files);
    // What there is to say is said first: bytes may be many.
    if (isFirst) {
      await this.#writeHistory(run, files);
      await this.#writeFailure(run, files);
    }
    for (const kept of waiting) await this.#writeExhibit(run, kept, this.#exhibits);
    if (!isFirst || waiting.length > 0) await this.#writeFailure(run, files);
  }

  async #writeExhibit(run: Run, kept: Kept, exhibits: ExhibitWriter): Promise<void> {
    const { violation, waiting } = kept;
    if (waiting === undefined) return;
    const about = { number: this.#kept.indexOf(kept), violation, format: run.workload.run.format };
    try {
      kept.written = await exhibits.write(waiting, about, (what) => this.#missing.push(what));
    } catch (error) {
      this.#missing.push(`what was seen of violation ${about.number}: ${messageOf(error)}`);
    }
    kept.waiting = undefined;
    this.#waitingBytes -= bytesOf(waiting);
  }

  async #writeHistory(run: Run, files: DumpFiles): Promise<void> {
    const { history } = this.#context;
    if (history !== undefined)
      await this.#orMissing(fileNames.history, () => files.put(fileNames.history, history));
    else if (run.isWritten) this.#missing.push(`${fileNames.history}: nobody told its text`);
  }

  async #writeModel(run: Run, files: DumpFiles): Promise<void> {
    const { version } = this.#context;
    const startedAt = this.#startedAt.toISOString();
    const elapsedMs = Date.now() - this.#startedAt.getTime();
    await this.#orMissing("the model's state", async () => {
      await files.putBy(fileNames.model, (path) =>
        writeRunMemory(path, run, { version, startedAt, elapsedMs }),
      );
      await files.list(fileNames.memory);
    });
    await this.#orMissing("the operation log", async () => {
      const describe = (position: number) => operationOf(run, position);
      await files.putBy(fileNames.operations, (path) =>
        writeOperationLog(path, run.operationLog, { describe }),
      );
      await files.list(fileNames.operations);
    });
  }

  async #orMissing(what: string, write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      this.#missing.push(`${what}: ${messageOf(error)}`);
    }
  }

  /** "run.yml", "failure.txt", and then "failure.json"; never rejects. */
  async #writeFailure(run: Run, files: DumpFiles): Promise<void> {
    const { version } = this.#context;
    const seed = `0x${run.seed.toString(16)}`;
    const yaml = configToYaml(boundedConfig(run));
    try {
      await files.putUnlisted(fileNames.config, `${configHead(version)}${yaml}`);
      const head = `harrow ${version}, seed ${seed}, after ${run.ltsBegun} lts on ${run.target.description}\n\n`;
      const text = this.#kept.map(({ violation }) => describeViolation(violation)).join("\n\n");
      await files.putUnlisted(fileNames.text, `${head}${text}\n`);
    } catch (error) {
      await files.releaseReserve();
      this.#noteOnce(`the newest ${fileNames.config} or ${fileNames.text}: ${messageOf(error)}`);
    }
    for (let tries = 1; ; tries++) {
      try {
        await files.putUnlisted(
          fileNames.failure,
          failureText(this.#failureJson(run, files, { seed, yaml })),
        );
        this.#failure = undefined;
        return;
      } catch (error) {
        this.#failure = error;
        if (tries === 2) return;
        await files.releaseReserve();
      }
    }
  }

  #noteOnce(what: string): void {
    if (!this.#missing.includes(what)) this.#missing.push(what);
  }

  #failureJson(
    run: Run,
    files: DumpFiles,
    { seed, yaml }: { readonly seed: string; readonly yaml: string },
  ): Omit<FailureJson, "format" | "sha256"> {
    const { version, bug } = this.#context;
    const { tracker } = run;
    const { failedAt, inFlight, inDoubt } = this.#first!;
    return {
      ...{ version, seed, name: run.name, isComplete: this.#isComplete },
      startedAt: this.#startedAt.toISOString(),
      failedAt: failedAt.toISOString(),
      ltsCount: run.ltsBegun,
      ltsStartedMax: tracker.ltsStartedMax,
      ltsCompleteMax: tracker.ltsCompleteMax,
      lastEvent: tracker.lastEvent,
      history: run.isWritten ? "written" : "drawn",
      historyDigest: run.digest.read(),
      configDigest: configDigestOf(yaml),
      ...(bug === undefined ? {} : { bug }),
      target: targetJson(run),
      inFlight: [...inFlight],
      inDoubt: [...inDoubt],
      unexplainedCount: run.unexplainedCount,
      violations: this.#kept.map(({ violation, written }) => ({
        ...violation,
        operations: [...violation.operations],
        ...(written === undefined ? {} : { exhibit: written }),
      })),
      images: this.#images.map((image) => imageJson(image)),
      missing: [...this.#missing, ...this.#unfinished()],
      clock: clockJson(run),
      files: Object.fromEntries(files.entries),
    };
  }

  /** What is not written yet, in case nobody comes back to write it. */
  #unfinished(): readonly string[] {
    const waiting = this.#kept.flatMap(({ waiting }, number) =>
      waiting === undefined ? [] : [`what was seen of violation ${number}: not written yet`],
    );
    const model = "the model's state and the operation log: the run was not over yet";
    return [
      ...waiting,
      ...(this.#isComplete ? [] : [model]),
      ...(this.#isImageDue ? [`${fileNames.images}: not written yet`] : []),
    ];
  }

  /** An exhibit, without what there is no room for. */
  #bounded(exhibit: Exhibit | undefined): Exhibit | undefined {
    if (exhibit === undefined) return undefined;
    if (this.#waitingBytes + bytesOf(exhibit) > waitingBytesMax && exhibit.kind === "block") {
      const { judged: _judged, ...rest } = exhibit;
      this.#missing.push(
        `what was read with the block of violation ${this.#kept.length}: too much was waiting for the disk`,
      );
      this.#waitingBytes += bytesOf(rest);
      return rest;
    }
    this.#waitingBytes += bytesOf(exhibit);
    return exhibit;
  }

  #create({ config, seed }: Run): Promise<DumpFiles> {
    const time = this.#startedAt.toISOString().replaceAll(/[-:]|\.\d+Z/g, "");
    const name = `${time}-${this.#kept[0]!.violation.class}-${seed.toString(16)}`;
    return DumpFiles.create(this.#context.fileSystem ?? diskFiles, config.failures, name);
  }
}

/** The configuration that ends where the run ended. */
function boundedConfig({ config, seed, ltsBegun }: Run): Config {
  return { ...config, seed, runner: { ...config.runner, lts: Math.max(1, ltsBegun), duration: undefined } };
}

function configHead(version: string): string {
  return `# What harrow ${version} ran when it found what ${fileNames.text} tells, bounded where that run ended.
# Positions and times are in ${fileNames.failure} and ${fileNames.model}. An edited copy can be run with harrow fuzz.
`;
}

function firstLook(run: Run): FirstLook {
  const { tracker } = run;
  const inFlight: number[] = [];
  for (const { position, outcome } of tracker.recentTimes())
    if (outcome === "inFlight") inFlight.push(position);
  const described = (positions: readonly number[]): readonly DumpedOperation[] =>
    positions.slice(0, operationsMax).flatMap((position) => operationOf(run, position) ?? []);
  return { failedAt: new Date(), inFlight: described(inFlight), inDoubt: described(tracker.inDoubt) };
}

function operationOf({ workload }: Run, position: number): DumpedOperation | undefined {
  const found = workload.operationOf(position);
  if (found === undefined) return undefined;
  const { extent, operation } = found;
  const { kind, operationId, firstBlock, blockCount } = operation;
  const { lts } = operationAt(position);
  return { lts, operationId, kind, volume: extent.volume, block: extent.firstBlock + firstBlock, blockCount };
}

function targetJson({ target, config }: Run): FailureJson["target"] {
  const { description, isLasting, volumes, service } = target;
  const { kind } = config.target;
  const { granularityBlocks, chunkBlocks } = service.diffCapabilities;
  return {
    ...{ description, kind, isLasting },
    ...(kind === "block" ? {} : { diffCapabilities: { granularityBlocks, chunkBlocks } }),
    volumes: volumes.map(volumeJson),
  };
}

function volumeJson({
  uuid,
  isCreated,
  secondUuid,
  device,
}: Target["volumes"][number]): FailureJson["target"]["volumes"][number] {
  const { identity, capabilities, blockCount } = device;
  return {
    ...{ uuid, isCreated },
    ...(secondUuid === undefined ? {} : { secondUuid }),
    identity: {
      name: identity.name,
      ...(identity.uuid === undefined ? {} : { uuid: identity.uuid }),
      ...(identity.nsid === undefined ? {} : { nsid: identity.nsid }),
    },
    capabilities: capabilitiesJson(capabilities),
    blockCount,
  };
}

/** One by one, for a device may work them out when it is asked. */
function capabilitiesJson(capabilities: DeviceCapabilities): DeviceCapabilities {
  const { blockSizeBytes, transferBlocksMax, atomicWriteBlocks, atomicWriteBlocksPowerFail } = capabilities;
  const { volatileWriteCache, deallocatedReads, writeZeroes, deallocate, compare } = capabilities;
  const { compareAndWriteBlocksMax } = capabilities;
  return {
    ...{ blockSizeBytes, transferBlocksMax, atomicWriteBlocks, atomicWriteBlocksPowerFail },
    ...{ volatileWriteCache, deallocatedReads, writeZeroes, deallocate, compare },
    compareAndWriteBlocksMax,
  };
}

function clockJson({ ltsClock }: Run): FailureJson["clock"] {
  const { points, ...rest } = ltsClock.toJSON();
  return { ...rest, points: points.map(([lts, ms]) => [lts, ms]) };
}

function imageJson({ file, volume, snapshot, unread }: ImageEntry): FailureJson["images"][number] {
  return { file, volume, ...(snapshot === undefined ? {} : { snapshot }), unread: [...unread] };
}

function bytesOf(exhibit: Exhibit): number {
  if (exhibit.kind === "diff") return 0;
  return exhibit.found.length + (exhibit.reread?.length ?? 0) + (exhibit.judged?.bytes.length ?? 0);
}

function messageOf(error: unknown): string {
  // What it advises is for runs that go on.
  if (error instanceof RunStoreError && error.cause instanceof Error) return error.cause.message;
  return error instanceof Error ? error.message : String(error);
}
