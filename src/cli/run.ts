/**
 * `harrow run`: performs a history that was written by hand, and checks it as `harrow fuzz` checks one that is drawn.
 *
 * @packageDocumentation
 */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse } from "yaml";
import { bugOf, saysStruck } from "../gallery/serve-bug.ts";
import type { BugNote } from "../reproduce/dump.ts";
import { FailureFolder } from "../reproduce/failure-folder.ts";
import { shellWords } from "../reproduce/shell-words.ts";
import { operationsFor } from "../reproduce/shrink/looks.ts";
import { ConfigError, parseConfig } from "../runner/config/load.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import { takesTrouble, whoTakesTrouble } from "../runner/config/target-schema.ts";
import { OccupiedVolumeError } from "../runner/guard.ts";
import { performHistory, planConfig } from "../runner/perform-history.ts";
import { openTarget } from "../runner/target.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { HistoryTextError, historyLengthMax, parseHistory } from "../selectors/history-text.ts";
import { exitCodes } from "./exit-codes.ts";
import { bugText, exitCodeOf, isOfTarget, readConfigFile } from "./fuzz.ts";
import { counted } from "../sut/wording.ts";
import { createLog, type LogLevel } from "./log.ts";
import { failureJson, reportJson, reportText } from "./report.ts";

export interface RunFlags {
  readonly target?: "embedded" | "memory";
  readonly config?: string;
  readonly bug?: string;
  readonly bugSeed?: bigint;
  readonly bugEager?: true;
  readonly overwrite?: true;
  readonly failures?: string;
  readonly json?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface RunHistoryOptions {
  readonly file: string;
  readonly flags: RunFlags;
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

/** The parts of a configuration that are not the history's own. */
type Surroundings = Pick<ConfigInput, "target" | "overwrite" | "failures" | "checks" | "dump" | "runner">;

/** @returns The exit code. */
export async function runHistory(options: RunHistoryOptions): Promise<number> {
  const { file, flags, version, signal } = options;
  let history: Prepared;
  try {
    history = await prepared(file, flags);
  } catch (error) {
    if (error instanceof ConfigError || error instanceof HistoryTextError) return refuse(error.message);
    throw error;
  }
  const { seed } = history.plan;
  process.stderr.write(`harrow ${version}, seed 0x${seed.toString(16)}\n`);
  try {
    return await inDirectory(history, () => perform(options, history));
  } catch (error) {
    if (error instanceof ConfigError || error instanceof OccupiedVolumeError) return refuse(error.message);
    if (!isOfTarget(error)) throw error;
    if (signal.aborted) return exitCodes.interrupted;
    if (flags.json) process.stdout.write(failureJson({ version, seed, message: error.message }));
    process.stderr.write(`harrow: the target failed: ${error.message}\n`);
    return exitCodes.target;
  }
}

/** A run that has ended. */
interface Ended {
  readonly code: number;
  /** Volumes of the target hold evidence. */
  readonly isKept: boolean;
}

/** A history that can be performed, and how. */
interface Prepared {
  readonly text: string;
  readonly plan: HistoryPlan;
  readonly config: Config;
  /** The target's, if the run is to make it. */
  readonly directory: string | undefined;
}

async function prepared(file: string, flags: RunFlags): Promise<Prepared> {
  const { text, plan } = await readHistoryFile(file);
  const around = await surroundingsOf(flags);
  expectFit(plan, around, file);
  expectBug(flags, around);
  const directory = directoryOf(plan, around);
  const target =
    directory === undefined ? around.target : { ...around.target, directory, volatileCache: true };
  return { text, plan, directory, config: configOf(plan, { ...around, target } as Surroundings, file) };
}

async function perform(
  { flags, version, serveCommand, signal }: RunHistoryOptions,
  { text, plan, config, directory }: Prepared,
): Promise<Ended> {
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  const { seed } = plan;
  const name = `harrow-${seed.toString(16)}-${randomBytes(3).toString("hex")}`;
  let struckCount = 0;
  await using target = await openTarget({
    ...{ config, seed, name, log, signal },
    serveCommand: [...serveCommand, ...bugFlags(flags)],
    environment: process.env,
    spoiled: {
      onLine: (line) => {
        if (saysStruck(line)) struckCount++;
      },
    },
  });
  const { description } = target;
  if (!flags.json) process.stderr.write(`${description}\n`);
  const failure = new FailureFolder({ version, history: text, bug: bugNote(flags) });
  const result = await performHistory({
    ...{ plan, config, target, name, log, signal },
    onViolation: (violation, exhibit, run) => failure.add(violation, exhibit, run),
    onEnd: (run) => failure.finish(run).catch((error: Error) => log.warn(error.message)),
  });
  const isKept = result.verdict === "violation";
  if (isKept) target.keep();
  const context = {
    ...{ version, seed, target: description },
    failureFolder: failure.path,
    snapshotsLeft: target.isLasting && (isKept || directory === undefined) ? result.snapshotsLeft : [],
    runDirectory: undefined,
    again: (folder: string) => againCommand(`${folder}/history.txt`, flags),
  };
  process.stdout.write(flags.json ? reportJson(result, context) : reportText(result, context));
  if (flags.bug !== undefined)
    process.stderr.write(
      `the bug of class ${flags.bug.toUpperCase()} struck ${counted(struckCount, "time")}\n`,
    );
  if (result.crash !== undefined) process.stderr.write(bugText(result.crash));
  return { code: exitCodeOf(result), isKept };
}

/** @throws {ConfigError | HistoryTextError} If it can not be read, or is no history. */
async function readHistoryFile(file: string): Promise<{ text: string; plan: HistoryPlan }> {
  let text: string;
  try {
    const found = await stat(file);
    if (!found.isFile()) throw new Error(found.isDirectory() ? "is a directory" : "is no regular file");
    // Each character has one byte or more.
    if (found.size > 4 * historyLengthMax) throw new Error(`${found.size} bytes are too many for a history`);
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigError([`${file}: ${error instanceof Error ? error.message : String(error)}`]);
  }
  return { text, plan: parseHistory(text, file) };
}

async function surroundingsOf(flags: RunFlags): Promise<Surroundings> {
  const read = flags.config === undefined ? {} : await fromConfig(flags.config);
  return {
    ...read,
    target: flags.target === undefined ? (read.target ?? { kind: "embedded" }) : { kind: flags.target },
    ...(flags.overwrite === undefined ? {} : { overwrite: true }),
    ...(flags.failures === undefined ? {} : { failures: flags.failures }),
  };
}

/** What a file itself says: what it leaves open, a history decides otherwise than a configuration. */
async function fromConfig(file: string): Promise<Surroundings> {
  const text = await readConfigFile(file);
  parseConfig(text, file);
  const all = (parse(text) ?? {}) as ConfigInput;
  const keys = ["target", "overwrite", "failures", "checks", "dump"] as const;
  const { overlap, stopAfterTargetErrors } = all.runner ?? {};
  // How many lts there are, and how many at a time, is the history's business.
  const runner = {
    ...(overlap === undefined ? {} : { overlap }),
    ...(stopAfterTargetErrors === undefined ? {} : { stopAfterTargetErrors }),
  };
  return {
    ...Object.fromEntries(keys.flatMap((key) => (all[key] === undefined ? [] : [[key, all[key]]]))),
    runner,
  };
}

/** The target must be able to do what the history asks for. */
function expectFit(
  { geometry, startExtents, visits }: HistoryPlan,
  around: Surroundings,
  file: string,
): void {
  const { target, checks } = around;
  const kind = target?.kind ?? "embedded";
  const problems: string[] = [];
  const isUneven = (numbers: readonly number[]): boolean => numbers.some((one) => one !== numbers[0]);
  if (isUneven(geometry.volumeBlocks))
    problems.push(
      `${file}: volume-blocks ${geometry.volumeBlocks.join(" ")}: volumes of one size are what can be performed`,
    );
  else if (isUneven(startExtents))
    problems.push(`${file}: start-extents ${startExtents.join(" ")}: expected one number for all volumes`);
  const firstOf = new Map<string, number>();
  for (const [lts, { steps = [] }] of visits.entries())
    for (const step of steps) if (!firstOf.has(step.kind)) firstOf.set(step.kind, lts);
  for (const [step, lts] of firstOf) {
    const isTrouble = troubles.has(step);
    if (isTrouble && !takesTrouble(target))
      problems.push(`${file}: ${wordsOf(step)} after ${lts}: ${whoTakesTrouble}, not kind ${kind}`);
    else if (!isTrouble && kind === "block")
      problems.push(
        `${file}: ${wordsOf(step)} after ${lts}: a block target has no control plane, and so no snapshots`,
      );
  }
  const rollback = firstOf.get("rollback");
  if (checks?.secondVolume && rollback !== undefined)
    problems.push(
      `${file}: rollback after ${rollback}: a second volume is not rolled back, set checks.secondVolume to false`,
    );
  if (problems.length > 0) throw new ConfigError(problems);
}

const troubles: ReadonlySet<string> = new Set(["crash", "resetConnections", "cutConnections", "slow"]);

function wordsOf(kind: string): string {
  return kind.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function expectBug({ bug, bugSeed, bugEager }: RunFlags, { target }: Surroundings): void {
  if (bug === undefined) {
    if (bugSeed !== undefined || bugEager)
      throw new ConfigError([
        `${bugEager ? "--bug-eager" : "--bug-seed"}: expected --bug, which it is about`,
      ]);
    return;
  }
  if (target?.kind !== "embedded")
    throw new ConfigError([
      `--bug: only the embedded target makes mistakes on purpose, not one of kind ${target?.kind}`,
    ]);
  const found = bugOf(bug, { seed: bugSeed ?? 0n, isEager: bugEager ?? false, output: process.stderr });
  if (typeof found === "string") throw new ConfigError([found]);
}

/** What the failure folder is to say of the mistakes that the target made on purpose. */
function bugNote({ bug, bugSeed = 0n, bugEager }: RunFlags): BugNote | undefined {
  if (bug === undefined) return undefined;
  return { class: bug.toUpperCase(), seed: String(bugSeed), isEager: bugEager === true, setting: "embedded" };
}

function bugFlags({ bug, bugSeed, bugEager }: RunFlags): readonly string[] {
  return [
    ...(bug === undefined ? [] : ["--bug", bug]),
    ...(bugSeed === undefined ? [] : ["--bug-seed", String(bugSeed)]),
    ...(bugEager === undefined ? [] : ["--bug-eager"]),
  ];
}

function configOf(plan: HistoryPlan, around: Surroundings, file: string): Config {
  try {
    return planConfig(plan, { ...around, operations: operationsFor(plan) });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // Its lines are those of a configuration that nobody has written.
    throw new ConfigError(error.problems.map((problem) => problem.replace(/^history:\d+:\d+/, file)));
  }
}

/**
 * A target that is to crash needs a directory to come back with: without one of its own it gets a temporary one, and
 * a volatile cache to have something to lose.
 */
function directoryOf({ visits }: HistoryPlan, { target }: Surroundings): string | undefined {
  const crashes = visits.some(({ steps = [] }) => steps.some(({ kind }) => kind === "crash"));
  if (!crashes || target?.kind !== "embedded" || target.directory !== undefined) return undefined;
  return join(tmpdir(), `harrow-run-${randomBytes(6).toString("hex")}`);
}

/** Makes the directory for a run; it stays if it holds evidence. */
async function inDirectory({ directory }: Prepared, run: () => Promise<Ended>): Promise<number> {
  if (directory === undefined) return (await run()).code;
  await mkdir(directory, { mode: 0o700 });
  let isKept = false;
  try {
    const ended = await run();
    isKept = ended.isKept;
    if (isKept) process.stderr.write(`the target's volumes are kept in ${directory}\n`);
    return ended.code;
  } finally {
    if (!isKept) await rm(directory, { recursive: true, force: true });
  }
}

function againCommand(history: string, flags: RunFlags): string {
  const { target, config, overwrite } = flags;
  return shellWords([
    ...["harrow", "run", history],
    ...(target === undefined ? [] : ["--target", target]),
    ...(config === undefined ? [] : ["--config", config]),
    ...bugFlags(flags),
    ...(overwrite === undefined ? [] : ["--overwrite"]),
  ]);
}

function refuse(message: string): number {
  process.stderr.write(`${message}\n`);
  return exitCodes.usage;
}
