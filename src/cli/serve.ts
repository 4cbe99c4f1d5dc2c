/**
 * `harrow serve`: the embedded target as a process, for the runner and for anyone's own experiments.
 *
 * @packageDocumentation
 */
import { bugOf } from "../gallery/serve-bug.ts";
import type { CsiStyle } from "../sut/csi/server/answer.ts";
import { serveProcess } from "../sut/embedded/process.ts";
import { StoreError } from "../sut/store/port.ts";
import { exitCodes } from "./exit-codes.ts";
import { createLog, type LogLevel } from "./log.ts";

export interface ServeFlags {
  readonly host: string;
  readonly nvmePort: number;
  readonly apiPort: number;
  readonly advertise?: string;
  readonly directory?: string;
  readonly volatileCache?: true;
  readonly volatileCacheSeed?: number;
  /** Port of the CSI SnapshotMetadata service, which is not there without one. */
  readonly diffPageRanges?: number;
  readonly csiPort?: number;
  readonly csiStyle?: CsiStyle;
  readonly tokenEnv?: string;
  readonly exitWithParent?: true;
  readonly bug?: string;
  readonly bugSeed?: bigint;
  readonly bugEager?: true;
  readonly logLevel: LogLevel;
  readonly logJson?: true;
}

/** @returns The exit code. */
export async function serve(
  flags: ServeFlags,
  { version, signal }: { readonly version: string; readonly signal: AbortSignal },
): Promise<number> {
  const log = createLog({ level: flags.logLevel, json: flags.logJson ?? false });
  const token = flags.tokenEnv === undefined ? undefined : process.env[flags.tokenEnv];
  if (flags.tokenEnv !== undefined && (token === undefined || token === "")) {
    process.stderr.write(`harrow serve: ${flags.tokenEnv} is not set, though --token-env names it\n`);
    return exitCodes.usage;
  }
  const bug =
    flags.bug === undefined
      ? undefined
      : bugOf(flags.bug, {
          seed: flags.bugSeed ?? 0n,
          isEager: flags.bugEager ?? false,
          output: process.stdout,
        });
  if (typeof bug === "string") {
    process.stderr.write(`harrow serve: ${bug}\n`);
    return exitCodes.usage;
  }
  try {
    await serveProcess(
      {
        store: {
          ...(flags.directory === undefined
            ? { kind: "memory" }
            : { kind: "directory", path: flags.directory }),
          ...(bug !== undefined && { bug }),
          ...(flags.volatileCache && { volatileCache: { seed: flags.volatileCacheSeed ?? 0 } }),
        },
        host: flags.host,
        nvmePort: flags.nvmePort,
        apiPort: flags.apiPort,
        ...(flags.advertise !== undefined && { advertise: flags.advertise }),
        ...(flags.diffPageRanges !== undefined && { diffPageRangesMax: flags.diffPageRanges }),
        ...(flags.csiPort !== undefined && {
          csi: { port: flags.csiPort, style: flags.csiStyle ?? "fixed" },
        }),
        volatileWriteCache: flags.directory !== undefined,
        productVersion: version,
        ...(token === undefined ? {} : { token }),
        log,
      },
      { output: process.stdout, parent: flags.exitWithParent ? process.stdin : undefined, stop: signal },
    );
    return exitCodes.consistent;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    process.stderr.write(`harrow serve: ${error.message}\n`);
    return error instanceof StoreError ? exitCodes.target : exitCodes.usage;
  }
}
