/**
 * From a failure folder to the grounds on which its history is performed again.
 *
 * @packageDocumentation
 */
import { type GroundOptions, groundOf } from "../gallery/ground.ts";
import type { Ground } from "../reproduce/again.ts";
import type { Dump } from "../reproduce/dump.ts";
import { ConfigError } from "../runner/config/load.ts";
import type { RunLog } from "../runner/run-log.ts";

type TargetKind = GroundOptions["target"];

export interface GroundsOptions {
  /** What was asked for; see {@link targetKindOf}. */
  readonly target: TargetKind | undefined;
  readonly serveCommand: readonly string[];
  readonly log: RunLog;
}

/**
 * As it was found, if nothing is asked for: on the target that made its mistake on purpose, or in memory. What was
 * found on somebody's real target is performed on the embedded one, which destroys nothing.
 */
export function targetKindOf(
  { bug, config }: Pick<Dump, "bug" | "config">,
  asked: TargetKind | undefined,
): TargetKind {
  return asked ?? (bug !== undefined || config.target.kind === "memory" ? "configured" : "embedded");
}

/** @throws {ConfigError} If the folder names a mistake that this version can not switch on. */
export function groundOfDump(
  dump: Dump,
  { target, ...options }: GroundsOptions & { readonly isEager?: boolean },
): Ground {
  const { bug, config, path } = dump;
  try {
    return groundOf({ bug, config, target: targetKindOf(dump, target), ...options });
  } catch (error) {
    throw new ConfigError([`${path}: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

/**
 * For histories that are cut down: first with the mistake that the target makes on purpose made whenever it can be, so
 * that the history alone decides; then as it was made.
 */
export function groundsOfDump(dump: Dump, options: GroundsOptions): readonly Ground[] {
  const noted = groundOfDump(dump, options);
  return dump.bug === undefined || dump.bug.isEager
    ? [noted]
    : [groundOfDump(dump, { ...options, isEager: true }), noted];
}
