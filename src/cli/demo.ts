/**
 * `harrow demo corruption`: shows people one fault class on a real target, the alarm, and what is left of it.
 *
 * @packageDocumentation
 */
import { catalogue, classesById } from "../gallery/catalogue.ts";
import { checkers } from "../gallery/checkers.ts";
import { type BuiltClass, type GalleryClass, isBuilt } from "../gallery/mutant.ts";
import { performTrial, type Trial } from "../gallery/trial.ts";
import { describeViolation, type Rule } from "../model/violation.ts";
import type { BugNote } from "../reproduce/dump.ts";
import { FailureFolder } from "../reproduce/failure-folder.ts";
import { ConfigError, parseConfig } from "../runner/config/load.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import { formatBytes } from "../runner/config/units.ts";
import { OccupiedVolumeError } from "../runner/guard.ts";
import { counted } from "../sut/initiator/wording.ts";
import { exitCodes } from "./exit-codes.ts";
import { isOfTarget, readConfigFile } from "./fuzz.ts";
import { createLog, type LogLevel } from "./log.ts";

export interface DemoFlags {
  readonly seed: bigint;
  readonly config?: string;
  readonly failures: string;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface DemoOptions {
  /** Absent for the class that is shown to those who name none. */
  readonly id: string | undefined;
  readonly flags: DemoFlags;
  readonly version: string;
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

const classDefault = "M16";
/** Seeds that are tried: what takes a coincidence need not happen with each. */
const triesMax = 5;

/** @returns The exit code: 0 if the fault was found, and nothing without it. */
export async function demo(options: DemoOptions): Promise<number> {
  const { id = classDefault, flags } = options;
  const entry = classesById.get(id.toUpperCase());
  if (entry === undefined)
    return refuse(`there is no class ${id}; harrow gallery --list shows all ${catalogue.length}`);
  if (!isBuilt(entry)) return refuse(`${entry.id} (${entry.title}) is not built: ${whyNot(entry)}`);
  if (flags.config !== undefined && entry.mutant.level !== "port")
    return refuse(
      `${entry.id} (${entry.title}) ${entry.mutant.level === "target" ? "is a bug of the embedded target" : "lies on the wire to the embedded target"}: leave --config out`,
    );
  try {
    return await show(entry, options);
  } catch (error) {
    if (error instanceof ConfigError || error instanceof OccupiedVolumeError) return refuse(error.message);
    if (!isOfTarget(error)) throw error;
    if (options.signal.aborted) return exitCodes.interrupted;
    process.stderr.write(`harrow demo: the target failed: ${error.message}\n`);
    return exitCodes.target;
  }
}

async function show(entry: BuiltClass, options: DemoOptions): Promise<number> {
  const { flags, signal } = options;
  let config = await demoConfig(flags);
  print(`${entry.id}  ${entry.title}: ${entry.fault}`);
  print(`seen at   ${entry.incident}`);
  for (let tries = 0; tries < triesMax && !signal.aborted; tries++) {
    const seed = flags.seed + BigInt(tries);
    const found = await alarm(entry, { ...options, config, seed });
    if (signal.aborted) break;
    // What is on the volumes now is harrow's own.
    config = { ...config, overwrite: true };
    if (found === undefined) continue;
    const { trial, folder } = found;
    const violation = trial.result.violations[0]!;
    const rules: readonly Rule[] = checkers[entry.checker].rules;
    const by = rules.includes(violation.rule) ? `the ${entry.checker} checker` : `rule ${violation.rule}`;
    print("");
    print(describeViolation(violation));
    print("");
    print(`named     ${violation.class}, by ${by}`);
    if (folder !== undefined) print(`evidence  ${folder}`);
    print(`again     harrow demo corruption ${entry.id} --seed ${seed}${configFlag(flags)}`);
    return control(entry, { ...options, config, seed });
  }
  if (signal.aborted) return exitCodes.interrupted;
  print(`nobody noticed, with any of ${triesMax} seeds`);
  return exitCodes.violation;
}

interface Attempt extends DemoOptions {
  readonly config: ConfigInput;
  readonly seed: bigint;
}

/** Runs the class with the fault; `undefined` if nobody noticed. */
async function alarm(
  entry: BuiltClass,
  { flags, version, serveCommand, signal, config, seed }: Attempt,
): Promise<{ readonly trial: Trial; readonly folder: string | undefined } | undefined> {
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  const bug: BugNote = { class: entry.id, seed: String(seed), isEager: false, setting: "embedded" };
  const folder = new FailureFolder({ version, bug });
  const trial = await performTrial({
    entry,
    variant: "fault",
    isReal: true,
    config: { ...config, runner: { stopAfterViolations: 1 } },
    seed,
    log,
    serveCommand,
    signal,
    onOpen: ({ description }) => print(`target    ${description}, ${levelText[entry.mutant.level]}`),
    onViolation: (violation, exhibit, run) => folder.add(violation, exhibit, run),
    onEnd: (run) => folder.finish(run).catch((error: Error) => print(`evidence  ${error.message}`)),
  });
  const { struckCount, struckAfter, firstAlarm, result } = trial;
  if (firstAlarm !== undefined) {
    const { operations, bytesWritten, seconds } = firstAlarm;
    if (struckAfter !== undefined) print(`fault     after ${count(struckAfter)} operations (seed ${seed})`);
    print(
      `alarm     after ${count(operations)} operations, ${formatBytes(bytesWritten)} and ${Math.ceil(seconds * 1000).toLocaleString("en")} ms`,
    );
    return { trial, folder: folder.path };
  }
  const why = result.targetFailure ?? result.crash?.message;
  if (!signal.aborted)
    print(
      `no alarm  with seed ${seed}: the fault struck ${counted(struckCount, "time")}${why === undefined ? "" : `; ${why}`}`,
    );
  return undefined;
}

/** The same without the fault. */
async function control(entry: BuiltClass, attempt: Attempt): Promise<number> {
  const { flags, serveCommand, signal, config, seed } = attempt;
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  const { result } = await performTrial({
    ...{ entry, variant: "control", isReal: true, config, seed, log, serveCommand, signal },
  });
  if (signal.aborted) return exitCodes.interrupted;
  const { verdict, ledger } = result;
  const looked = `${count(result.ltsCount)} lts, ${formatBytes(ledger.bytesCompared)} read back and compared`;
  print(`control   the same without the fault: ${verdict}, ${looked}`);
  return verdict === "consistent" ? exitCodes.consistent : exitCodes.violation;
}

/** The target of a configuration file, or the embedded one. */
async function demoConfig({ config: file, failures }: DemoFlags): Promise<ConfigInput> {
  if (file === undefined) return { target: { kind: "embedded" }, failures };
  const { target, overwrite }: Config = parseConfig(await readConfigFile(file), file);
  return { target, overwrite, failures };
}

const levelText = {
  port: "with a liar before it",
  wire: "with a liar on the wire to it",
  target: "with a bug inside",
} as const;

function configFlag({ config }: DemoFlags): string {
  return config === undefined ? "" : ` --config ${config}`;
}

function whyNot({ mutant }: GalleryClass): string {
  return mutant.level === "none" ? mutant.why : "";
}

function count(value: number): string {
  return value.toLocaleString("en");
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function refuse(message: string): number {
  process.stderr.write(`harrow demo: ${message}\n`);
  return exitCodes.usage;
}
