/**
 * What shrinking leaves in the folder of a failure, under "shrunk":
 *
 *   history.txt       the smallest history, for `harrow run`
 *   run.yml           what it is to be run with: the target, and the checks that are not as a history has them anyway
 *   failure.test.ts   a test for vitest, which fails as long as the target has the fault
 *   shrunk.json       all that is known of it
 *   state.json        how far shrinking has come; see `state.ts`
 *
 * @packageDocumentation
 */
import { join } from "node:path";
import { stringify } from "yaml";
import { describeViolation } from "../../model/violation.ts";
import type { ConfigInput } from "../../runner/config/schema.ts";
import { counted } from "../../sut/wording.ts";
import type { BugNote } from "../dump.ts";
import { shellWords } from "../shell-words.ts";
import { ownParts, ownTarget } from "./looks.ts";
import type { Shrunk } from "./shrink.ts";
import { writeShrunkFile } from "./state.ts";
import { rateText } from "./trials.ts";

export interface ShrunkContext {
  readonly version: string;
  readonly seed: bigint;
  readonly bug: BugNote | undefined;
  /** What tells `harrow run` to have its target make the mistake; absent if it can not. */
  readonly bugFlags: readonly string[] | undefined;
  /** What the history was performed on. */
  readonly setting: Setting;
}

/** Where a history is performed; `configured` is what the configuration names. */
export type Setting = "memory" | "jittery" | "embedded" | "configured";

export interface ShrunkFiles {
  readonly folder: string;
  readonly history: string;
  readonly config: string;
  readonly test: string;
  readonly json: string;
}

/**
 * @returns Where they are.
 * @throws {DumpError} If one can not be written.
 */
export function writeShrunkFiles(folder: string, shrunk: Shrunk, context: ShrunkContext): ShrunkFiles {
  const files: ShrunkFiles = {
    folder,
    history: join(folder, "history.txt"),
    config: join(folder, "run.yml"),
    test: join(folder, "failure.test.ts"),
    json: join(folder, "shrunk.json"),
  };
  writeShrunkFile(files.history, historyFile(shrunk, context, files));
  writeShrunkFile(files.config, configFile(shrunk, context));
  writeShrunkFile(files.test, testFile(shrunk, context));
  writeShrunkFile(files.json, `${JSON.stringify(shrunkJson(shrunk, context), null, 2)}\n`);
  return files;
}

/** The command that performs the history again, from anywhere. */
export function runCommand(
  { history, config }: ShrunkFiles,
  { bugFlags = [], setting }: ShrunkContext,
): string {
  const moved = bugFlags.length > 0 && setting === "memory" ? ["--target", "embedded"] : [];
  return shellWords(["harrow", "run", history, "--config", config, ...moved, ...bugFlags]);
}

function headLines(shrunk: Shrunk, { version, seed, bug }: ShrunkContext): readonly string[] {
  const { violation, from, size, ground, baseline, rate } = shrunk;
  return [
    ...describeViolation(violation).split("\n"),
    "",
    `Shrunk by harrow ${version} from ${counted(from.operations, "operation")} in ${from.lts} lts to ${size.operations} in ${size.lts},`,
    `seed 0x${seed.toString(16)}, on ${ground.description}.`,
    ground.isRepeatable
      ? "It fails each time."
      : `The whole failed in ${rateText(baseline)}${rate.tries === 0 ? "; how often this does was not counted" : `, this in ${rateText(rate)}`}.`,
    ...(bug === undefined ? [] : [`The target made the mistake of class ${bug.class} on purpose.`]),
  ];
}

function historyFile(shrunk: Shrunk, context: ShrunkContext, files: ShrunkFiles): string {
  const how =
    context.bug !== undefined && context.bugFlags === undefined
      ? "harrow run can not bring this mistake about; failure.test.ts can"
      : `Again: ${runCommand(files, context)}`;
  const comments = [...headLines(shrunk, context), how].map((line) => `# ${line}`.trimEnd());
  return `${comments.join("\n")}\n${shrunk.text}`;
}

function configFile(shrunk: Shrunk, { setting }: ShrunkContext): string {
  const { config, plan } = shrunk;
  const input: ConfigInput = {
    target: setting === "memory" ? { kind: "memory" } : ownTarget(config),
    ...(config.overwrite ? { overwrite: true } : {}),
    ...ownParts(config, plan),
  };
  return `# What history.txt is to be run with: harrow run history.txt --config run.yml\n${stringify(input)}`;
}

function testFile(shrunk: Shrunk, context: ShrunkContext): string {
  const { violation, text } = shrunk;
  const { bug } = context;
  const lines = [
    ...headLines(shrunk, context),
    ...(bug === undefined
      ? []
      : [
          "",
          `It passes on a target that keeps its word. See it fail: HARROW_BUG=${bug.class} npx vitest run`,
        ]),
  ];
  const options = JSON.stringify(testOptions(shrunk, context), null, 2).replaceAll(
    /^( *)"([A-Za-z]\w*)":/gm,
    "$1$2:",
  );
  const [title = ""] = describeViolation(violation).split(/, as of|\n/);
  return `/**
${lines
  .map((line) => ` * ${line}`.trimEnd())
  .join("\n")
  .replaceAll("*/", "* /")}
 */
import { historyTest } from "harrow/vitest";

const history = \`
${text.trimEnd().replaceAll(/[\\`$]/g, "\\$&")}
\`;

historyTest(${JSON.stringify(`${title})`)}, history, ${options});
`;
}

/** As \`historyTest\` of harrow/vitest takes them. */
function testOptions(shrunk: Shrunk, { bug, setting }: ShrunkContext): object {
  const { config, plan, rate, lastFailed } = shrunk;
  const { checks, runner } = ownParts(config, plan);
  const target = targetOption(shrunk, setting);
  const more = { ...(target === undefined ? {} : { target }), ...(runner === undefined ? {} : { runner }) };
  return {
    ...(setting === "configured" ? {} : { target: setting }),
    ...(checks === undefined ? {} : { checks }),
    ...(Object.keys(more).length === 0 ? {} : { config: more }),
    ...(bug === undefined ? {} : { bugSeed: bug.seed }),
    ...(bug === undefined || shrunk.ground.isEager ? {} : { isEager: false }),
    // Random instants are drawn for each attempt: in this one it is known to fail.
    ...(setting === "jittery" ? { attempt: lastFailed } : triesOption(rate)),
  };
}

/** What fails now and then is to be seen all the same: once in a thousand runs it may not be. */
const missedShare = 0.001;
const testTriesMax = 200;

function triesOption({ failures, tries }: Shrunk["rate"]): { readonly tries?: number } {
  if (failures === tries || failures === 0) return {};
  const needed = Math.log(missedShare) / Math.log(1 - failures / tries);
  return { tries: Math.min(testTriesMax, Math.ceil(needed)) };
}

/** The target, where it is not what a history has anyway. */
function targetOption({ config }: Shrunk, setting: Setting): ConfigInput["target"] {
  if (setting === "memory") return undefined;
  const { target } = config;
  if (setting === "configured" || target.kind !== "embedded") return ownTarget(config);
  const { kind, ...own } = ownTarget(config);
  const cache = target.volatileCache ? { volatileCache: true } : {};
  const directory = target.directory === undefined ? {} : { directory: "a temporary one" };
  const all = { ...own, ...directory, ...cache };
  return Object.keys(all).length === 0 ? undefined : ({ kind, ...all } as ConfigInput["target"]);
}

/** What is known of it, as plain data. */
export function shrunkJson(shrunk: Shrunk, context: ShrunkContext): object {
  const { version, seed, bug, setting } = context;
  const { from, size, violation, ground, looks, baseline, rate, lastFailed, tries, elapsedMs, isDone } =
    shrunk;
  return {
    version,
    seed: `0x${seed.toString(16)}`,
    ...{ from, size, violation, history: shrunk.text, testOptions: testOptions(shrunk, context) },
    ...{ target: ground.description, setting, isEager: ground.isEager, looks },
    ...(bug === undefined ? {} : { bug }),
    ...{ baseline, rate, lastFailed, tries, elapsedMs: Math.round(elapsedMs), isMinimal: isDone },
  };
}
