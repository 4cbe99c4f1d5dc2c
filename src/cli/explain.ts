/**
 * `harrow explain`: tells the life of a block, what it may hold and why, from a failure folder, the directory of a
 * run, or a seed alone.
 *
 * @packageDocumentation
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { type Dump, DumpError } from "../reproduce/dump.ts";
import { type Explanation, explainBlock } from "../reproduce/explain.ts";
import { QuestionError } from "../reproduce/explain-operations.ts";
import { explanationJson } from "../reproduce/explain-json.ts";
import {
  type ExplainSource,
  type RunLogFile,
  sourceOfMemory,
  sourceOfSeed,
} from "../reproduce/explain-source.ts";
import { explanationText } from "../reproduce/explain-text.ts";
import { memoryOf, operationLogOf, readDump } from "../reproduce/read-dump.ts";
import { inTurns } from "../reproduce/turns.ts";
import { ConfigError, parseConfig } from "../runner/config/load.ts";
import { seed as seedSchema } from "../runner/config/units.ts";
import { type OperationLogFile, OperationLogError, readOperationLog } from "../runner/operation-log-file.ts";
import { readRunMemory } from "../runner/run-store.ts";
import { RunStoreError } from "../runner/run-store-error.ts";
import { exitCodes } from "./exit-codes.ts";
import { readConfigFile } from "./fuzz.ts";
import { wholeNumber } from "./options.ts";
import { UsageError } from "./usage-error.ts";

/** As they were typed. */
export interface ExplainFlags {
  readonly block?: string;
  readonly volume?: string;
  readonly snapshot?: string;
  readonly last?: string;
  readonly drawing?: true;
  readonly allowEdited?: true;
  readonly config?: string;
  readonly seed?: string;
  readonly lts?: string;
  readonly json?: true;
}

export interface ExplainOptions {
  /** A failure folder, or the directory of a run; absent to explain from a seed. */
  readonly path: string | undefined;
  readonly flags: ExplainFlags;
  readonly version: string;
  /** Aborted by Ctrl-C. */
  readonly signal?: AbortSignal;
}

/** What is explained if nothing is said: events of a life, and excluded values. */
const lastDefault = 40;
/** A history of more lts is not gone through. */
const ltsMax = 2 ** 40;

/** @returns The exit code. */
export async function explain({ path, flags, version, signal }: ExplainOptions): Promise<number> {
  const opened: OperationLogFile[] = [];
  try {
    const numbers = numbersOf(flags);
    const warn = (message: string): void => void process.stderr.write(`${message}\n`);
    const source =
      path === undefined
        ? await fromSeed(flags, numbers.lts, signal)
        : await fromPath(path, flags, { version, warn, opened, signal });
    await tell(source, numbers, flags, signal);
    return exitCodes.consistent;
  } catch (error) {
    if (signal?.aborted === true && error === signal.reason) return exitCodes.interrupted;
    if (!isOfCaller(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCodes.usage;
  } finally {
    for (const log of opened) log.close();
  }
}

type Numbers = Readonly<Record<"block" | "volume" | "snapshot" | "last" | "lts", number | undefined>>;

async function tell(
  source: ExplainSource,
  { block, volume, snapshot, last = lastDefault }: Numbers,
  flags: ExplainFlags,
  signal: AbortSignal | undefined,
): Promise<void> {
  const place = placeAsked(source, { block, volume });
  const question = {
    ...{ ...place, snapshot, last },
    ...(flags.drawing === undefined ? {} : { isDrawn: true }),
  };
  const explanation = await explainBlock(source, question, signal);
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(explanationJson(source, explanation), null, 2)}\n`);
    return;
  }
  const others = othersText(source, explanation);
  process.stdout.write(explanationText(source, explanation, { valuesMax: last }));
  if (others !== "") process.stdout.write(`\n${others}`);
}

/** The block that is asked about; that of the first violation, if none is named. */
function placeAsked(
  { violations, history }: ExplainSource,
  { block, volume }: Pick<Numbers, "block" | "volume">,
): { readonly block: number; readonly volume: number } {
  const all = violations.map(({ violation }) => violation).filter(({ blockCount }) => blockCount > 0);
  if (block !== undefined) {
    const about = all.find((one) => block >= one.block && block < one.block + one.blockCount);
    return { block, volume: volume ?? about?.volume ?? 0 };
  }
  const first = all.find((one) => volume === undefined || one.volume === volume);
  if (first === undefined)
    throw new UsageError(
      `--block: expected, as ${violations.length === 0 ? "there is no violation" : "no violation is about a block"}${volume === undefined ? "" : ` of volume ${volume}`}; volume ${volume ?? 0} has blocks 0 to ${(history.geometry.volumeBlocks[volume ?? 0] ?? 0) - 1}`,
    );
  return { block: first.block, volume: first.volume };
}

/** Blocks of the other violations, so that they can be asked about next. */
function othersText({ violations }: ExplainSource, { violation }: Explanation): string {
  const others = violations.map((one) => one.violation).filter((one) => one !== violation);
  if (others.length === 0) return "";
  const named = others.slice(0, 10).map(({ class: name, block, volume, snapshot }) => {
    const at = volume === 0 ? "" : ` --volume ${volume}`;
    return `  ${name}: --block ${block}${at}${snapshot === undefined ? "" : ` --snapshot ${snapshot}`}`;
  });
  const rest = others.length - named.length;
  return `other violations\n${named.join("\n")}${rest > 0 ? `\n  and ${rest} more` : ""}\n`;
}

interface Opening {
  readonly version: string;
  readonly warn: (message: string) => void;
  /** To be closed in the end. */
  readonly opened: OperationLogFile[];
  readonly signal: AbortSignal | undefined;
}

async function fromPath(path: string, flags: ExplainFlags, opening: Opening): Promise<ExplainSource> {
  for (const name of ["config", "seed", "lts"] as const)
    if (flags[name] !== undefined)
      throw new UsageError(`--${name}: expected without ${path}, which says it itself`);
  return (await isFile(join(path, "run.sqlite"))) ? fromRun(path) : fromDump(path, flags, opening);
}

function fromRun(path: string): ExplainSource {
  const memory = readRunMemory(path);
  const config = parseConfig(memory.about.configYaml, join(path, "run.sqlite"));
  return sourceOfMemory({ config, seed: BigInt(memory.about.seed), memory });
}

async function fromDump(
  path: string,
  { allowEdited }: ExplainFlags,
  { version, warn, opened, signal }: Opening,
): Promise<ExplainSource> {
  const dump = await readDump(path, { version, allowEdited: allowEdited === true });
  for (const warning of dump.warnings) warn(warning);
  const { config, seed, plan, violations, target } = dump;
  const promised = target.volumes[0]?.capabilities;
  let log: RunLogFile | undefined;
  try {
    const file = readOperationLog(await operationLogOf(dump));
    opened.push(file);
    log = file;
  } catch (error) {
    if (!(error instanceof DumpError || error instanceof OperationLogError)) throw error;
    warn(error.message);
  }
  const memory = memoryIn(dump, warn);
  if (memory !== undefined)
    return sourceOfMemory({ ...{ config, seed, plan, memory, log, violations }, promised });
  const ofSeed = await inTurns(sourceOfSeed({ config, seed, plan }, dump.ltsCount - 1), signal);
  return { ...ofSeed, violations, promised };
}

/** Without it everything is as the history has it, if all went well. */
function memoryIn(dump: Dump, warn: (message: string) => void) {
  try {
    return memoryOf(dump);
  } catch (error) {
    if (!(error instanceof DumpError)) throw error;
    warn(`${error.message}; explained from the seed alone`);
    return undefined;
  }
}

async function fromSeed(
  flags: ExplainFlags,
  lts: number | undefined,
  signal: AbortSignal | undefined,
): Promise<ExplainSource> {
  if (flags.config === undefined)
    throw new UsageError(
      "expected a failure folder, or the directory of a run; or --config, --seed and --lts to explain from a seed alone",
    );
  const config = parseConfig(await readConfigFile(flags.config), flags.config);
  const seed = flags.seed === undefined ? config.seed : seedOf(flags.seed);
  if (seed === undefined) throw new UsageError(`--seed: expected, as ${flags.config} has none`);
  const count = lts ?? config.runner.lts;
  if (count === undefined)
    throw new UsageError(`--lts: expected, as ${flags.config} does not say how many there are`);
  return inTurns(sourceOfSeed({ config, seed }, count - 1), signal);
}

function numbersOf(flags: ExplainFlags): Numbers {
  const number = (name: keyof Numbers, min: number, max: number): number | undefined => {
    const text = flags[name];
    if (text === undefined) return undefined;
    const value = wholeNumber(text, { min, max });
    if (value !== undefined) return value;
    throw new UsageError(`--${name} ${text}: expected a whole number from ${min} to ${max}`);
  };
  return {
    block: number("block", 0, Number.MAX_SAFE_INTEGER),
    volume: number("volume", 0, Number.MAX_SAFE_INTEGER),
    snapshot: number("snapshot", 0, Number.MAX_SAFE_INTEGER),
    last: number("last", 1, 1_000_000),
    lts: number("lts", 1, ltsMax),
  };
}

function seedOf(text: string): bigint {
  const parsed = seedSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new UsageError(`--seed ${text}: expected 64 bits, decimal or 0x…`);
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

function isOfCaller(error: unknown): error is Error {
  return (
    error instanceof UsageError ||
    error instanceof QuestionError ||
    error instanceof ConfigError ||
    error instanceof DumpError ||
    error instanceof RunStoreError
  );
}
