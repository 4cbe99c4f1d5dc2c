/**
 * `harrow reproduce` afresh: the failed run from its start, again and again, each time on a target of its own.
 *
 * @packageDocumentation
 */
import { afresh, type Try } from "../reproduce/afresh.ts";
import type { Ground } from "../reproduce/again.ts";
import type { Dump } from "../reproduce/dump.ts";
import { rateText } from "../reproduce/shrink/trials.ts";
import type { RunLog } from "../runner/run-log.ts";
import type { Report } from "./reproduction.ts";

export async function afreshReport(
  dump: Dump,
  {
    ground,
    tries,
    signal,
    log,
  }: {
    readonly ground: Ground;
    readonly tries: number;
    readonly signal: AbortSignal;
    readonly log: RunLog;
  },
): Promise<Report> {
  const { violation } = dump.violations[0]!;
  const done = await afresh(dump, violation, {
    ...{ ground, tries, signal, log },
    onTry: (number, one) => void process.stderr.write(`try ${number + 1} of ${tries}: ${tryText(one)}\n`),
  });
  const count = (outcome: Try["outcome"]): number => done.filter((one) => one.outcome === outcome).length;
  const failures = count("again");
  const others = count("otherwise");
  const isWrong = failures + others > 0;
  const { rule, class: name } = violation;
  const lines = [
    `afresh: ${dump.ltsCount} lts of seed 0x${dump.seed.toString(16)} on ${ground.description}`,
    `  ${name} (rule ${rule}) again in ${rateText({ failures, tries: done.length })}`,
    ...(others > 0 ? [`  something else in ${others}: ${otherNames(done)}`] : []),
    ...(count("undecided") > 0 ? [`  no answer in ${count("undecided")}: ${whyOf(done)}`] : []),
  ];
  return {
    way: "afresh",
    outcome: isWrong ? "violation" : count("undecided") > 0 || done.length === 0 ? "undecided" : "consistent",
    lines,
    json: {
      description: ground.description,
      failures,
      tries: done.length,
      others,
      undecided: count("undecided"),
      results: done,
    },
  };
}

function tryText({ outcome, violation, why }: Try): string {
  switch (outcome) {
    case "again":
      return "the same failure";
    case "otherwise":
      return `another failure, ${violation!.class} (rule ${violation!.rule})`;
    case "consistent":
      return "nothing is wrong";
    case "undecided":
      return `no answer: ${why}`;
  }
}

function otherNames(done: readonly Try[]): string {
  const names = done.flatMap(({ outcome, violation }) => (outcome === "otherwise" ? [violation!.class] : []));
  return [...new Set(names)].join(", ");
}

function whyOf(done: readonly Try[]): string {
  return done.find(({ outcome }) => outcome === "undecided")?.why ?? "";
}
