/**
 * What the commands that take a failure folder begin with: opening its dump, and saying what is the matter with it.
 *
 * @packageDocumentation
 */
import { type Dump, DumpError } from "../reproduce/dump.ts";
import { readDump } from "../reproduce/read-dump.ts";
import { ConfigError } from "../runner/config/load.ts";
import { duration } from "../runner/config/units.ts";
import { exitCodes } from "./exit-codes.ts";
import { UsageError } from "./usage-error.ts";

export interface DumpCommand {
  /** The failure folder. */
  readonly folder: string;
  readonly flags: { readonly allowEdited?: true; readonly duration?: string };
  readonly version: string;
}

/** Longest that a timer can wait. */
const durationMsMax = 2 ** 31 - 1;

/**
 * @param perform - Is given the flag's duration as well, or the longest there is.
 * @returns The exit code: that of wrong usage if flags, folder or configuration can not be used.
 */
export async function withDump(
  { folder, flags, version }: DumpCommand,
  perform: (dump: Dump, durationMs: number) => Promise<number>,
): Promise<number> {
  try {
    const durationMs = durationMsOf(flags.duration);
    const dump = await readDump(folder, { version, allowEdited: flags.allowEdited ?? false });
    for (const warning of dump.warnings) process.stderr.write(`harrow: ${warning}\n`);
    return await perform(dump, durationMs);
  } catch (error) {
    if (!(error instanceof DumpError || error instanceof ConfigError || error instanceof UsageError))
      throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCodes.usage;
  }
}

function durationMsOf(text: string | undefined): number {
  if (text === undefined) return durationMsMax;
  const time = duration.safeParse(text);
  if (time.success && time.data >= 1 && time.data <= durationMsMax) return time.data;
  throw new UsageError(`--duration: expected a duration such as 90s or 10min, up to 24d, got '${text}'`);
}
