/**
 * `harrow narrow`: performs what failed again with one thing switched off at a time, and says what the failure needs.
 *
 * @packageDocumentation
 */
import type { GroundOptions } from "../gallery/ground.ts";
import type { Dump } from "../reproduce/dump.ts";
import { type NarrowResult, narrow } from "../reproduce/narrow.ts";
import { narrowJson, narrowText, rowText } from "../reproduce/narrow-report.ts";
import { parseConfig } from "../runner/config/load.ts";
import type { RunLog } from "../runner/run-log.ts";
import { exitCodes } from "./exit-codes.ts";
import { groundsOfDump, targetKindOf } from "./grounds.ts";
import { createLog, type Log, type LogLevel } from "./log.ts";
import { withDump } from "./with-dump.ts";

export interface NarrowFlags {
  /** Where it was found, if left out: on the target that made the mistake on purpose, or else on one like it. */
  readonly target?: GroundOptions["target"];
  readonly tries: number;
  readonly duration: string;
  readonly allowEdited?: true;
  readonly json?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

export interface NarrowCommandOptions {
  /** The failure folder. */
  readonly folder: string;
  readonly flags: NarrowFlags;
  readonly version: string;
  /** How to start `harrow serve`. */
  readonly serveCommand: readonly string[];
  readonly signal: AbortSignal;
}

/** @returns The exit code: 0 if the table could be made, 1 if the failure did not come back. */
export async function narrowDump(options: NarrowCommandOptions): Promise<number> {
  const { flags, version, signal } = options;
  const log = quiet(createLog({ level: flags.logLevel, json: flags.logJson ?? false }));
  return withDump(options, async (dump, durationMs) => {
    const where = placeOf(dump, flags);
    const result = await narrow(where.dump, {
      ...{
        grounds: groundsOfDump(where.dump, { target: where.target, serveCommand: options.serveCommand, log }),
        hasWire: where.hasWire,
        tries: flags.tries,
      },
      ...{ durationMs, signal, log },
      onRow: (row) => void process.stderr.write(`${rowText(row)}\n`),
    });
    process.stdout.write(flags.json ? narrowJson(result, { version, dump }) : narrowText(result, dump));
    return exitCodeOf(result);
  });
}

/** What many runs have to say is for those who ask. */
function quiet({ debug }: Log): RunLog {
  return { info: debug, warn: debug };
}

/** Where the history is performed. */
interface Place {
  /** With the target that it is performed on. */
  readonly dump: Dump;
  readonly target: GroundOptions["target"];
  readonly hasWire: boolean;
}

function placeOf(dump: Dump, flags: NarrowFlags): Place {
  const { bug, config } = dump;
  const isInMemory = config.target.kind === "memory";
  const target = targetKindOf(dump, flags.target);
  const isMoved = target === "embedded" && config.target.kind !== "embedded";
  const moved = isMoved ? parseConfig("target: { kind: embedded }", "the embedded target").target : undefined;
  const setting = target === "embedded" ? "embedded" : bug?.setting;
  return {
    dump: moved === undefined ? dump : { ...dump, config: { ...config, target: moved } },
    target,
    hasWire: setting === "embedded" || (setting === undefined && target === "configured" && !isInMemory),
  };
}

function exitCodeOf({ asItWas, wasInterrupted }: NarrowResult): number {
  if (wasInterrupted) return exitCodes.interrupted;
  if (asItWas.failures > 0) return exitCodes.consistent;
  return asItWas.tries === 0 ? exitCodes.target : exitCodes.violation;
}
