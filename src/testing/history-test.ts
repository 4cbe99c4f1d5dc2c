/**
 * Tests of volumes by a history that was written, as `harrow shrink` leaves one of a failure.
 *
 * Independent of any test framework: `vitest.ts` and `node-test.ts` bind it to theirs.
 *
 * @packageDocumentation
 */
import { builtClass, groundOf } from "../gallery/ground.ts";
import type { Setting } from "../gallery/mutant.ts";
import { openStage } from "../gallery/settings.ts";
import { describeViolation, type Violation } from "../model/violation.ts";
import { operationsFor } from "../reproduce/shrink/looks.ts";
import type { Config, ConfigInput } from "../runner/config/schema.ts";
import { performHistory, planConfig } from "../runner/perform-history.ts";
import type { Stage } from "../runner/stage.ts";
import type { Target } from "../runner/target.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import { parseHistory } from "../selectors/history-text.ts";
import { commandLine, openOwn, patternOf, targetConfig, verdictOf } from "./volume-test.ts";

/** What a test of a history is run on. */
type HistoryTarget =
  /** Volumes in memory, where every call takes effect as one step. */
  | "memory"
  /** The same, but everything takes effect at random instants, and it can crash. */
  | "jittery"
  /** harrow's own target in a process of its own, over NVMe/TCP. */
  | "embedded"
  /** Whatever opens a target whose volumes fit the configuration and read as zeros. */
  | ((config: Config) => Promise<Target>);

export interface HistoryTestOptions {
  /**
   * If left out, the target of `config`; else `memory`, or `jittery` if operations overlap or something breaks.
   */
  readonly target?: HistoryTarget;
  /** A class of the gallery that is to be switched on, to see the test fail. */
  readonly bug?: string;
  /** Decides where and when its mistake is made; decimal, the history's seed if left out. */
  readonly bugSeed?: string;
  /** Whether the mistake is made whenever it can be, and not only in long runs; true if left out. */
  readonly isEager?: boolean;
  /** As in a configuration file; what is left out is checked after each lts, with every check. */
  readonly checks?: ConfigInput["checks"];
  /** As in a configuration file. */
  readonly config?: Pick<ConfigInput, "target" | "overwrite" | "runner">;
  /** How often it is performed; 1 if left out. */
  readonly tries?: number;
  /** Number of the first time: random instants are drawn from it; 0 if left out. */
  readonly attempt?: number;
}

export interface HistoryTest {
  readonly name: string;
  /** As `harrow run` takes it. */
  readonly history: string;
  readonly options: HistoryTestOptions;
}

/** A history was not performed as it should be; the message has the violation, the history, and the way to run it again. */
export class HistoryTestError extends Error {
  override readonly name = "HistoryTestError";
  readonly violation: Violation;

  constructor(message: string, violation: Violation) {
    super(message);
    this.violation = violation;
  }
}

/**
 * What a test is to do, with what the environment says instead: HARROW_TRIES (how often), HARROW_BUG (a class of the
 * gallery) and HARROW_TARGET (memory, jittery or embedded).
 *
 * @throws {Error} If the environment says what can not be.
 */
function withEnvironment(options: HistoryTestOptions, environment: NodeJS.ProcessEnv): HistoryTestOptions {
  const { HARROW_BUG: bug, HARROW_TARGET: target, HARROW_TRIES: tries } = environment;
  if (target !== undefined && target !== "memory" && target !== "jittery" && target !== "embedded")
    throw new Error(`HARROW_TARGET is '${target}': expected memory, jittery or embedded`);
  if (tries !== undefined && !/^[1-9]\d{0,5}$/.test(tries))
    throw new Error(`HARROW_TRIES is '${tries}': expected a number from 1 to 999999`);
  const { target: _, ...elsewhere } = options.config ?? {};
  return {
    ...options,
    ...(bug === undefined ? {} : { bug }),
    // Another target has nothing to do with how the one of the test is set up.
    ...(target === undefined ? {} : { target, config: elsewhere }),
    ...(tries === undefined ? {} : { tries: Number(tries) }),
  };
}

/** How often the history of a test is performed. */
export function triesOf({ options }: HistoryTest): number {
  return withEnvironment(options, process.env).tries ?? 1;
}

/**
 * Performs the history of a test, as often as it says.
 *
 * @throws {HistoryTestError} At the first violation.
 * @throws {HistoryTextError} If the text is no history.
 * @throws {Error} If the target failed, or the test was stopped.
 */
export async function runHistoryTest(
  historyTest: HistoryTest,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const { name, history } = historyTest;
  const options = withEnvironment(historyTest.options, process.env);
  const { attempt: first = 0, tries = 1 } = options;
  const plan = parseHistory(history.trimStart(), "history");
  for (let number = 0; number < tries; number++) {
    const violation = await violationOf(plan, options, first + number, signal);
    if (violation !== undefined) throw failure({ name, history, options }, violation, number);
  }
}

function failure(
  { name, history, options }: HistoryTest,
  violation: Violation,
  number: number,
): HistoryTestError {
  const { bug } = options;
  const again = `${bug === undefined ? "" : `HARROW_BUG=${bug} `}npx vitest run -t ${patternOf(name)}`;
  const message = [
    `${violation.class}${number === 0 ? "" : `, the time after ${number} without`}`,
    "",
    describeViolation(violation),
    "",
    "The history:",
    "",
    history.trim().replaceAll(/^/gm, "  "),
    "",
    "Run it again:",
    `  ${again}`,
  ].join("\n");
  return new HistoryTestError(message, violation);
}

/** What is wrong with a history on the target of a test; the first violation, if any. */
async function violationOf(
  plan: HistoryPlan,
  options: HistoryTestOptions,
  attempt: number,
  signal: AbortSignal,
): Promise<Violation | undefined> {
  const { checks, config: own = {} } = options;
  const setting = settingOf(plan, options);
  const config = planConfig(plan, {
    ...own,
    target: own.target ?? targetConfig(plan, setting),
    ...(checks === undefined ? {} : { checks }),
    operations: operationsFor(plan),
  });
  const warnings: string[] = [];
  const log = { info: () => {}, warn: (message: string) => void warnings.push(message) };
  const name = `history-test-${plan.seed.toString(16)}`;
  await using stage = await openOn(options, { setting, config, plan, name, attempt, log, signal });
  const isTroubled = Object.values(config.faults).some((fault) => fault !== undefined);
  if (isTroubled && stage.target.faults === undefined)
    throw new Error(
      `${stage.target.description} can not be put to trouble: the history needs a target that has faults`,
    );
  const performed = performHistory({ plan, config, name, log, signal, ...stage });
  const result = await (stage.stalled === undefined ? performed : Promise.race([performed, stage.stalled]));
  const violation = verdictOf(result, isTroubled ? [] : warnings);
  // What was stopped has not shown that nothing is wrong.
  if (violation === undefined) signal.throwIfAborted();
  return violation;
}

interface Opened {
  readonly setting: Setting;
  readonly config: Config;
  readonly plan: HistoryPlan;
  readonly name: string;
  readonly attempt: number;
  readonly log: { info(message: string): void; warn(message: string): void };
  readonly signal: AbortSignal;
}

/** With the mistake drawn as `harrow shrink` had it drawn for the same attempt. */
function openOn(
  { target, bug, bugSeed, isEager = true }: HistoryTestOptions,
  { setting, config, plan, name, attempt, log, signal }: Opened,
): Promise<Stage> {
  if (typeof target === "function") return openOwn(target, config);
  const serveCommand = [process.execPath, commandLine, "serve"];
  if (bug === undefined)
    return openStage({
      ...{ entry: undefined, setting, config, seed: plan.seed, name, log, serveCommand, signal },
      onStruck: () => {},
    });
  const note = { class: builtClass(bug).id, seed: bugSeed ?? String(plan.seed), isEager, setting };
  const ground = groundOf({ bug: note, config, target: "configured", serveCommand, log });
  return ground.open(config, { seed: plan.seed, name, attempt, signal });
}

function settingOf({ visits, depth }: HistoryPlan, { target, config }: HistoryTestOptions): Setting {
  if (typeof target === "string") return target;
  if (target !== undefined || (config?.target !== undefined && config.target.kind !== "memory"))
    return "embedded";
  const breaks = visits.some(({ steps = [] }) =>
    steps.some(({ kind }) => kind === "crash" || kind === "resetConnections" || kind === "cutConnections"),
  );
  return depth !== undefined || breaks ? "jittery" : "memory";
}
