/**
 * Reads a failure folder. Whatever is wrong with it is told with the name of the file, and what can still be done.
 *
 * What is read at once is what everything else needs: the configuration, the history if it was written, and
 * "failure.json". Exhibits, the model's state, the operation log and images are read when they are asked for, and held
 * against their hashes then.
 *
 * @packageDocumentation
 */
import { readFileSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, configBytesMax, parseConfig } from "../runner/config/load.ts";
import type { Config } from "../runner/config/schema.ts";
import { type RunMemory, readRunMemory } from "../runner/run-store.ts";
import { RunStoreError } from "../runner/run-store-error.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { HistoryTextError, historyLengthMax, parseHistory } from "../selectors/history-text.ts";
import {
  type Dump,
  type DumpedImage,
  type DumpedTarget,
  type DumpedViolation,
  DumpError,
  type FileEntry,
} from "./dump.ts";
import { entryOf } from "./dump-files.ts";
import {
  configDigestOf,
  dumpFormat,
  type ExhibitJson,
  type FailureJson,
  failureSchema,
  fileNames,
  hashOf,
  isAsWritten,
} from "./dump-format.ts";
import { filesOf, readExhibit, withoutFiles } from "./dumped-exhibits.ts";

export interface ReadDumpOptions {
  /** Takes configuration, history and "failure.json" as they are, also if somebody has changed them. */
  readonly allowEdited?: boolean;
  /** Of the harrow that reads; one that differs from the writer's is warned of. */
  readonly version?: string;
}

const failureBytesMax = 64 * 2 ** 20;
/** Longest file of an exhibit that is read. */
const exhibitBytesMax = 128 * 2 ** 20;
/** Problems of a file that are told. */
const problemsMax = 5;

/** @throws {DumpError} If it is no failure folder, or lacks what nothing can be done without. */
export async function readDump(
  path: string,
  { allowEdited = false, version }: ReadDumpOptions = {},
): Promise<Dump> {
  const warnings: string[] = [];
  const edited = (file: string, what: string): void => {
    if (!allowEdited)
      throw problem(path, file, `${what}; put it back, or allow it as it is (--allow-edited)`);
    warnings.push(`${join(path, file)}: ${what}`);
  };
  const failure = await readFailure(path, edited);
  if (version !== undefined && failure.version !== version)
    warnings.push(
      `${join(path, fileNames.failure)}: was written by harrow ${failure.version}, and this is ${version}: the same seed need not give the same history`,
    );
  const config = await readConfig(path, failure, edited);
  const files = new Map(Object.entries(failure.files));
  const missing = [...failure.missing];
  const sizes = await sizesOf(path, failure, files);
  const isThere = (name: string): boolean => sizes.has(name);
  const lost: string[] = [];
  const violations = failure.violations.map(({ exhibit, ...violation }, number): DumpedViolation => {
    if (exhibit === undefined) return { violation, exhibit: undefined };
    const { needed, optional } = filesOf(exhibit);
    for (const name of [...needed, ...optional])
      if (!isThere(name)) {
        missing.push(`${name}, of violation ${number}: is not in the folder as it was written`);
        lost.push(name);
      }
    return {
      violation,
      exhibit: needed.every(isThere) ? exhibitOf(path, files, withoutFiles(exhibit, isThere)) : undefined,
    };
  });
  if (lost.length > 0) warnings.push(`${path}: ${lostText([...new Set(lost)])}`);
  return {
    path,
    version: failure.version,
    config,
    seed: config.seed ?? BigInt(failure.seed),
    name: failure.name,
    startedAt: failure.startedAt,
    failedAt: failure.failedAt,
    ltsCount: failure.ltsCount,
    plan: failure.history === "written" ? await readHistory(path, files, edited) : undefined,
    historyDigest: failure.historyDigest,
    bug: failure.bug,
    clock: failure.clock,
    target: targetOf(failure.target),
    inFlight: failure.inFlight,
    inDoubt: failure.inDoubt,
    unexplainedCount: failure.unexplainedCount,
    violations,
    missing,
    warnings,
    files,
    images: failure.images,
  };
}

/** Files of exhibits that are not there, or not as long as they were. */
function lostText(names: readonly string[]): string {
  const named = names.slice(0, problemsMax).join(", ");
  const all = names.length > problemsMax ? `${named} and ${names.length - problemsMax} more` : named;
  return `${all}: not in the folder as ${names.length === 1 ? "it was" : "they were"} written; the run can be performed again all the same, and what is left of the folder be judged and explained`;
}

/**
 * What the model knew when the run was over, as a run that goes on takes it up.
 *
 * @throws {DumpError} If it is not there, or not as it was written.
 */
export function memoryOf({ path, files, missing }: Pick<Dump, "path" | "files" | "missing">): RunMemory {
  const name = fileNames.memory;
  const without =
    "reproduce (on a new target), shrink, narrow and scan work without it; to judge again what was seen does not";
  const entry = files.get(name);
  if (entry === undefined)
    throw problem(path, name, `was not written${whyMissing(missing, "the model")}`, without);
  try {
    const bytes = readFileSync(join(path, name));
    if (bytes.length < entry.bytes) throw problem(path, name, "is truncated", without);
    if (hashOf(bytes) !== entry.sha256)
      throw problem(path, name, "was changed since it was written", without);
    return readRunMemory(join(path, fileNames.model));
  } catch (error) {
    if (error instanceof RunStoreError) throw new DumpError(`${error.message}; ${without}`, { cause: error });
    throw asProblem(error, path, name, without);
  }
}

/**
 * The path of the operation log.
 *
 * @throws {DumpError} If it is not there, or not as it was written.
 */
export async function operationLogOf({
  path,
  files,
  missing,
}: Pick<Dump, "path" | "files" | "missing">): Promise<string> {
  const name = fileNames.operations;
  const without = "reproduce, shrink and narrow work without it; explain tells no times";
  const entry = files.get(name);
  if (entry === undefined)
    throw problem(path, name, `was not written${whyMissing(missing, "the operation log")}`, without);
  await expectAsWritten(path, name, entry, without);
  return join(path, name);
}

/**
 * The images of volumes and snapshots; absent if there are none. Reads all of them once, to hold them against their
 * hashes.
 *
 * @throws {DumpError} If one of them is not there, or not as it was written.
 */
export async function imageOf({
  path,
  files,
  images,
}: Pick<Dump, "path" | "files" | "images">): Promise<readonly DumpedImage[] | undefined> {
  if (images.length === 0) return undefined;
  const found: DumpedImage[] = [];
  const without = "reproduce it on a new target, or on the live one, instead";
  for (const image of images) {
    const entry = files.get(image.file);
    if (entry === undefined)
      throw problem(path, image.file, `is not listed in ${fileNames.failure}`, without);
    await expectAsWritten(path, image.file, entry, without);
    found.push({ ...image, path: join(path, image.file), bytes: entry.bytes });
  }
  return found;
}

type Edited = (file: string, what: string) => void;

async function readFailure(path: string, edited: Edited): Promise<FailureJson> {
  const file = fileNames.failure;
  const without = `${fileNames.text} tells what was found, and harrow fuzz ${join(path, fileNames.config)} runs it again`;
  await expectFolder(path);
  const text = await readText(path, file, failureBytesMax, without);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw problem(path, file, `is no JSON (${messageOf(cause)})`, without, cause);
  }
  const { format, version } = (typeof json === "object" && json !== null ? json : {}) as Record<
    string,
    unknown
  >;
  if (format !== dumpFormat) {
    const writer =
      typeof version === "string" ? `harrow ${version.slice(0, 40)}` : "the harrow that wrote it";
    throw problem(
      path,
      file,
      `has ${typeof format === "number" ? `format ${format}` : "no format"}, and this version of harrow reads ${dumpFormat} only: use ${writer}`,
      without,
    );
  }
  if (!isAsWritten(text)) edited(file, "was changed since it was written");
  const result = failureSchema.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues
    .slice(0, problemsMax)
    .map(({ path: where, message }) => `${where.map(String).join(".")}: ${message}`);
  throw problem(path, file, `is not what harrow writes (${problems.join("; ")})`, without);
}

async function expectFolder(path: string): Promise<void> {
  try {
    if ((await stat(path)).isDirectory()) {
      const found = await sizeOf(join(path, fileNames.failure));
      if (found !== undefined) return;
      const hasConfig = (await sizeOf(join(path, fileNames.config))) !== undefined;
      throw new DumpError(
        hasConfig
          ? `${join(path, fileNames.failure)}: is missing; harrow fuzz ${join(path, fileNames.config)} still runs it again`
          : `${path}: is not a failure folder (it has no ${fileNames.failure}); name one that a failed run has left`,
      );
    }
    throw new DumpError(`${path}: is not a directory; name the folder that a failed run has left`);
  } catch (error) {
    if (isCode(error, "ENOENT"))
      throw new DumpError(`${path}: there is no such folder; name one that a failed run has left`, {
        cause: error,
      });
    throw asProblem(error, path, "", "");
  }
}

async function readConfig(path: string, failure: FailureJson, edited: Edited): Promise<Config> {
  const file = fileNames.config;
  const without = `${fileNames.text} tells what was found, and the table "about" of ${fileNames.memory} has the configuration`;
  const text = await readText(path, file, configBytesMax, without);
  let config: Config;
  let digest: string;
  try {
    config = parseConfig(text, join(path, file));
    digest = configDigestOf(text);
  } catch (error) {
    if (error instanceof ConfigError) throw new DumpError(`${error.message}\n${without}`, { cause: error });
    throw problem(path, file, messageOf(error), without, error);
  }
  const { seed, runner } = config;
  if (seed === undefined || seed !== BigInt(failure.seed))
    edited(
      file,
      `has ${seed === undefined ? "no seed" : `seed 0x${seed.toString(16)}`}, and ${fileNames.failure} has ${failure.seed}`,
    );
  else if (digest !== failure.configDigest)
    edited(file, "was changed since it was written: it need not fail any more, or not so");
  // A run that was ended before its last words may have come further than they say.
  else if (failure.isComplete && runner.lts !== Math.max(1, failure.ltsCount))
    edited(
      file,
      `ends after ${runner.lts ?? "any number of"} lts, and the run did after ${failure.ltsCount}`,
    );
  return config;
}

async function readHistory(
  path: string,
  files: ReadonlyMap<string, FileEntry>,
  edited: Edited,
): Promise<HistoryPlan> {
  const file = fileNames.history;
  const without = `the run was of a written history, and can not be performed again without it; ${fileNames.text} tells what was found`;
  // Each character has one byte or more.
  const text = await readText(path, file, 4 * historyLengthMax, without);
  if (hashOf(text) !== files.get(file)?.sha256)
    edited(file, "was changed since it was written: it need not fail any more, or not so");
  try {
    return parseHistory(text, join(path, file));
  } catch (error) {
    if (error instanceof HistoryTextError)
      throw new DumpError(`${error.message}\n${without}`, { cause: error });
    throw error;
  }
}

/** Of the files of exhibits, those that are there as long as they were written. */
async function sizesOf(
  path: string,
  { violations }: FailureJson,
  files: ReadonlyMap<string, FileEntry>,
): Promise<ReadonlySet<string>> {
  const there = new Set<string>();
  for (const { exhibit } of violations) {
    if (exhibit === undefined) continue;
    const { needed, optional } = filesOf(exhibit);
    for (const name of [...needed, ...optional]) {
      const bytes = files.get(name)?.bytes;
      if (bytes !== undefined && (await sizeOf(join(path, name))) === bytes) there.add(name);
    }
  }
  return there;
}

function exhibitOf(
  path: string,
  files: ReadonlyMap<string, FileEntry>,
  json: ExhibitJson,
): NonNullable<DumpedViolation["exhibit"]> {
  const without = "the run can be performed again without it";
  const read = async (name: string): Promise<Uint8Array> => {
    const bytes = await readBytes(path, name, exhibitBytesMax, without);
    if (hashOf(bytes) !== files.get(name)?.sha256)
      throw problem(path, name, "was changed since it was written", without);
    return bytes;
  };
  return async () => {
    try {
      return await readExhibit(json, read);
    } catch (error) {
      throw asProblem(error, path, json.kind === "diff" ? json.answers : json.found, without);
    }
  };
}

function targetOf({ diffCapabilities, volumes, ...rest }: FailureJson["target"]): DumpedTarget {
  return {
    ...rest,
    diffCapabilities,
    volumes: volumes.map(({ identity: { name, uuid, nsid }, ...volume }) => ({
      ...volume,
      identity: { name, uuid, nsid },
    })),
  };
}

async function expectAsWritten(path: string, name: string, entry: FileEntry, without: string): Promise<void> {
  const bytes = await sizeOf(join(path, name));
  if (bytes === undefined) throw problem(path, name, "is missing", without);
  if (bytes < entry.bytes)
    throw problem(path, name, `is truncated, to ${bytes} of ${entry.bytes} bytes`, without);
  if (bytes > entry.bytes)
    throw problem(path, name, `has ${bytes} bytes, and was written with ${entry.bytes}`, without);
  let sha256: string;
  try {
    ({ sha256 } = await entryOf(join(path, name)));
  } catch (error) {
    throw asProblem(error, path, name, without);
  }
  if (sha256 !== entry.sha256) throw problem(path, name, "was changed since it was written", without);
}

async function readText(path: string, file: string, bytesMax: number, without: string): Promise<string> {
  const bytes = await readBytes(path, file, bytesMax, without);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw problem(path, file, "is no text", without, cause);
  }
}

async function readBytes(path: string, file: string, bytesMax: number, without: string): Promise<Uint8Array> {
  const size = await sizeOf(join(path, file));
  if (size === undefined) throw problem(path, file, "is missing", without);
  if (size > bytesMax)
    throw problem(path, file, `has ${size} bytes, and at most ${bytesMax} are read`, without);
  try {
    return new Uint8Array(await readFile(join(path, file)));
  } catch (error) {
    throw asProblem(error, path, file, without);
  }
}

/** In bytes; absent if there is no file. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    const found = await stat(path);
    return found.isFile() ? found.size : undefined;
  } catch {
    return undefined;
  }
}

/** Why something was not dumped, as far as it is known. */
function whyMissing(missing: readonly string[], start: string): string {
  const why = missing.find((what) => what.startsWith(start));
  return why === undefined ? "" : ` (${why})`;
}

function problem(path: string, file: string, what: string, without = "", cause?: unknown): DumpError {
  return new DumpError(`${join(path, file)}: ${what}${without === "" ? "" : `: ${without}`}`, { cause });
}

function asProblem(error: unknown, path: string, file: string, without: string): DumpError {
  if (error instanceof DumpError) return error;
  if (isCode(error, "ENOENT")) return problem(path, file, "is missing", without, error);
  return problem(path, file, messageOf(error), without, error);
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
