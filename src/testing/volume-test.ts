/**
 * Tests of volumes in abstract terms: a history is written once, and run with many seeds on many geometries.
 *
 * Independent of any test framework: `vitest.ts` and `node-test.ts` bind it to theirs.
 *
 * @packageDocumentation
 */
import { fileURLToPath } from "node:url";
import { builtClass } from "../gallery/ground.ts";
import type { Setting } from "../gallery/mutant.ts";
import { openStage } from "../gallery/settings.ts";
import { describeViolation, type Violation } from "../model/violation.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import { performHistory, planConfig } from "../runner/perform-history.ts";
import type { RunResult } from "../runner/runner.ts";
import type { Stage } from "../runner/stage.ts";
import type { Target } from "../runner/target.ts";
import { HistoryBuilder, type HistoryPlan } from "../selectors/history-builder.ts";
import { systemClock } from "../sut/clock.ts";
import { historyText } from "../selectors/history-text.ts";
import {
  drawGeometry,
  type GeometrySpec,
  geometryOf,
  geometryText,
  parseGeometry,
  simplerGeometries,
  type TestGeometry,
} from "./geometries.ts";
import { interleaved, type Traffic, type Trouble } from "./interleave.ts";
import { shrunk } from "./shrink.ts";

/** What a test is run on. */
type TestTarget =
  /** Volumes in memory; where operations overlap or something breaks, they take effect at random instants. */
  | "memory"
  /** harrow's own target in a process of its own, over NVMe/TCP. */
  | "embedded"
  /** Whatever opens a target whose volumes fit the configuration and read as zeros. */
  | ((config: Config) => Promise<Target>);

export interface VolumeTestOptions {
  /** How many, counted from 1, or which; 10 if left out. */
  readonly seeds?: number | readonly bigint[];
  /** Geometries drawn for each seed; 2 if left out. */
  readonly geometries?: number;
  /** `memory` if left out. */
  readonly target?: TestTarget;
  /** A class of the gallery that is to be switched on, to see the test fail. */
  readonly bug?: string;
  /** Traffic on extents that the history does not use; many lts are then in flight together. */
  readonly interleave?: Traffic;
  readonly faults?: Trouble;
  /** As in a configuration file. */
  readonly checks?: ConfigInput["checks"];
  /** Milliseconds that may be spent on making a failure small; 10,000 if left out. */
  readonly shrinkMs?: number;
}

/** Writes the history of a test. */
export type WriteHistory = (history: HistoryBuilder) => void;

export interface VolumeTest {
  readonly name: string;
  readonly spec: GeometrySpec;
  readonly write: WriteHistory;
  readonly options: VolumeTestOptions;
}

/** One seed on one geometry. */
export interface TestCase {
  readonly seed: bigint;
  readonly geometry: TestGeometry;
}

/** A test found something wrong; the message has the history, the violation, and the way to run it again. */
export class VolumeTestError extends Error {
  override readonly name = "VolumeTestError";
  readonly testCase: TestCase;
  readonly violation: Violation;
  /** As it can be run again: `harrow run`. */
  readonly history: string;

  constructor(
    message: string,
    details: { readonly testCase: TestCase; readonly violation: Violation; readonly history: string },
  ) {
    super(message);
    this.testCase = details.testCase;
    this.violation = details.violation;
    this.history = details.history;
  }
}

const seedsDefault = 10;
const geometriesDefault = 2;
const shrinkMsDefault = 10_000;
/** lts in flight together, with traffic. */
const interleavedDepth = 8;

/**
 * What a test is to do, with what the environment says instead: HARROW_SEEDS and HARROW_GEOMETRIES (how many),
 * HARROW_BUG (a class of the gallery) and HARROW_TARGET (memory or embedded).
 *
 * @throws {Error} If the environment says what can not be.
 */
function withEnvironment(volumeTest: VolumeTest, environment: NodeJS.ProcessEnv): VolumeTest {
  const count = (name: string): number | undefined => {
    const text = environment[name];
    if (text === undefined) return undefined;
    if (!/^[1-9]\d{0,5}$/.test(text))
      throw new Error(`${name} is '${text}': expected a number from 1 to 999999`);
    return Number(text);
  };
  const { HARROW_BUG: bug, HARROW_TARGET: target } = environment;
  if (target !== undefined && target !== "memory" && target !== "embedded")
    throw new Error(`HARROW_TARGET is '${target}': expected memory or embedded`);
  const [seeds, geometries] = [count("HARROW_SEEDS"), count("HARROW_GEOMETRIES")];
  return {
    ...volumeTest,
    options: {
      ...volumeTest.options,
      ...(seeds === undefined ? {} : { seeds }),
      ...(geometries === undefined ? {} : { geometries }),
      ...(bug === undefined ? {} : { bug }),
      ...(target === undefined ? {} : { target }),
    },
  };
}

/** How many cases a test has. */
export function caseCount(volumeTest: VolumeTest): number {
  return casesOf(withEnvironment(volumeTest, process.env)).length;
}

/** The cases of a test: those that the environment names, or all. */
export function casesOf(
  { spec, options }: VolumeTest,
  environment: NodeJS.ProcessEnv = process.env,
): readonly TestCase[] {
  const { HARROW_SEED: seedText, HARROW_GEOMETRY: text } = environment;
  const { seeds = seedsDefault, geometries = geometriesDefault } = options;
  const all =
    seedText !== undefined
      ? [seedOf(seedText)]
      : typeof seeds === "number"
        ? Array.from({ length: seeds }, (_, index) => BigInt(index + 1))
        : seeds;
  if (all.length === 0 || geometries < 1)
    throw new Error(`${all.length} seeds on ${geometries} geometries each: expected one or more of both`);
  return all.flatMap((seed) =>
    text === undefined
      ? Array.from({ length: geometries }, (_, index) => ({
          seed,
          geometry: drawGeometry(spec, { seed, index }),
        }))
      : [{ seed, geometry: parseGeometry(text) }],
  );
}

function seedOf(text: string): bigint {
  const isNumber = /^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(text);
  if (!isNumber || BigInt(text) >= 2n ** 64n)
    throw new Error(`HARROW_SEED is '${text}': expected 64 bits, decimal or 0x…`);
  return BigInt(text);
}

/**
 * Runs all cases of a test, one after another.
 *
 * @throws {VolumeTestError} At the first case in which something is wrong, made small.
 * @throws {HistoryError} If the history can not be what it says.
 * @throws {Error} If the target failed, or the test was stopped.
 */
export async function runVolumeTest(
  asWritten: VolumeTest,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const volumeTest = withEnvironment(asWritten, process.env);
  for (const testCase of casesOf(volumeTest)) {
    const plan = planOf(volumeTest, testCase);
    const violation = await violationOf(volumeTest, testCase, plan, signal);
    if (violation === undefined) continue;
    throw await failure(volumeTest, { testCase, plan, violation }, signal);
  }
}

function planOf({ write, options }: VolumeTest, { seed, geometry }: TestCase): HistoryPlan {
  const { startExtents } = geometry;
  const history = new HistoryBuilder({
    seed,
    geometry: geometryOf(geometry),
    ...(startExtents === undefined ? {} : { startExtents }),
  });
  write(history);
  const { interleave: traffic, faults: trouble } = options;
  const plan = { ...history.finish(), content: geometry.content };
  const mixed =
    traffic === undefined && trouble === undefined ? plan : interleaved(plan, { traffic, trouble });
  return traffic === undefined ? mixed : { ...mixed, depth: interleavedDepth };
}

interface Found {
  readonly testCase: TestCase;
  readonly plan: HistoryPlan;
  readonly violation: Violation;
}

async function failure(volumeTest: VolumeTest, found: Found, signal: AbortSignal): Promise<VolumeTestError> {
  const { options, name } = volumeTest;
  const small = await simplest(volumeTest, found, signal);
  const { plan, violation } = await shrunk(small, {
    deadline: performance.now() + (options.shrinkMs ?? shrinkMsDefault),
    try: (plan) => violationOf(volumeTest, small.testCase, plan, signal),
  });
  const { seed, geometry } = found.testCase;
  const history = historyText(plan);
  const message = [
    `${violation.class}, with seed 0x${seed.toString(16)} on geometry ${geometryText(geometry)}`,
    "",
    describeViolation(violation),
    "",
    "The smallest history that fails so:",
    "",
    history.trimEnd().replaceAll(/^/gm, "  "),
    "",
    "Run this case alone:",
    `  HARROW_SEED=0x${seed.toString(16)} HARROW_GEOMETRY=${geometryText(geometry)} npx vitest run -t ${patternOf(name)}`,
  ].join("\n");
  return new VolumeTestError(message, { testCase: found.testCase, violation, history });
}

/** The name of a test as a pattern that matches it alone, quoted for a shell. */
export function patternOf(name: string): string {
  return `'${name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("'", "'\\''")}'`;
}

/** The same on a simpler geometry, if it fails there by the same name. */
async function simplest(volumeTest: VolumeTest, found: Found, signal: AbortSignal): Promise<Found> {
  for (const geometry of simplerGeometries(found.testCase.geometry, volumeTest.spec)) {
    const testCase = { ...found.testCase, geometry };
    try {
      const plan = planOf(volumeTest, testCase);
      const violation = await violationOf(volumeTest, testCase, plan, signal);
      if (violation?.class === found.violation.class) return { testCase, plan, violation };
    } catch {
      // The history does not fit such a geometry.
    }
  }
  return found;
}

/** What is wrong with a history on the target of a test; the first violation, if any. */
async function violationOf(
  { options }: VolumeTest,
  { seed }: TestCase,
  plan: HistoryPlan,
  signal: AbortSignal,
): Promise<Violation | undefined> {
  const { target = "memory", checks } = options;
  const setting = settingOf(plan, options);
  const config = planConfig(plan, {
    target: targetConfig(plan, setting),
    ...(checks === undefined ? {} : { checks }),
  });
  const name = `volume-test-${seed.toString(16)}`;
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (message: string) => void warnings.push(message) };
  await using stage =
    typeof target === "function"
      ? await openOwn(target, config)
      : await openStage({
          entry: options.bug === undefined ? undefined : builtClass(options.bug),
          isEager: true,
          ...{ setting, config, seed, name, log, signal },
          serveCommand: [process.execPath, commandLine, "serve"],
          onStruck: () => {},
        });
  const isTroubled = Object.values(config.faults).some((fault) => fault !== undefined);
  if (isTroubled && stage.target.faults === undefined)
    throw new Error(
      `${stage.target.description} can not be put to trouble: leave out crash() and faults, or give the target faults`,
    );
  const performed = performHistory({ plan, config, name, log, signal, ...stage });
  const result = await (stage.stalled === undefined ? performed : Promise.race([performed, stage.stalled]));
  const violation = verdictOf(result, isTroubled ? [] : warnings);
  // What was stopped has not shown that nothing is wrong.
  if (violation === undefined) signal.throwIfAborted();
  return violation;
}

/** A run that could not be judged is no success, and neither is one that was refused what it asked for. */
export function verdictOf(
  { verdict, violations, targetFailure, targetErrorCount, crash }: RunResult,
  warnings: readonly string[],
): Violation | undefined {
  if (violations[0] !== undefined) return violations[0];
  const [warning] = targetErrorCount > 0 ? warnings : [];
  if (verdict === "consistent" && warning === undefined) return undefined;
  throw new Error(
    `the target failed: ${targetFailure ?? crash?.message ?? warning ?? "no reason is known"}`,
    {
      cause: crash,
    },
  );
}

export async function openOwn(open: (config: Config) => Promise<Target>, config: Config): Promise<Stage> {
  const target = await open(config);
  return {
    target,
    clock: systemClock,
    stalled: undefined,
    [Symbol.asyncDispose]: async () => target[Symbol.asyncDispose](),
  };
}

/** What breaks, and what overlaps, needs a target on which there is something between submission and completion. */
function settingOf({ visits }: HistoryPlan, { target = "memory", interleave }: VolumeTestOptions): Setting {
  if (target !== "memory") return "embedded";
  const breaks = visits.some(({ steps = [] }) =>
    steps.some(({ kind }) => kind === "crash" || kind === "resetConnections"),
  );
  return interleave !== undefined || breaks ? "jittery" : "memory";
}

/** What can be crashed needs a directory to come back with, and something to lose. */
export function targetConfig({ visits }: HistoryPlan, setting: Setting): NonNullable<ConfigInput["target"]> {
  if (setting === "memory") return { kind: "memory" };
  const crashes = visits.some(({ steps = [] }) => steps.some(({ kind }) => kind === "crash"));
  return crashes
    ? { kind: "embedded", directory: "a temporary one", volatileCache: true }
    : { kind: "embedded" };
}

/** The built command line, whether this is the built library or its source. */
export const commandLine = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../dist/cli/main.js" : "../cli/main.js", import.meta.url),
);
