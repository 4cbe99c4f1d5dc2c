/**
 * `harrow shrink`: makes what failed the smallest history that fails so, and writes it down, with a test.
 *
 * @packageDocumentation
 */
import { rmSync } from "node:fs";
import { builtClass, type GroundOptions } from "../gallery/ground.ts";
import type { Ground } from "../reproduce/again.ts";
import { type Dump, DumpError } from "../reproduce/dump.ts";
import { type NotAgain, type Shrunk, type ShrinkProgress, shrink } from "../reproduce/shrink/shrink.ts";
import {
  runCommand,
  type Setting,
  type ShrunkContext,
  type ShrunkFiles,
  shrunkJson,
  writeShrunkFiles,
} from "../reproduce/shrink/shrunk-files.ts";
import { readState, shrunkFolder, writeState } from "../reproduce/shrink/state.ts";
import { rateText } from "../reproduce/shrink/trials.ts";
import { describeViolation, type Violation } from "../model/violation.ts";
import { formatDuration } from "../runner/config/units.ts";
import { counted } from "../sut/wording.ts";
import type { RunLog } from "../runner/run-log.ts";
import { exitCodes } from "./exit-codes.ts";
import { groundsOfDump, targetKindOf } from "./grounds.ts";
import { createLog, type LogLevel } from "./log.ts";
import { withDump } from "./with-dump.ts";

export interface ShrinkFlags {
  /** Where it was found, if left out: on the target that made the mistake on purpose, or else on one like it. */
  readonly target?: GroundOptions["target"];
  readonly duration: string;
  /** Of one history, at most. */
  readonly tries: number;
  readonly afresh?: true;
  readonly allowEdited?: true;
  readonly json?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface ShrinkCommandOptions {
  /** The failure folder. */
  readonly folder: string;
  readonly flags: ShrinkFlags;
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

/** @returns The exit code: 0 if there is a smaller history, or none smaller, 1 if the failure did not come back. */
export async function shrinkDump(options: ShrinkCommandOptions): Promise<number> {
  return withDump(options, (dump, durationMs) => perform(dump, options, durationMs));
}

async function perform(dump: Dump, options: ShrinkCommandOptions, durationMs: number): Promise<number> {
  const { folder, flags, signal } = options;
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  // What goes wrong in single tries is a part of looking for the failure.
  const quiet: RunLog = { info: () => {}, warn: (message) => log.info(message) };
  const { config, seed, plan, ltsCount } = dump;
  const out = shrunkFolder(folder);
  const { serveCommand } = options;
  const grounds = groundsOfDump(dump, { target: flags.target, serveCommand, log: quiet });
  if (flags.afresh) remove(out);
  const line = new ShrinkLine(process.stderr);
  const result = await shrink({
    subject: { config, seed, plan, ltsCount, violation: dump.violations[0]!.violation },
    ...{ grounds, durationMs, triesMax: flags.tries, signal },
    log: quiet,
    state: readState(out),
    onState: (state) => writeState(out, state),
    onProgress: (progress) => line.update(progress),
  }).finally(() => line.clear());
  if (!("plan" in result)) return notAgain(result, grounds, options);
  const context = contextOf(dump, options, result.ground);
  const files = writeShrunkFiles(out, result, context);
  process.stdout.write(
    flags.json
      ? `${JSON.stringify({ ...shrunkJson(result, context), files })}\n`
      : shrunkText(result, context, {
          files,
          asFound: dump.violations[0]!.violation,
          wasInterrupted: signal.aborted,
        }),
  );
  if (signal.aborted) return exitCodes.interrupted;
  return exitCodes.consistent;
}

/** @throws {DumpError} */
function remove(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch (cause) {
    throw new DumpError(`${folder}: can not be removed (${(cause as Error).message})`, { cause });
  }
}

function contextOf(dump: Dump, { flags, version }: ShrinkCommandOptions, { isEager }: Ground): ShrunkContext {
  const { seed, bug, config } = dump;
  const target = targetKindOf(dump, flags.target);
  const isOwn = config.target.kind === "memory" || config.target.kind === "embedded";
  const plain: Setting = config.target.kind === "memory" ? "memory" : isOwn ? "embedded" : "configured";
  const setting =
    bug !== undefined && target !== "embedded" ? bug.setting : target === "configured" ? plain : target;
  const isOfTarget = bug !== undefined && builtClass(bug.class).mutant.level === "target";
  const eager = isEager ? ["--bug-eager"] : [];
  const bugFlags = isOfTarget ? ["--bug", bug.class, "--bug-seed", bug.seed, ...eager] : undefined;
  return { version, seed, bug, bugFlags, setting };
}

function notAgain(
  { tries, elapsedMs, trouble }: NotAgain,
  grounds: readonly Ground[],
  { folder, flags, signal }: ShrinkCommandOptions,
): number {
  if (signal.aborted) return exitCodes.interrupted;
  const where = grounds[0]!.description;
  if (flags.json)
    process.stdout.write(`${JSON.stringify({ isShrunk: false, tries, target: where, trouble })}\n`);
  const why = trouble === undefined ? "" : `\nsome tries gave no answer: ${trouble}`;
  process.stderr.write(
    `it did not fail again in ${triesText(tries)} on ${where}, in ${formatDuration(elapsedMs)}${why}\nharrow reproduce ${folder} tells how often the whole run fails; --target configured tries it where it was found\n`,
  );
  return exitCodes.violation;
}

function shrunkText(
  shrunk: Shrunk,
  context: ShrunkContext,
  {
    files,
    asFound,
    wasInterrupted,
  }: { readonly files: ShrunkFiles; readonly asFound: Violation; readonly wasInterrupted: boolean },
): string {
  const { from, size, text, violation, ground, rate, baseline, tries, elapsedMs, isDone } = shrunk;
  const { bug } = context;
  const steps = size.steps === 0 ? "" : `, with ${counted(size.steps, "step")} between them`;
  const isRunnable = bug === undefined || context.bugFlags !== undefined;
  const see =
    bug === undefined ? "" : `  (HARROW_BUG=${bug.class} npx vitest run has the target make its mistake)`;
  return `${[
    `from ${counted(from.operations, "operation")} in ${from.lts} lts to ${size.operations + size.reads} in ${size.lts}${steps}; ${triesText(tries)} in ${formatDuration(elapsedMs)}`,
    isDone
      ? "nothing more can be left out"
      : `${wasInterrupted ? "interrupted" : "time is up"}, and more may still be left out: the same command goes on from here`,
    "",
    text.trimEnd(),
    "",
    describeViolation(violation),
    ...(violation.class === asFound.class
      ? []
      : [
          `(the run itself called it ${asFound.class}; written down, the same wrong block is ${violation.class})`,
        ]),
    "",
    ground.isRepeatable
      ? `fails each time on ${ground.description}`
      : `${rate.tries === 0 ? "how often it fails was not counted" : `fails in ${rateText(rate)}`}, on ${ground.description}; the whole failed in ${rateText(baseline)}`,
    "",
    `history  ${files.history}`,
    `config   ${files.config}`,
    `test     ${files.test}${see}`,
    `json     ${files.json}`,
    ...(isRunnable && context.setting !== "jittery" ? ["", `again    ${runCommand(files, context)}`] : []),
  ].join("\n")}\n`;
}

function triesText(tries: number): string {
  return tries === 1 ? "1 try" : `${tries} tries`;
}

const terminalIntervalMs = 250;
const logIntervalMs = 10_000;

/** How far it has come, in one line: rewritten in place on a terminal, now and then elsewhere. */
class ShrinkLine {
  readonly #stream: NodeJS.WriteStream;
  #shownMs = Number.NEGATIVE_INFINITY;
  #width = 0;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  update({ phase, size, tries, elapsedMs }: ShrinkProgress): void {
    const { isTTY } = this.#stream;
    if (elapsedMs - this.#shownMs < (isTTY ? terminalIntervalMs : logIntervalMs)) return;
    this.#shownMs = elapsedMs;
    const left =
      size === undefined
        ? []
        : [`${counted(size.operations + size.reads, "operation")} in ${size.lts} lts left`];
    const line = [formatDuration(elapsedMs), phase, ...left, triesText(tries)].join("  ");
    this.#stream.write(isTTY ? `\r${line.padEnd(this.#width)}` : `${line}\n`);
    if (isTTY) this.#width = line.length;
  }

  /** Leaves the terminal's line. */
  clear(): void {
    if (this.#width > 0) this.#stream.write(`\r${" ".repeat(this.#width)}\r`);
    this.#width = 0;
  }
}
