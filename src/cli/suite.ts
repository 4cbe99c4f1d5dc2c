/**
 * `harrow suite changed-blocks`: holds a service's snapshot diffs, and the copies made by them, to the model.
 *
 * @packageDocumentation
 */
import { ConfigError } from "../runner/config/load.ts";
import { OccupiedVolumeError } from "../runner/guard.ts";
import { fuzzChangedBlocks } from "../suite/changed-blocks/fuzz.ts";
import { findLeftovers, removeSnapshots, snapshotPrefix } from "../suite/changed-blocks/leftovers.ts";
import { changedBlocksTests, runChangedBlocks } from "../suite/changed-blocks/suite.ts";
import type { SuiteTest } from "../suite/changed-blocks/test-case.ts";
import type { SuiteReporter, SuiteSummary } from "../suite/report.ts";
import { type ReporterName, reporters } from "../suite/reporters/by-name.ts";
import { listingReporter } from "../suite/reporters/listing.ts";
import { exitCodes } from "./exit-codes.ts";
import { isOfTarget } from "./fuzz.ts";
import { createLog, type LogLevel } from "./log.ts";
import {
  openSuiteGround,
  randomSeed,
  type SuiteGround,
  type SuiteVolumeFlags,
  sectorSizeBytes,
} from "./suite-volumes.ts";
import { UsageError } from "./usage-error.ts";

export interface SuiteFlags extends SuiteVolumeFlags {
  readonly test?: readonly string[];
  readonly keepSnapshots?: true;
  /** Removes what earlier runs have left. */
  readonly sweep?: true;
  readonly verbose?: true;
  readonly reporter: ReporterName;
  readonly seed?: bigint;
  readonly repeat: number;
  /** In bytes. */
  readonly offset: number;
  readonly scale: number;
  /** Cases drawn from the seed, in place of the tests. */
  readonly fuzz?: number;
  readonly list?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface SuiteCommandOptions {
  readonly flags: SuiteFlags;
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

const suite = "changed-blocks";
const command = `harrow suite ${suite}`;
/** Names told of snapshots that were left. */
const leftoversToldMax = 10;

/** @returns The exit code. */
export async function suiteChangedBlocks(options: SuiteCommandOptions): Promise<number> {
  const { flags, serveCommand, signal } = options;
  if (flags.list) {
    for (const [index, { name, phase, shows }] of changedBlocksTests.entries())
      process.stdout.write(
        `${String(index + 1).padStart(2)} ${phase.padEnd(10)} ${name.padEnd(30)} ${shows}\n`,
      );
    return exitCodes.consistent;
  }
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  const seed = flags.seed ?? randomSeed();
  let ground: SuiteGround | undefined;
  try {
    const tests = chosenTests(flags);
    ground = await openSuiteGround({ ...{ flags, seed, log, serveCommand, signal } });
    const { failed, isInterrupted } = await perform({ options, ground, tests, seed });
    if (isInterrupted) return exitCodes.interrupted;
    if (ground.failure === undefined) return failed > 0 ? exitCodes.violation : exitCodes.consistent;
    return refuse(ground.failure, exitCodes.target);
  } catch (error) {
    if (signal.aborted) return exitCodes.interrupted;
    if (isOfUsage(error)) return refuse(error.message, exitCodes.usage);
    if (!isOfTarget(error)) throw error;
    return refuse(ground?.failure ?? error.message, exitCodes.target);
  } finally {
    await ground?.[Symbol.asyncDispose]();
  }
}

interface Performance {
  readonly options: SuiteCommandOptions;
  readonly ground: SuiteGround;
  readonly tests: readonly SuiteTest[];
  readonly seed: bigint;
}

async function perform({ options, ground, tests, seed }: Performance): Promise<SuiteSummary> {
  const { flags, version, signal } = options;
  const { service, given } = ground;
  const warn = (message: string): void => void process.stderr.write(`harrow: ${message}\n`);
  if (given !== undefined) await handleLeftovers(options, ground, warn);
  const shared = {
    ...{ service, signal, warn },
    // Given volumes may hold what an earlier run with this seed wrote.
    contentSeed: given === undefined ? seed : randomSeed(),
    prefix: `${snapshotPrefix}${randomSeed().toString(16).padStart(16, "0").slice(0, 8)}`,
    isKeepingSnapshots: flags.keepSnapshots ?? false,
    isGone: () => ground.failure !== undefined,
  };
  const head = (title: string, facts: SuiteGround["facts"]) => ({
    title: `harrow ${version} ${title}`,
    facts: [...ground.facts, ...facts, ["seed", String(seed)] as const],
  });
  if (flags.fuzz !== undefined)
    return fuzzChangedBlocks({
      ...shared,
      ...(given === undefined ? {} : { given }),
      caseCount: flags.fuzz,
      seed,
      blockSizeBytes: given?.source.device.capabilities.blockSizeBytes ?? sectorSizeBytes,
      again: againText(flags),
      reporter: reporterOf(flags, flags.fuzz, head("changed blocks — cases drawn at random", [])),
    });
  const { source, target } = await ground.made();
  const own = given === undefined ? ([["volumes", "two new ones of 2 GiB"]] as const) : [];
  return runChangedBlocks({
    ...{ ...shared, source, target, tests },
    ...{ repeat: flags.repeat, offsetBytes: flags.offset, scale: flags.scale },
    reporter: reporterOf(flags, tests.length * flags.repeat, head("changed blocks — validation suite", own)),
  });
}

function reporterOf(
  { reporter, verbose }: SuiteFlags,
  testCount: number,
  head: Pick<Parameters<typeof listingReporter>[0], "title" | "facts">,
): SuiteReporter {
  const write = (text: string): void => void process.stdout.write(text);
  const isTerminal = process.stdout.isTTY && reporter === "text";
  const shared = { suite, testCount, write, isTerminal, isVerbose: verbose ?? false };
  return reporter === "text" ? listingReporter({ ...shared, ...head }) : reporters[reporter](shared);
}

/** Snapshots that a run left which was killed: told, or removed. */
async function handleLeftovers(
  { flags, signal }: SuiteCommandOptions,
  { service, given }: SuiteGround,
  warn: (message: string) => void,
): Promise<void> {
  const found = await findLeftovers(service, given!.source.uuid, signal);
  if (found.length === 0) return;
  if (flags.sweep) {
    await removeSnapshots(service, found, warn);
    warn(`removed ${found.length} snapshots that earlier runs had left`);
    return;
  }
  const names = found.slice(0, leftoversToldMax).map(({ name }) => name);
  const more = found.length > names.length ? ` and ${found.length - names.length} more` : "";
  warn(`earlier runs have left snapshots, which --sweep removes: ${names.join(", ")}${more}`);
}

function chosenTests({ test: names, fuzz, keepSnapshots, repeat }: SuiteFlags): readonly SuiteTest[] {
  if (fuzz !== undefined && names !== undefined)
    throw new UsageError("--test, --fuzz: give one of them; --fuzz runs cases of its own");
  if (fuzz !== undefined && (keepSnapshots || repeat > 1))
    throw new UsageError("--keep-snapshots and --repeat are for the tests: leave them out with --fuzz");
  const unknown = names?.find((name) => !changedBlocksTests.some((test) => test.name === name));
  if (unknown !== undefined)
    throw new UsageError(`--test ${unknown}: there is no such test; --list says which there are`);
  return names === undefined
    ? changedBlocksTests
    : changedBlocksTests.filter(({ name }) => names.includes(name));
}

/** The command that runs one case again, but for its seed; without secrets. */
function againText({ endpoint, sourceUuid, targetUuid, bug, bugSeed }: SuiteFlags): string {
  return [
    `${command} --fuzz 1`,
    ...(endpoint === undefined
      ? []
      : [`--endpoint ${endpoint} --source-uuid ${sourceUuid} --target-uuid ${targetUuid}`]),
    ...(bug === undefined ? [] : [`--bug ${bug} --bug-seed ${bugSeed ?? 0n}`]),
  ].join(" ");
}

function isOfUsage(error: unknown): error is Error {
  return (
    error instanceof UsageError ||
    error instanceof ConfigError ||
    error instanceof OccupiedVolumeError ||
    error instanceof RangeError
  );
}

function refuse(message: string, code: number): number {
  process.stderr.write(`${command}: ${message}\n`);
  return code;
}
