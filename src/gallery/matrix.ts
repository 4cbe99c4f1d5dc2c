/**
 * Runs classes with several seeds each, and says of each whether it was killed, by whom, how soon and by which name.
 *
 * @packageDocumentation
 */
import type { FaultClass, Rule } from "../model/violation.ts";
import { checkers } from "./checkers.ts";
import { type BuiltClass, type GalleryClass, isBuilt } from "./mutant.ts";
import { type Alarm, performTrial, type Trial, type TrialOptions, type Variant } from "./trial.ts";

/** What became of one class. */
export interface ClassResult {
  readonly entry: GalleryClass;
  /** Absent for a class that is not built. */
  readonly verdict: ClassVerdict | undefined;
}

export interface ClassVerdict {
  readonly seedCount: number;
  /** Seeds with which the checker responsible spoke. */
  readonly killedCount: number;
  /** Seeds of which the first violation had the right name. */
  readonly namedCount: number;
  /** Seeds of which the run without the fault was consistent. */
  readonly controlCleanCount: number;
  /** Seeds with which the fault took effect, nobody responsible looked, and nothing was found. */
  readonly unwatchedSurvivedCount: number;
  /** Rules that spoke, with any seed. */
  readonly by: readonly Rule[];
  /** Names of first violations, the most frequent first. */
  readonly diagnoses: readonly FaultClass[];
  /** Median over the seeds that were killed; absent if none was. */
  readonly firstAlarm: Alarm | undefined;
  /** What did not go as it must, seed by seed, for people. */
  readonly problems: readonly string[];
}

export interface MatrixOptions extends Omit<TrialOptions, "entry" | "variant" | "seed" | "onViolation"> {
  readonly classes: readonly GalleryClass[];
  readonly seeds: readonly bigint[];
  readonly onClass?: (result: ClassResult) => void;
}

export async function runMatrix(options: MatrixOptions): Promise<readonly ClassResult[]> {
  const { classes, seeds, onClass, ...common } = options;
  const results: ClassResult[] = [];
  for (const entry of classes) {
    if (common.signal.aborted) break;
    const verdict = isBuilt(entry) ? await judgeClass(entry, seeds, common) : undefined;
    if (verdict === "interrupted") break;
    const result = { entry, verdict };
    results.push(result);
    onClass?.(result);
  }
  return results;
}

/** Of the seeds of a class, how many must have the right name: which block is looked at first is a matter of chance. */
const namedShareMin = 0.9;

/**
 * Whether a class is what the gallery says of it: killed by its checker with every seed and most often by its name,
 * clean without the fault, and alive when its checker does not look. One that is not built is no failure.
 */
export function isAsPromised({ verdict }: ClassResult): boolean {
  if (verdict === undefined) return true;
  const { seedCount, killedCount, namedCount, controlCleanCount, unwatchedSurvivedCount } = verdict;
  return (
    [killedCount, controlCleanCount, unwatchedSurvivedCount].every((count) => count === seedCount) &&
    namedCount >= namedShareMin * seedCount
  );
}

type Common = Omit<MatrixOptions, "classes" | "seeds" | "onClass">;

async function judgeClass(
  entry: BuiltClass,
  seeds: readonly bigint[],
  common: Common,
): Promise<ClassVerdict | "interrupted"> {
  const by = new Set<Rule>();
  const diagnoses: FaultClass[] = [];
  const alarms: Alarm[] = [];
  const problems: string[] = [];
  let killedCount = 0;
  let namedCount = 0;
  let controlCleanCount = 0;
  let unwatchedSurvivedCount = 0;
  for (const seed of seeds) {
    const problem = (what: string): void => void problems.push(`seed ${seed}: ${what}`);
    const of = (variant: Variant): Promise<Trial | undefined> =>
      performTrial({ ...common, entry, seed, variant }).catch((error: unknown) => {
        if (!common.signal.aborted) problem(`${variant}: could not be run: ${textOf(error)}`);
        return undefined;
      });
    if (common.signal.aborted) return "interrupted";
    const fault = await of("fault");
    const violations = fault?.result.violations ?? [];
    for (const { rule } of violations) by.add(rule);
    const rules: readonly Rule[] = checkers[entry.checker].rules;
    if (common.signal.aborted) return "interrupted";
    if (fault === undefined) continue;
    if (violations.some(({ rule }) => rules.includes(rule))) {
      killedCount++;
      if (fault.firstAlarm !== undefined) alarms.push(fault.firstAlarm);
      diagnoses.push(violations[0]!.class);
      if (isNamed(entry, fault)) namedCount++;
      else problem(`killed by another name: ${namesText(fault)}, expected ${entry.names.join(" or ")}`);
    } else problem(`survived: ${endText(fault)}`);
    const control = await of("control");
    if (control !== undefined) {
      if (isClean(control)) controlCleanCount++;
      else problem(`without the fault: ${endText(control)}`);
    }
    const unwatched = await of("unwatched");
    if (unwatched !== undefined) {
      if (isClean(unwatched) && unwatched.struckCount > 0) unwatchedSurvivedCount++;
      else problem(`with ${entry.checker} switched off: ${endText(unwatched)}`);
    }
    if (common.signal.aborted) return "interrupted";
  }
  return {
    seedCount: seeds.length,
    killedCount,
    namedCount,
    controlCleanCount,
    unwatchedSurvivedCount,
    by: [...by],
    diagnoses: byFrequency(diagnoses),
    firstAlarm: medianOf(alarms),
    problems,
  };
}

/** The first violation has one of the names of the class, and the first of them is among all. */
function isNamed({ names, rereads }: BuiltClass, { result: { violations } }: Trial): boolean {
  const [first] = violations;
  return (
    first !== undefined &&
    names.includes(first.class) &&
    violations.some((one) => one.class === names[0] && (rereads === undefined || one.rereads === rereads))
  );
}

function isClean({ result }: Trial): boolean {
  return result.verdict === "consistent";
}

function endText(trial: Trial): string {
  const { result, struckCount } = trial;
  const why = result.targetFailure ?? result.crash?.message;
  const end = result.verdict === "violation" ? namesText(trial) : result.verdict;
  return `${end}${why === undefined ? "" : ` (${why})`}; the fault struck ${struckCount} times`;
}

function namesText({ result }: Trial): string {
  const names = result.violations.map(
    ({ rule, class: name, rereads }) => `${rule}/${name}${rereads === undefined ? "" : `/${rereads}`}`,
  );
  return [...new Set(names)].join(" ");
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function byFrequency<Item>(items: readonly Item[]): readonly Item[] {
  const counts = new Map<Item, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a).map(([item]) => item);
}

function medianOf(alarms: readonly Alarm[]): Alarm | undefined {
  if (alarms.length === 0) return undefined;
  const of = (key: keyof Alarm): number => {
    const sorted = alarms.map((alarm) => alarm[key]).sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)]!;
  };
  return { operations: of("operations"), bytesWritten: of("bytesWritten"), seconds: of("seconds") };
}
