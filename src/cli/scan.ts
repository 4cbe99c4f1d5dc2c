/**
 * `harrow scan`: classifies every block of a volume from the seed of its run, and writes nothing.
 *
 * @packageDocumentation
 */
import { realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Dump, DumpError } from "../reproduce/dump.ts";
import { fileNames } from "../reproduce/dump-format.ts";
import { historyOf } from "../reproduce/history-of.ts";
import { memoryOf, readDump } from "../reproduce/read-dump.ts";
import { openImage } from "../reproduce/rejudge/dump-target.ts";
import { openScanTarget, type ScanTarget } from "../reproduce/scan/open-target.ts";
import { scanJson, scanText } from "../reproduce/scan/report.ts";
import { trackerOf } from "../reproduce/scan/run-state.ts";
import { ScanError, type ScanReport, scan, wrongCount } from "../reproduce/scan/scan.ts";
import { surveyorBytes } from "../reproduce/scan/survey.ts";
import { ConfigError, parseConfig } from "../runner/config/load.ts";
import type { Config } from "../runner/config/schema.ts";
import { type RunMemory, readRunMemory } from "../runner/run-store.ts";
import { RunStoreError } from "../runner/run-store-error.ts";
import { depthOf } from "../runner/workload-shape.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { ltsMax } from "../selectors/operations.ts";
import { type BlockRange, ServiceError } from "../sut/port.ts";
import { exitCodes } from "./exit-codes.ts";
import { isOfTarget, readConfigFile } from "./fuzz.ts";
import { createLog, type Log, type LogLevel } from "./log.ts";
import { wholeNumber } from "./options.ts";

export interface ScanFlags {
  readonly seed?: string;
  readonly config?: string;
  readonly run?: string;
  readonly volume?: string;
  readonly snapshot?: string;
  readonly lts?: string;
  readonly blocks?: string;
  readonly limit: string;
  readonly map?: true;
  readonly json?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface ScanCommandOptions {
  /** A path, or `nvme-tcp://host:port/<subsystem NQN>[?nsid=N]`. */
  readonly target: string;
  readonly flags: ScanFlags;
  readonly version: string;
  readonly signal: AbortSignal;
}

/** Of the kernels' memory, beside what the scan needs. */
const historyBytes = 8 * 2 ** 20;
const findingsMax = 1_000_000;

/** @returns The exit code. */
export async function scanVolume(options: ScanCommandOptions): Promise<number> {
  const { flags, version, signal } = options;
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  try {
    return await perform(options, log);
  } catch (error) {
    if (signal.aborted) return exitCodes.interrupted;
    if (isOfUsage(error)) {
      process.stderr.write(`${error.message}\n`);
      return exitCodes.usage;
    }
    if (!isOfTarget(error)) throw error;
    if (flags.json) process.stdout.write(`${JSON.stringify({ version, targetFailure: error.message })}\n`);
    process.stderr.write(`harrow: the target failed: ${error.message}\n`);
    return exitCodes.target;
  }
}

async function perform(
  { target: where, flags, version, signal }: ScanCommandOptions,
  log: Log,
): Promise<number> {
  const numbers = numbersOf(flags);
  const { config, seed, plan, memory, dump, from } = await sourceOf(flags, log);
  const image = dump === undefined ? undefined : imageAt(dump, where);
  const snapshot = numbers.snapshot ?? image?.snapshot;
  if (snapshot !== undefined && memory === undefined)
    throw new ScanError("--snapshot: what a snapshot holds is known from its run only: name it by --run");
  process.stderr.write(`harrow ${version}, seed 0x${seed.toString(16)}\n`);
  const history = historyOf({ config, seed, plan }, { memoryBytes: surveyorBytes + historyBytes });
  await using target =
    dump !== undefined && image !== undefined
      ? await imageTarget(dump, image)
      : await openScanTarget(where, { blockSizeBytes: config.geometry.blockSize, log, signal });
  const volume = numbers.volume ?? image?.volume;
  const progress = new Progress(flags.json !== true && process.stderr.isTTY);
  const report = await scan({
    device: target.device,
    history,
    volume,
    lts: numbers.lts,
    state: memory === undefined ? undefined : { tracker: trackerOf(memory, history), snapshot },
    depth: plan === undefined ? depthOf(config) : (plan.depth ?? 1),
    blocks: blocksOf(flags.blocks),
    deallocatedReads: dump?.target.volumes[volume ?? 0]?.capabilities.deallocatedReads,
    limit: numbers.limit,
    signal,
    onProgress: (share) => progress.update(share),
  }).finally(() => progress.clear());
  const context = {
    ...{ version, seed, target: target.description, snapshot },
    run: memory === undefined ? undefined : from,
    hasMap: flags.map === true,
  };
  process.stdout.write(flags.json ? scanJson(report, context) : scanText(report, context));
  return exitCodeOf(report);
}

function exitCodeOf(report: ScanReport): number {
  if (wrongCount(report) > 0) return exitCodes.violation;
  return report.counts.unreadable > 0 ? exitCodes.target : exitCodes.consistent;
}

/** What the volume is judged by. */
interface Source {
  readonly config: Config;
  readonly seed: bigint;
  readonly plan: HistoryPlan | undefined;
  readonly memory: RunMemory | undefined;
  readonly dump: Dump | undefined;
  readonly from: string;
}

async function sourceOf(flags: ScanFlags, log: Log): Promise<Source> {
  const { run, config: file, seed: text } = flags;
  if (run === undefined) {
    const override = text === undefined ? [] : [{ flag: "--seed", path: ["seed"], value: text }];
    const config = parseConfig(
      file === undefined ? "" : await readConfigFile(file),
      file ?? "defaults",
      override,
    );
    const { seed } = config;
    if (seed === undefined)
      throw new ScanError(
        "--seed: expected the seed of the run, or its configuration or directory by --config or --run",
      );
    return { config, seed, plan: undefined, memory: undefined, dump: undefined, from: file ?? "defaults" };
  }
  if (file !== undefined || text !== undefined)
    throw new ScanError(
      `${file === undefined ? "--seed" : "--config"}: the run has its own, leave it out with --run`,
    );
  return isFile(join(run, fileNames.failure)) ? ofFolder(run, log) : ofRun(run);
}

async function ofFolder(folder: string, log: Log): Promise<Source> {
  const dump = await readDump(folder);
  for (const warning of dump.warnings) log.warn(warning);
  const { config, seed, plan } = dump;
  let memory: RunMemory | undefined;
  try {
    memory = memoryOf(dump);
  } catch (error) {
    if (!(error instanceof DumpError)) throw error;
    log.warn(error.message);
  }
  return { config, seed, plan, memory, dump, from: folder };
}

function ofRun(directory: string): Source {
  const memory = readRunMemory(directory);
  const config = parseConfig(memory.about.configYaml, `configuration of ${directory}`);
  if (config.seed === undefined) throw new ScanError(`${directory}: its configuration has no seed`);
  return { config, seed: config.seed, plan: undefined, memory, dump: undefined, from: directory };
}

type Image = Dump["images"][number];

/** The image of a failure folder that a path names, if it does. */
function imageAt(dump: Dump, path: string): Image | undefined {
  if (!isFile(path)) return undefined;
  const real = realpathSync(path);
  return dump.images.find(({ file }) => {
    const image = join(dump.path, file);
    return isFile(image) && realpathSync(image) === real;
  });
}

async function imageTarget(dump: Dump, image: Image): Promise<ScanTarget> {
  const path = join(dump.path, image.file);
  const device = await openImage(dump, { ...image, path, bytes: statSync(path).size });
  const what = image.snapshot === undefined ? "" : `, which is of snapshot ${image.snapshot}`;
  return {
    description: `${path}${what}`,
    device,
    [Symbol.asyncDispose]: async () => device[Symbol.asyncDispose](),
  };
}

interface Numbers {
  readonly volume: number | undefined;
  readonly snapshot: number | undefined;
  readonly lts: number | undefined;
  readonly limit: number;
}

function numbersOf(flags: ScanFlags): Numbers {
  return {
    volume: numberOf("--volume", flags.volume, 4095),
    snapshot: numberOf("--snapshot", flags.snapshot, Number.MAX_SAFE_INTEGER),
    lts: numberOf("--lts", flags.lts, ltsMax),
    limit: numberOf("--limit", flags.limit, findingsMax)!,
  };
}

function numberOf(flag: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  const value = wholeNumber(text, { max });
  if (value !== undefined) return value;
  throw new ScanError(`${flag}: expected a whole number up to ${max}, got ${text}`);
}

function blocksOf(text: string | undefined): BlockRange | undefined {
  if (text === undefined) return undefined;
  const [, first, last] = /^(\d{1,15})\.\.(\d{1,15})$/.exec(text) ?? [];
  if (first === undefined || last === undefined || Number(last) < Number(first))
    throw new ScanError(`--blocks: expected the first and the last block, such as 0..1023, got ${text}`);
  return { block: Number(first), blockCount: Number(last) - Number(first) + 1 };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isOfUsage(error: unknown): error is Error {
  return (
    error instanceof ScanError ||
    error instanceof ConfigError ||
    error instanceof RunStoreError ||
    error instanceof DumpError ||
    error instanceof ServiceError
  );
}

/** How much has been read, on a terminal. */
class Progress {
  readonly #isShown: boolean;
  #percent = -1;

  constructor(isShown: boolean) {
    this.#isShown = isShown;
  }

  update(share: number): void {
    const percent = Math.floor(share * 100);
    if (!this.#isShown || percent === this.#percent) return;
    this.#percent = percent;
    process.stderr.write(`\rread ${percent} %`);
  }

  clear(): void {
    if (this.#percent >= 0) process.stderr.write(`\r${" ".repeat(12)}\r`);
    this.#percent = -1;
  }
}
