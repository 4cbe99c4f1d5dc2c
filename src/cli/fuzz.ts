/**
 * `harrow fuzz`: writes a seeded workload to a target, and checks volumes, snapshots and diffs against the model.
 *
 * @packageDocumentation
 */
import { randomBytes } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { FailureFolder } from "../reproduce/failure-folder.ts";
import { ConfigError, configBytesMax, type Override, parseConfig } from "../runner/config/load.ts";
import type { Config } from "../runner/config/schema.ts";
import { OccupiedVolumeError } from "../runner/guard.ts";
import { configToYaml } from "../runner/config/write.ts";
import { interruptOpenLts, resumedRun, settleTarget } from "../runner/resume.ts";
import { Run } from "../runner/run.ts";
import type { RunLog } from "../runner/run-log.ts";
import { RunStore } from "../runner/run-store.ts";
import { RunStoreError } from "../runner/run-store-error.ts";
import { isToBeResumed, performRun, type RunResult } from "../runner/runner.ts";
import { type KeptVolume, keptVolumes, openTarget, type Target } from "../runner/target.ts";
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
  readonly resume?: string;
  readonly record?: string;
  readonly runs?: string;
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
export async function fuzz(options: FuzzOptions): Promise<number> {
  const { file, flags, version } = options;
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  let plan: Plan;
  try {
    plan = flags.resume === undefined ? await newPlan(file, flags) : resumedPlan(file, flags, flags.resume);
  } catch (error) {
    if (error instanceof ConfigError || error instanceof RunStoreError) return refuse(error.message);
    throw error;
  }
  const { seed } = plan;
  process.stderr.write(`harrow ${version}, seed 0x${seed.toString(16)}\n`);
  try {
    return await perform(plan, options, log);
  } catch (error) {
    if (
      error instanceof ConfigError ||
      error instanceof OccupiedVolumeError ||
      error instanceof RunStoreError
    )
      return refuse(error.message);
    if (!isOfTarget(error)) throw error;
    if (options.signal.aborted) return exitCodes.interrupted;
    if (flags.json) process.stdout.write(failureJson({ version, seed, message: error.message }));
    process.stderr.write(`harrow: the target failed: ${error.message}\n`);
    return exitCodes.target;
  } finally {
    plan.store?.close();
  }
}

/** What is to be run: a configuration with its seed, or one that an earlier process began. */
interface Plan {
  readonly config: Config;
  readonly seed: bigint;
  readonly name: string;
  /** Open, if the run goes on. */
  readonly store: RunStore | undefined;
  readonly directory: string | undefined;
}

async function newPlan(file: string | undefined, flags: FuzzFlags): Promise<Plan> {
  const config = parseConfig(await readConfig(file), file ?? "defaults", overrides(flags));
  const seed = config.seed ?? randomBytes(8).readBigUInt64LE();
  const name = `harrow-${seed.toString(16)}-${randomBytes(3).toString("hex")}`;
  return { config: { ...config, seed }, seed, name, store: undefined, directory: undefined };
}

function resumedPlan(file: string | undefined, flags: FuzzFlags, directory: string): Plan {
  const fixed = Object.entries({
    "a configuration file": file,
    "--seed": flags.seed,
    "--target": flags.target,
    "--directory": flags.directory,
    "--overwrite": flags.overwrite,
    "--record": flags.record,
    "--runs": flags.runs,
  }).flatMap(([name, value]) => (value === undefined ? [] : [name]));
  if (fixed.length > 0)
    throw new ConfigError([
      `${fixed.join(", ")}: a run that goes on has its own, leave it out with --resume`,
    ]);
  const store = RunStore.open(directory);
  try {
    const { configYaml, name } = store.load().about;
    const config = parseConfig(configYaml, `configuration of ${directory}`, overrides(flags));
    if (config.seed === undefined) throw new ConfigError([`${directory}: its configuration has no seed`]);
    return { config, seed: config.seed, name, store, directory };
  } catch (error) {
    store.close();
    throw error;
  }
}

async function perform(plan: Plan, options: FuzzOptions, log: RunLog): Promise<number> {
  const { config, seed, name } = plan;
  const { flags, version, serveCommand, signal } = options;
  const memory = plan.store?.load();
  const kept = (memory?.about.target as { volumes: readonly KeptVolume[] } | undefined)?.volumes;
  await using target = await openTarget({
    config,
    seed,
    name,
    log,
    serveCommand,
    environment: process.env,
    signal,
    ...(kept === undefined ? {} : { kept }),
  });
  const { store, directory } = memory === undefined ? record(plan, version, target) : plan;
  try {
    if (!flags.json) process.stderr.write(`${target.description}\n`);
    if (!flags.json && directory !== undefined) process.stderr.write(`kept in ${directory}\n`);
    const failure = new FailureFolder({ version });
    const resumed = memory === undefined ? undefined : resumedRun(memory);
    const run: Run = new Run({
      config,
      seed,
      name,
      target,
      log,
      signal,
      onViolation: (violation, exhibit) => failure.add(violation, exhibit, run),
      ...(store === undefined ? {} : { recorder: store }),
      ...(resumed === undefined ? {} : { resumed }),
    });
    store?.follow(run.tracker);
    if (memory !== undefined) interruptOpenLts(run, memory);
    const progress = new ProgressLine(process.stderr, run);
    const result = await performRun(run, {
      onProgress: (where) => {
        if (flags.quiet === undefined && flags.json === undefined) progress.update(where);
      },
      ...(memory === undefined ? {} : { resume: (control) => settleTarget(run, control, memory) }),
      elapsedBeforeMs: resumed?.elapsedMs ?? 0,
    });
    progress.clear();
    const canGoOn = isToBeResumed(run);
    if (result.verdict === "violation" || canGoOn) target.keep();
    if (!canGoOn) store?.finish({ verdict: result.verdict, finishedAt: new Date().toISOString() });
    await failure.finish(run).catch((error: Error) => log.warn(error.message));
    const context = {
      version,
      seed,
      target: target.description,
      failureFolder: failure.path,
      snapshotsLeft: target.isLasting ? result.snapshotsLeft : [],
      runDirectory: canGoOn ? directory : undefined,
    };
    process.stdout.write(flags.json ? reportJson(result, context) : reportText(result, context));
    if (result.crash !== undefined) process.stderr.write(bugText(result.crash));
    return exitCodeOf(result);
  } finally {
    if (memory === undefined) store?.close();
  }
}

/** Begins to keep a run on disk, if it is to be, and its target outlives it. */
function record(
  { config, seed, name }: Plan,
  version: string,
  target: Target,
): { readonly store: RunStore | undefined; readonly directory: string | undefined } {
  const isKept = config.record === "always" || (config.record === "auto" && target.isLasting);
  if (!isKept) return { store: undefined, directory: undefined };
  const directory = join(config.runs, name);
  const store = RunStore.create(directory, {
    version,
    configYaml: configToYaml(config),
    seed: `0x${seed.toString(16)}`,
    name,
    target: { volumes: keptVolumes(target) },
    startedAt: new Date().toISOString(),
  });
  return { store, directory };
}

/** Whether an error says that the target could not be opened, or failed. */
export function isOfTarget(error: unknown): error is Error {
  return (
    error instanceof TargetFailure ||
    error instanceof ServiceError ||
    error instanceof ControllerError ||
    error instanceof LaunchError
  );
}

export function exitCodeOf({ verdict, wasInterrupted, crash, belowFloor }: RunResult): number {
  if (verdict === "violation") return exitCodes.violation;
  if (crash !== undefined) return exitCodes.usage;
  if (wasInterrupted) return exitCodes.interrupted;
  if (verdict === "undecided") return exitCodes.target;
  return belowFloor.length > 0 ? exitCodes.belowFloor : exitCodes.consistent;
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
    override("--record", ["record"], flags.record),
    override("--runs", ["runs"], flags.runs),
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
