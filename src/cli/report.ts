/**
 * What a run has to say when it ends: for people, and as one JSON object.
 *
 * @packageDocumentation
 */
import type { LedgerReport } from "../model/ledger.ts";
import { describeViolation } from "../model/violation.ts";
import { formatBytes, formatDuration } from "../runner/config/units.ts";
import type { RunResult } from "../runner/runner.ts";

export interface ReportContext {
  readonly version: string;
  readonly seed: bigint;
  readonly target: string;
  readonly failureFolder: string | undefined;
  /** Snapshots that the run leaves on a target that outlives it. */
  readonly snapshotsLeft: readonly string[];
  /** Of a run that can go on. */
  readonly runDirectory: string | undefined;
  /** Gives the command that runs the history of a failure folder again, if it is not drawn from a seed. */
  readonly again?: (failureFolder: string) => string;
}

const violationsPrintedMax = 5;

export function reportText(
  result: RunResult,
  { seed, target, failureFolder, snapshotsLeft, runDirectory, again = fuzzAgain }: ReportContext,
): string {
  const { ledger, violations } = result;
  const { versions, lastVersions, reads, snapshots, diffs } = ledger;
  const total = Object.values(ledger.operations).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries(ledger.operations)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${kind} ${number(count)}`);
  const rows: [string, string][] = [
    ["verdict", verdictText(result)],
    ["seed", `0x${seed.toString(16)}`],
    ["target", target],
    [
      "history",
      `${number(result.ltsCount)} lts in ${formatDuration(result.elapsedMs)}, sha256 ${result.historyDigest}`,
    ],
    ["operations", `${number(total)}: ${kinds.join(", ")}`],
    [
      "bytes",
      `${formatBytes(ledger.bytesWritten)} written, ${formatBytes(ledger.bytesCompared)} read back and compared`,
    ],
    ["last versions", `${number(lastVersions.blocks)} blocks, ${lastVersions.provenPercent} % proven`],
    [
      "all versions",
      `${number(versions.made)} made, ${number(versions.proven)} proven, ${number(versions.neverSeen)} overwritten before anyone looked`,
    ],
    [
      "reads",
      `${number(reads.checked)} checked beside the operations, ${number(reads.underLoad)} of them of blocks in motion; ${number(reads.preReadBlocks)} blocks read before they were replaced`,
    ],
    [
      "snapshots",
      `${number(snapshots.taken)} taken (${number(snapshots.hot)} under load, ${number(snapshots.blocksSplit)} blocks split by a cut), ${number(snapshots.deleted)} deleted, ${number(snapshots.checked)} checks, ${number(snapshots.blocksCompared)} blocks compared`,
    ],
    [
      "diffs",
      `${number(diffs.proven)} proven (${number(diffs.blocksReported)} blocks reported, ${number(diffs.blocksChanged)} had to be), ${number(diffs.deletedBaseRefused)} deleted bases refused`,
    ],
  ];
  rows.push(...rareRows(ledger));
  if (ledger.operationsFailed > 0)
    rows.push(["failed", `${number(ledger.operationsFailed)} operations, certainly without effect`]);
  if (ledger.operationsInDoubt > 0)
    rows.push([
      "in doubt",
      `${number(ledger.operationsInDoubt)} operations, of which either outcome was accepted, once`,
    ]);
  for (const missed of result.belowFloor) rows.push(["below floor", missed]);
  for (const { what, why } of ledger.notChecked) rows.push(["not checked", `${what}: ${why}`]);
  if (snapshotsLeft.length > 0) rows.push(["left there", `snapshots ${snapshotsLeft.join(", ")}`]);
  const lines = violations
    .slice(0, violationsPrintedMax)
    .map((violation) => `${describeViolation(violation)}\n`);
  const more = violations.length - lines.length + result.unexplainedCount;
  if (more > 0) lines.push(`… and ${number(more)} more wrong blocks\n`);
  lines.push(...rows.map(([name, value]) => `${name.padEnd(14)} ${value}`));
  if (failureFolder !== undefined)
    lines.push("", `failure folder ${failureFolder}`, `run it again   ${again(failureFolder)}`);
  if (runDirectory !== undefined) lines.push("", `go on with it  harrow fuzz --resume ${runDirectory}`);
  return `${lines.join("\n")}\n`;
}

function fuzzAgain(failureFolder: string): string {
  return `harrow fuzz ${failureFolder}/run.yml`;
}

/** What only some runs do. */
function rareRows({
  clones,
  rollbacks,
  resizes,
  syncs,
  faults,
  secondVolume,
}: LedgerReport): [string, string][] {
  const rows: [string, string][] = [];
  if (clones.made > 0)
    rows.push([
      "clones",
      `${number(clones.made)} made and written to, ${number(clones.checked)} checks, ${number(clones.blocksCompared)} blocks compared`,
    ]);
  if (rollbacks + resizes > 0)
    rows.push(["volumes", `${number(rollbacks)} rollbacks, ${number(resizes)} resizes`]);
  if (syncs.done > 0)
    rows.push([
      "copies",
      `${number(syncs.done)} made by the diff: ${number(syncs.blocksCopied)} blocks copied, ${number(syncs.blocksCompared)} compared`,
    ]);
  if (faults.crashes + faults.connections > 0)
    rows.push([
      "trouble",
      `${number(faults.crashes)} crashes (${number(faults.crashesChecked)} checked whole, ${number(faults.operationsNotDurable)} operations not durable), ${number(faults.connections)} times the connections`,
    ]);
  if (secondVolume.blocksCompared > 0)
    rows.push(["second volume", `${number(secondVolume.blocksCompared)} blocks compared`]);
  return rows;
}

export function reportJson(
  result: RunResult,
  { version, seed, target, failureFolder, snapshotsLeft, runDirectory }: ReportContext,
): string {
  const { ledger, violations, crash, snapshotsLeft: _, ...rest } = result;
  return `${JSON.stringify({
    version,
    seed: `0x${seed.toString(16)}`,
    target,
    ...rest,
    violations,
    ledger,
    failureFolder: failureFolder ?? null,
    runDirectory: runDirectory ?? null,
    snapshotsLeft,
    ...(crash === undefined ? {} : { crash: crash.message }),
  })}\n`;
}

/** The one object of a run whose target could not be opened. */
export function failureJson({
  version,
  seed,
  message,
}: {
  version: string;
  seed: bigint;
  message: string;
}): string {
  return `${JSON.stringify({ version, seed: `0x${seed.toString(16)}`, verdict: "undecided", targetFailure: message })}\n`;
}

function verdictText({
  verdict,
  violations,
  wasInterrupted,
  targetFailure,
  targetErrorCount,
  crash,
  belowFloor,
}: RunResult): string {
  switch (verdict) {
    case "consistent":
      if (belowFloor.length > 0) return "consistent, but less was proven than asked for";
      return wasInterrupted ? "consistent as far as it came (interrupted)" : "consistent";
    case "violation":
      return `VIOLATION (${violations.length}: ${[...new Set(violations.map((violation) => violation.class))].join(", ")})`;
    case "undecided":
      return `undecided: ${targetFailure ?? crash?.message ?? `${targetErrorCount} operations failed at the target`}`;
  }
}

function number(value: number): string {
  return value.toLocaleString("en");
}
