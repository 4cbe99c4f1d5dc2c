/**
 * One class of the gallery, from its failure folder to the test that is left of it, by the command line alone.
 *
 * @packageDocumentation
 */
import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BuiltClass } from "../src/gallery/mutant.ts";

export interface Aftermath {
  readonly entry: BuiltClass;
  /** Rule and class that were found first; absent if nobody noticed. */
  readonly violation: string | undefined;
  /** `k/n` tries that failed so. */
  readonly afresh: string;
  /** What the image shows of the first violation. */
  readonly image: string;
  readonly shrunk:
    | {
        readonly fromOperations: number;
        readonly operations: number;
        readonly steps: number;
        readonly rate: string;
        readonly rateShare: number;
      }
    | undefined;
  /** The history that is left, and how it is performed to fail. */
  readonly left: { readonly history: string; readonly expected: object } | undefined;
  /** What became of the test that was written, with the bug and without it. */
  readonly test: string;
  readonly elapsedMs: number;
}

const root = fileURLToPath(new URL("..", import.meta.url));
const harrow = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const operationsMax = 10;
/** What appears less often need not be kept. */
const rateMin = 0.2;

/** Rules that are no matter of what a volume, a snapshot or a diff holds: an image keeps nothing of them. */
const passingRules: ReadonlySet<string> = new Set([
  "compare",
  "size",
  "liveness",
  "second-volume",
  "exhaustive",
]);

export async function aftermathOf(
  entry: BuiltClass,
  {
    seed,
    tries,
    duration,
    directory,
  }: { readonly seed: string; readonly tries: string; readonly duration: string; readonly directory: string },
): Promise<Aftermath> {
  const started = performance.now();
  mkdirSync(directory, { recursive: true });
  const made = await perform(["gallery", entry.id, "--seed", seed, "--seeds", "1", "--failures", directory]);
  const folder = made.stdout.trim().split(/\s+/).at(-1) ?? "";
  if (made.code !== 0)
    return {
      ...{
        entry,
        violation: undefined,
        afresh: "-",
        image: "-",
        shrunk: undefined,
        left: undefined,
        test: "-",
      },
      elapsedMs: performance.now() - started,
    };
  const again = await json(["reproduce", folder, "--afresh", "--tries", tries, "--json"]);
  const image = await json(["reproduce", folder, "--image", "--json"]);
  const shrunk = await json(["shrink", folder, "--duration", duration, "--json"]);
  const test = `${folder}/shrunk/failure.test.ts`;
  const [plain, bugged] = await Promise.all([vitest(test, {}), vitest(test, { HARROW_BUG: entry.id })]);
  const first = image?.image?.judgements?.[0];
  const tally = shrunk?.rate as { failures: number; tries: number } | undefined;
  return {
    entry,
    violation: first === undefined ? "?" : `${first.violation.rule} ${first.violation.class}`,
    afresh: again?.afresh === undefined ? "-" : `${again.afresh.failures}/${again.afresh.tries}`,
    image: first?.verdict ?? "-",
    shrunk:
      tally === undefined
        ? undefined
        : {
            fromOperations: shrunk!.from.operations,
            operations: shrunk!.size.operations + shrunk!.size.reads,
            steps: shrunk!.size.steps,
            rate: `${tally.failures}/${tally.tries}`,
            rateShare: tally.failures / tally.tries,
          },
    left:
      tally === undefined
        ? undefined
        : {
            history: shrunk!.history,
            expected: {
              bug: entry.id,
              rule: shrunk!.violation.rule,
              class: shrunk!.violation.class,
              options: shrunk!.testOptions,
            },
          },
    test: `${plain ? "passes" : "FAILS"} without, ${bugged ? "PASSES" : "fails"} with`,
    elapsedMs: performance.now() - started,
  };
}

/** What is not as it must be. */
export function problemsOf({ entry, violation, afresh, image, shrunk, test }: Aftermath): readonly string[] {
  if (violation === undefined) return ["nobody noticed"];
  const problems: string[] = [];
  const [failures, tries] = afresh.split("/");
  const isExact = entry.mutant.setting === "memory";
  if (isExact && failures !== tries) problems.push(`afresh ${afresh}, though each run is the same`);
  if (isExact && image !== "again" && !passingRules.has(violation.split(" ")[0]!))
    problems.push(`the image says: ${image}`);
  if (shrunk === undefined) problems.push("it could not be shrunk");
  else {
    if (isExact && shrunk.operations > operationsMax)
      problems.push(`${shrunk.operations} operations are left`);
    if (shrunk.rateShare < rateMin) problems.push(`what is left fails in ${shrunk.rate}`);
    if (isExact && test !== "passes without, fails with") problems.push(`the test ${test}`);
  }
  return problems;
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
}

function perform(args: readonly string[]): Promise<Ended> {
  return run(process.execPath, [harrow, ...args], {});
}

// biome-ignore lint/suspicious/noExplicitAny: what other commands print, of which this asks a few members.
async function json(args: readonly string[]): Promise<any> {
  const { stdout } = await perform(args);
  try {
    return JSON.parse(stdout);
  } catch {
    return undefined;
  }
}

/** @returns Whether a test file passed. */
async function vitest(file: string, environment: NodeJS.ProcessEnv): Promise<boolean> {
  const args = ["vitest", "run", "--config", "soak/vitest.aftermath.config.ts", file];
  return (await run("npx", args, environment)).code === 0;
}

function run(program: string, args: readonly string[], environment: NodeJS.ProcessEnv): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      { cwd: root, env: { ...process.env, ...environment }, maxBuffer: 2 ** 28 },
      (error, stdout) =>
        resolve({ code: error === null ? 0 : typeof error.code === "number" ? error.code : 1, stdout }),
    );
  });
}
