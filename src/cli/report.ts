/**
 * What a run has to say when it ends: for people, and as one JSON object.
 *
 * @packageDocumentation
 */
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
}

const violationsPrintedMax = 5;

export function reportText(
  result: RunResult,
  { seed, target, failureFolder, snapshotsLeft }: ReportContext,
): string {
  const { ledger, violations } = result;
  const { versions, lastVersions, snapshots, diffs } = ledger;
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
      "snapshots",
      `${number(snapshots.taken)} taken, ${number(snapshots.deleted)} deleted, ${number(snapshots.checked)} checks, ${number(snapshots.blocksCompared)} blocks compared`,
    ],
    [
      "diffs",
      `${number(diffs.proven)} proven (${number(diffs.blocksReported)} blocks reported, ${number(diffs.blocksChanged)} had to be), ${number(diffs.deletedBaseRefused)} deleted bases refused`,
    ],
  ];
  if (ledger.operationsFailed > 0)
    rows.push(["failed", `${number(ledger.operationsFailed)} operations, certainly without effect`]);
  if (ledger.operationsInDoubt > 0)
    rows.push([
      "in doubt",
      `${number(ledger.operationsInDoubt)} operations, of which either outcome was accepted, once`,
    ]);
  for (const { what, why } of ledger.notChecked) rows.push(["not checked", `${what}: ${why}`]);
  if (snapshotsLeft.length > 0) rows.push(["left there", `snapshots ${snapshotsLeft.join(", ")}`]);
  const lines = violations
    .slice(0, violationsPrintedMax)
    .map((violation) => `${describeViolation(violation)}\n`);
  const more = violations.length - lines.length + result.unexplainedCount;
  if (more > 0) lines.push(`… and ${number(more)} more wrong blocks\n`);
  lines.push(...rows.map(([name, value]) => `${name.padEnd(14)} ${value}`));
  if (failureFolder !== undefined)
    lines.push("", `failure folder ${failureFolder}`, `run it again   harrow fuzz ${failureFolder}/run.yml`);
  return `${lines.join("\n")}\n`;
}

export function reportJson(
  result: RunResult,
  { version, seed, target, failureFolder, snapshotsLeft }: ReportContext,
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
}: RunResult): string {
  switch (verdict) {
    case "consistent":
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
