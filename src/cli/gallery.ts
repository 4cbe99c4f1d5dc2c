/**
 * `harrow gallery`: shows fault classes to the checkers, and prints who noticed them.
 *
 * @packageDocumentation
 */
import { catalogue, classesById } from "../gallery/catalogue.ts";
import { isAsPromised, runMatrix } from "../gallery/matrix.ts";
import { isBuilt } from "../gallery/mutant.ts";
import { galleryJson, galleryMarkdown, galleryText, listText, rowText } from "../gallery/report.ts";
import { exitCodes } from "./exit-codes.ts";

export interface GalleryFlags {
  readonly seeds: number;
  readonly seed: bigint;
  readonly list?: true;
  readonly json?: true;
  readonly markdown?: true;
}

/** @returns The exit code: 1 if a class was not killed by its checker, not named, or killed with nobody responsible. */
export async function gallery(
  ids: readonly string[],
  flags: GalleryFlags,
  { serveCommand, signal }: { readonly serveCommand: readonly string[]; readonly signal: AbortSignal },
): Promise<number> {
  const unknown = ids.filter((id) => !classesById.has(id.toUpperCase()));
  if (unknown.length > 0) {
    process.stderr.write(
      `harrow gallery: there is no class ${unknown.join(", ")}; harrow gallery --list shows them all\n`,
    );
    return exitCodes.usage;
  }
  const wanted = new Set(ids.map((id) => id.toUpperCase()));
  const classes = wanted.size === 0 ? catalogue : catalogue.filter(({ id }) => wanted.has(id));
  if (flags.list) {
    process.stdout.write(listText(classes));
    return exitCodes.consistent;
  }
  const seeds = Array.from({ length: flags.seeds }, (_, index) => flags.seed + BigInt(index));
  const results = await runMatrix({
    classes,
    seeds,
    serveCommand,
    signal,
    log: { info: () => {}, warn: () => {} },
    onClass: (result) => {
      if (!flags.json && !flags.markdown) process.stdout.write(rowText(result));
      else if (isBuilt(result.entry)) process.stderr.write(rowText(result));
    },
  });
  if (flags.json) process.stdout.write(galleryJson(results, flags.seed));
  else if (flags.markdown) process.stdout.write(galleryMarkdown(results));
  else process.stdout.write(galleryText(results));
  if (signal.aborted) return exitCodes.interrupted;
  return results.every(isAsPromised) ? exitCodes.consistent : exitCodes.violation;
}
