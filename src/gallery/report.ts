/**
 * The matrix in words: line by line for people, as JSON, and as the table of a Markdown page.
 *
 * @packageDocumentation
 */
import { formatBytes } from "../runner/config/units.ts";
import type { ClassResult, ClassVerdict } from "./matrix.ts";
import type { GalleryClass } from "./mutant.ts";

/** Longest list of what went wrong with a class. */
const problemsMax = 10;

/** One class, when it is done. */
export function rowText({ entry, verdict }: ClassResult): string {
  const head = `${entry.id}  ${entry.title.padEnd(26)}`;
  if (entry.mutant.level === "none") return `${head}not built: ${entry.mutant.why}\n`;
  if (verdict === undefined) return "";
  const row = `${head}${stateText(verdict).padEnd(16)} by ${verdict.by.join(", ").padEnd(20)} as ${verdict.diagnoses.join(", ").padEnd(24)} ${alarmText(verdict)}`;
  const problems = verdict.problems.slice(0, problemsMax).map((problem) => `     ${problem}`);
  return `${[row.trimEnd(), ...problems].join("\n")}\n`;
}

/** The sum of it. */
export function galleryText(results: readonly ClassResult[]): string {
  const built = results.flatMap(({ verdict }) => (verdict === undefined ? [] : [verdict]));
  const sum = (count: (verdict: ClassVerdict) => number): number =>
    built.reduce((total, verdict) => total + count(verdict), 0);
  const seeds = sum(({ seedCount }) => seedCount);
  const whole = built.filter(({ killedCount, seedCount }) => killedCount === seedCount).length;
  return [
    "",
    `classes    ${whole} of ${built.length} killed with every seed, ${results.length - built.length} not built`,
    `runs       ${sum(({ killedCount }) => killedCount)} of ${seeds} killed by the checker responsible, ${sum(({ namedCount }) => namedCount)} with the right name`,
    `controls   ${sum(({ controlCleanCount }) => controlCleanCount)} of ${seeds} consistent without the fault`,
    `unwatched  ${sum(({ unwatchedSurvivedCount }) => unwatchedSurvivedCount)} of ${seeds} survived with the checker responsible switched off`,
    "",
  ].join("\n");
}

export function galleryJson(results: readonly ClassResult[], seed: bigint): string {
  const classes = results.map(({ entry, verdict }) => ({
    id: entry.id,
    title: entry.title,
    fault: entry.fault,
    incident: entry.incident,
    level: entry.mutant.level,
    checker: entry.checker,
    built: verdict !== undefined,
    ...(entry.mutant.level === "none" ? { why: entry.mutant.why } : {}),
    killed: verdict !== undefined && verdict.killedCount === verdict.seedCount,
    by: verdict?.by ?? [],
    diagnosis: verdict?.diagnoses[0] ?? null,
    operations: verdict?.firstAlarm?.operations ?? null,
    bytes: verdict?.firstAlarm?.bytesWritten ?? null,
    seconds: verdict?.firstAlarm?.seconds ?? null,
    seeds: verdict && {
      count: verdict.seedCount,
      killed: verdict.killedCount,
      named: verdict.namedCount,
      controlsClean: verdict.controlCleanCount,
      unwatchedSurvived: verdict.unwatchedSurvivedCount,
    },
    problems: verdict?.problems ?? [],
  }));
  return `${JSON.stringify({ seed: `0x${seed.toString(16)}`, classes }, null, 2)}\n`;
}

export function galleryMarkdown(results: readonly ClassResult[]): string {
  const lines = [
    "| class | what goes wrong | seen at | checker | killed | first alarm named | operations | written | seconds |",
    "| --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |",
  ];
  for (const { entry, verdict } of results) {
    const head = `${entry.id} ${entry.title} | ${entry.fault} | ${entry.incident}`;
    if (entry.mutant.level === "none") lines.push(`| ${head} | | not built: ${entry.mutant.why} | | | | |`);
    else if (verdict !== undefined) {
      const { firstAlarm: alarm } = verdict;
      const cells = [
        head,
        entry.checker,
        `${verdict.killedCount} of ${verdict.seedCount}`,
        verdict.diagnoses.map((name) => `\`${name}\``).join(" "),
        alarm?.operations.toLocaleString("en") ?? "",
        alarm === undefined ? "" : formatBytes(alarm.bytesWritten),
        alarm?.seconds.toFixed(2) ?? "",
      ];
      lines.push(`| ${cells.join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

export function listText(classes: readonly GalleryClass[]): string {
  const lines = classes.map(({ id, title, fault, incident, mutant, checker }) => {
    const where = mutant.level === "none" ? `not built: ${mutant.why}` : `${mutant.level}, ${mutant.setting}`;
    return `${id}  ${title}\n     ${fault}\n     seen at: ${incident}\n     ${where}; to be noticed by ${checker}`;
  });
  return `${lines.join("\n")}\n`;
}

function stateText({ killedCount, seedCount }: ClassVerdict): string {
  if (killedCount === seedCount) return "killed";
  return killedCount === 0 ? "SURVIVED" : `${killedCount} of ${seedCount} killed`;
}

function alarmText({ firstAlarm }: ClassVerdict): string {
  if (firstAlarm === undefined) return "";
  const { operations, bytesWritten, seconds } = firstAlarm;
  return `${operations.toLocaleString("en")} operations, ${formatBytes(bytesWritten)}, ${seconds.toFixed(2)} s`;
}
