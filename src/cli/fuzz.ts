/**
 * `harrow fuzz`: writes a seeded workload to a target, and checks volumes, snapshots and diffs against the model.
 *
 * @packageDocumentation
 */
import { randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { FailureFolder } from "../reproduce/failure-folder.ts";
import { ConfigError, configBytesMax, type Override, parseConfig } from "../runner/config/load.ts";
import type { Config } from "../runner/config/schema.ts";
import { OccupiedVolumeError } from "../runner/guard.ts";
import { Run } from "../runner/run.ts";
import { type RunResult, performRun } from "../runner/runner.ts";
import { openTarget } from "../runner/target.ts";
import { TargetFailure } from "../runner/target-failure.ts";
import { LaunchError } from "../sut/embedded/target-process.ts";
import { ControllerError } from "../sut/initiator/errors.ts";
import { ServiceError } from "../sut/port.ts";
import { exitCodes } from "./exit-codes.ts";
import { createLog, type LogLevel } from "./log.ts";
import { ProgressLine } from "./progress-line.ts";
import { failureJson, reportJson, reportText } from "./report.ts";

export interface FuzzFlags {
  readonly seed?: string;
  readonly duration?: string;
  readonly lts?: string;
  readonly target?: string;
  readonly directory?: string;
  readonly failures?: string;
  readonly overwrite?: true;
  readonly json?: true;
  readonly quiet?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface FuzzOptions {
  readonly file: string | undefined;
  readonly flags: FuzzFlags;
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

/** @returns The exit code. */
export async function fuzz({ file, flags, version, serveCommand, signal }: FuzzOptions): Promise<number> {
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  let config: Config;
  try {
    config = parseConfig(await readConfig(file), file ?? "defaults", overrides(flags));
  } catch (error) {
    if (error instanceof ConfigError) return refuse(error.message);
    throw error;
  }
  const seed = config.seed ?? randomBytes(8).readBigUInt64LE();
  const name = `harrow-${seed.toString(16)}-${randomBytes(3).toString("hex")}`;
  process.stderr.write(`harrow ${version}, seed 0x${seed.toString(16)}\n`);
  try {
    await using target = await openTarget({
      config,
      seed,
      name,
      log,
      serveCommand,
      environment: process.env,
      signal,
    });
    if (!flags.json) process.stderr.write(`${target.description}\n`);
    const failure = new FailureFolder({ version, config, seed, target: target.description }, new Date());
    const run: Run = new Run({
      config,
      seed,
      name,
      target,
      log,
      signal,
      onViolation: (violation, bytes) => failure.add(violation, { bytes, ltsCount: run.ltsBegun }),
    });
    const progress = new ProgressLine(process.stderr, run);
    const result = await performRun(run, {
      onProgress: (where) => {
        if (flags.quiet === undefined && flags.json === undefined) progress.update(where);
      },
    });
    progress.clear();
    if (result.verdict === "violation") target.keep();
    await failure.finish().catch((error: Error) => log.error(error.message));
    const snapshotsLeft = target.isLasting ? result.snapshotsLeft : [];
    const context = { version, seed, target: target.description, failureFolder: failure.path, snapshotsLeft };
    process.stdout.write(flags.json ? reportJson(result, context) : reportText(result, context));
    if (result.crash !== undefined) process.stderr.write(bugText(result.crash));
    return exitCodeOf(result);
  } catch (error) {
    if (error instanceof ConfigError || error instanceof OccupiedVolumeError) return refuse(error.message);
    const isTargets =
      error instanceof TargetFailure ||
      error instanceof ServiceError ||
      error instanceof ControllerError ||
      error instanceof LaunchError;
    if (!isTargets) throw error;
    if (signal.aborted) return exitCodes.interrupted;
    if (flags.json) process.stdout.write(failureJson({ version, seed, message: error.message }));
    process.stderr.write(`harrow: the target failed: ${error.message}\n`);
    return exitCodes.target;
  }
}

function exitCodeOf({ verdict, wasInterrupted, crash }: RunResult): number {
  if (verdict === "violation") return exitCodes.violation;
  if (crash !== undefined) return exitCodes.usage;
  if (wasInterrupted) return exitCodes.interrupted;
  return verdict === "undecided" ? exitCodes.target : exitCodes.consistent;
}

/** What to say of an error that should not be possible. */
export function bugText(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `harrow: this is a bug of harrow's own, please report it\n${text}\n`;
}

function overrides(flags: FuzzFlags): readonly Override[] {
  const all: (Override | undefined)[] = [
    override("--seed", ["seed"], flags.seed),
    // One bound on the command line replaces those of the file.
    ...(flags.duration === undefined && flags.lts === undefined
      ? []
      : [
          { flag: "--duration", path: ["runner", "duration"], value: flags.duration },
          { flag: "--lts", path: ["runner", "lts"], value: wholeNumber(flags.lts) },
        ]),
    override("--target", ["target"], flags.target === undefined ? undefined : { kind: flags.target }),
    override(
      "--directory",
      ["target"],
      flags.directory === undefined ? undefined : inDirectory(flags.directory),
    ),
    override("--failures", ["failures"], flags.failures),
    override("--overwrite", ["overwrite"], flags.overwrite),
  ];
  return all.filter((one) => one !== undefined);
}

function wholeNumber(text: string | undefined): number | string | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text;
}

/** The embedded target of the file, or one with defaults, with its volumes in a directory. */
function inDirectory(directory: string) {
  return (target: unknown): object =>
    typeof target === "object" && target !== null && "kind" in target && target.kind === "embedded"
      ? { ...target, directory }
      : { kind: "embedded", directory };
}

function override(flag: string, path: readonly string[], value: unknown): Override | undefined {
  return value === undefined ? undefined : { flag, path, value };
}

async function readConfig(file: string | undefined): Promise<string> {
  if (file === undefined) return "";
  return readConfigFile(file);
}

/** @throws {ConfigError} If there is no such file, or it is too large to be one. */
export async function readConfigFile(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > configBytesMax)
      throw new Error(`${size} bytes are more than a configuration's ${configBytesMax}`);
    return await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigError([`${file}: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

function refuse(message: string): number {
  process.stderr.write(`${message}\n`);
  return exitCodes.usage;
}
