/**
 * `harrow reproduce`: judges what a failure folder holds again, in one way or several.
 *
 * @packageDocumentation
 */
import type { Dump } from "../reproduce/dump.ts";
import { fromImage } from "../reproduce/rejudge/from-image.ts";
import type { Judged, Judgement, JudgementVerdict } from "../reproduce/rejudge/judgement.ts";
import { onTarget } from "../reproduce/rejudge/on-target.ts";
import type { GroundOptions } from "../gallery/ground.ts";
import { afreshReport } from "./afresh-report.ts";
import { exitCodes } from "./exit-codes.ts";
import { groundOfDump } from "./grounds.ts";
import { isOfTarget } from "./fuzz.ts";
import type { Report } from "./reproduction.ts";
import { createLog, type Log, type LogLevel } from "./log.ts";
import { withDump } from "./with-dump.ts";

export interface ReproduceFlags {
  /** How often it is run afresh. */
  readonly tries: number;
  readonly image?: true;
  readonly live?: true;
  readonly afresh?: true;
  /** Of what is run afresh. */
  readonly target?: GroundOptions["target"];
  readonly allowEdited?: true;
  readonly json?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface ReproduceOptions {
  /** The failure folder. */
  readonly folder: string;
  readonly flags: ReproduceFlags;
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

/** So many things that a folder lacks are named. */
const lacksMax = 5;

type Way = (dump: Dump, options: ReproduceOptions, log: Log) => Promise<Report>;

/** @returns The exit code: 1 if something is wrong again, in any of the ways. */
export async function reproduce(options: ReproduceOptions): Promise<number> {
  const { flags, version, signal } = options;
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  return withDump(options, async (dump) => {
    if (dump.unwritten.length > 0) process.stderr.write(`harrow: ${lacksText(dump)}\n`);
    const reports: Report[] = [];
    try {
      for (const way of waysOf(flags)) {
        if (signal.aborted) break;
        const report = await way(dump, options, log);
        reports.push(report);
        if (!flags.json) process.stdout.write(`${report.lines.join("\n")}\n`);
      }
    } catch (error) {
      if (!isOfTarget(error)) throw error;
      if (signal.aborted) return exitCodes.interrupted;
      process.stderr.write(`harrow: the target failed: ${error.message}\n`);
      return exitCodes.target;
    }
    if (flags.json) process.stdout.write(jsonText(dump, version, reports));
    return signal.aborted ? exitCodes.interrupted : exitCodeOf(reports);
  });
}

/** What could not be dumped; what was lost since is among the warnings. */
function lacksText({ path, unwritten }: Dump): string {
  const named = unwritten.slice(0, lacksMax).join("; ");
  const more = unwritten.length - lacksMax;
  return `${path} lacks ${named}${more > 0 ? `; and ${more} more` : ""}`;
}

function waysOf({ live, image, afresh: isAfresh }: ReproduceFlags): readonly Way[] {
  const isRun = isAfresh ?? (image === undefined && live === undefined);
  return [...(image ? [byImage] : []), ...(live ? [byTarget] : []), ...(isRun ? [byRunning] : [])];
}

/** Runs it again from its start. */
async function byRunning(
  dump: Dump,
  { flags, serveCommand, signal }: ReproduceOptions,
  log: Log,
): Promise<Report> {
  const ground = groundOfDump(dump, { target: flags.target, serveCommand, log });
  return afreshReport(dump, { ground, tries: flags.tries, signal, log });
}

/** Judges again what the folder holds. */
async function byImage(dump: Dump, { signal }: ReproduceOptions, log: Log): Promise<Report> {
  return judgedReport("image", await fromImage(dump, { log, signal }));
}

/** Judges again what the target shows, on which it was found. */
async function byTarget(dump: Dump, { serveCommand, signal }: ReproduceOptions, log: Log): Promise<Report> {
  const judged = await onTarget(dump, { serveCommand, environment: process.env, log, signal });
  return judgedReport("live", judged);
}

function judgedReport(way: string, { description, judgements }: Judged): Report {
  const isWrong = judgements.some(({ verdict }) => verdict === "again" || verdict === "different");
  const isKnown = judgements.length > 0 && judgements.every(({ verdict }) => verdict !== "not-kept");
  return {
    way,
    outcome: isWrong ? "violation" : isKnown ? "consistent" : "undecided",
    lines: [`${way}: ${description}`, ...judgements.flatMap(linesOf), totalText(judgements)],
    json: { description, judgements },
  };
}

const verdictTexts: Readonly<Record<JudgementVerdict, string>> = {
  again: "again",
  different: "otherwise",
  right: "right",
  "not-kept": "not known",
};

function linesOf({ violation, verdict, text }: Judgement): readonly string[] {
  const { class: name, rule, volume, block, blockCount, snapshot, ltsMax } = violation;
  const where = `volume ${volume}${blockCount === 0 ? "" : `, block ${block}`}`;
  const of = snapshot === undefined ? "" : `, snapshot ${snapshot}`;
  return [
    `  ${verdictTexts[verdict].padEnd(9)}  ${name}: ${where}${of} (rule ${rule}, as of lts ${ltsMax})`,
    `             ${text}`,
  ];
}

function totalText(judgements: readonly Judgement[]): string {
  const verdicts = Object.keys(verdictTexts) as JudgementVerdict[];
  const counts = verdicts
    .map((verdict) => [verdict, judgements.filter((one) => one.verdict === verdict).length] as const)
    .filter(([, count]) => count > 0)
    .map(([verdict, count]) => `${count} ${verdictTexts[verdict]}`);
  const total = judgements.length;
  return `  ${total} ${total === 1 ? "violation" : "violations"}: ${counts.join(", ")}`;
}

function jsonText(dump: Dump, version: string, reports: readonly Report[]): string {
  const ways = Object.fromEntries(reports.map(({ way, outcome, json }) => [way, { outcome, ...json }]));
  const { path: folder, seed } = dump;
  return `${JSON.stringify({ version, folder, seed: `0x${seed.toString(16)}`, ...ways }, null, 2)}\n`;
}

/** What nobody can tell is not called consistent. */
function exitCodeOf(reports: readonly Report[]): number {
  if (reports.some(({ outcome }) => outcome === "violation")) return exitCodes.violation;
  return reports.every(({ outcome }) => outcome === "consistent") ? exitCodes.consistent : exitCodes.target;
}
