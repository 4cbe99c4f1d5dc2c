/**
 * One soak run: harrow is started, killed as often as drawn and resumed, and its last word is judged.
 *
 * @packageDocumentation
 */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export interface SoakRun {
  readonly seed: number;
  readonly elapsedMs: number;
  readonly killCount: number;
  readonly crashes: number;
  readonly connectionFaults: number;
  readonly readsUnderLoad: number;
  readonly snapshotsHot: number;
  readonly blocksSplit: number;
  readonly diffs: number;
  readonly inDoubt: number;
  readonly notDurable: number;
  /** Why it is not consistent; absent if it is. */
  readonly problem: string | undefined;
}

const harrow = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
/** A run that takes longer hangs. */
const processMsMax = 240_000;

interface Ended {
  readonly code: number | null;
  readonly isKilled: boolean;
  readonly isLate: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

export async function soak({
  seed,
  directory,
  kills,
}: {
  readonly seed: number;
  readonly directory: string;
  readonly kills: readonly number[];
}): Promise<SoakRun> {
  const started = performance.now();
  let killCount = 0;
  let ended: Ended | undefined;
  for (const killAfterMs of [...kills, undefined]) {
    const run = runDirectory(directory);
    const args = run === undefined ? [join(directory, "soak.yml")] : ["--resume", run];
    ended = await perform(["fuzz", ...args, "--json", "--log-level", "error"], killAfterMs);
    if (run !== undefined && ended.stderr.includes("ended before it began")) {
      // Killed while it made its directory: there is nothing to go on from.
      rmSync(run, { recursive: true });
      ended = await perform(
        ["fuzz", join(directory, "soak.yml"), "--json", "--log-level", "error"],
        undefined,
      );
    }
    if (!ended.isKilled) break;
    killCount++;
  }
  const report = parse(ended!.stdout);
  const ledger = report?.ledger;
  return {
    seed,
    elapsedMs: performance.now() - started,
    killCount,
    crashes: ledger?.faults.crashes ?? 0,
    connectionFaults: ledger?.faults.connections ?? 0,
    readsUnderLoad: ledger?.reads.underLoad ?? 0,
    snapshotsHot: ledger?.snapshots.hot ?? 0,
    blocksSplit: ledger?.snapshots.blocksSplit ?? 0,
    diffs: ledger?.diffs.proven ?? 0,
    inDoubt: ledger?.operationsInDoubt ?? 0,
    notDurable: ledger?.faults.operationsNotDurable ?? 0,
    problem: problemOf(ended!, report),
  };
}

/** The one run that is kept there, once there is one. */
function runDirectory(directory: string): string | undefined {
  try {
    const [name] = readdirSync(join(directory, "runs"));
    return name === undefined ? undefined : join(directory, "runs", name);
  } catch {
    return undefined;
  }
}

function perform(args: readonly string[], killAfterMs: number | undefined): Promise<Ended> {
  return new Promise((resolve) => {
    const child: ChildProcess = spawn(process.execPath, [harrow, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const output = { stdout: "", stderr: "" };
    let isKilled = false;
    let isLate = false;
    child.stdout!.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr!.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    const timer = setTimeout(() => {
      isKilled = killAfterMs !== undefined;
      isLate = !isKilled;
      child.kill("SIGKILL");
    }, killAfterMs ?? processMsMax);
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      // It may have ended by itself just before.
      resolve({ ...output, code, isKilled: isKilled && signal === "SIGKILL", isLate });
    });
  });
}

interface Report {
  readonly verdict: string;
  readonly violations: readonly { readonly class: string; readonly summary: string }[];
  readonly targetFailure?: string;
  readonly crash?: string;
  readonly ledger: {
    readonly faults: { crashes: number; connections: number; operationsNotDurable: number };
    readonly reads: { underLoad: number };
    readonly snapshots: { hot: number; blocksSplit: number };
    readonly diffs: { proven: number };
    readonly operationsInDoubt: number;
    readonly lastVersions: { provenPercent: number };
  };
}

function parse(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report;
  } catch {
    return undefined;
  }
}

function problemOf({ code, stdout, stderr, isLate }: Ended, report: Report | undefined): string | undefined {
  if (isLate) return `still running after ${processMsMax / 1000} s\n${stderr}`;
  if (report === undefined)
    return `exit code ${code} and no report: ${stdout.slice(0, 200)}${stderr.slice(-1000)}`;
  if (report.verdict !== "consistent") {
    const [violation] = report.violations;
    const why =
      violation === undefined
        ? (report.targetFailure ?? report.crash ?? "no reason given")
        : `${violation.class}: ${violation.summary}`;
    return `${report.verdict}: ${why}\n${stderr.slice(-1000)}`;
  }
  if (report.ledger.lastVersions.provenPercent < 100)
    return `only ${report.ledger.lastVersions.provenPercent} % of the last versions are proven`;
  return code === 0 ? undefined : `exit code ${code}`;
}
