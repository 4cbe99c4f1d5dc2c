/**
 * `harrow gallery`: shows fault classes to the checkers, and prints who noticed them.
 *
 * @packageDocumentation
 */
import { catalogue, classesById } from "../gallery/catalogue.ts";
import { isAsPromised, runMatrix } from "../gallery/matrix.ts";
import { dumpClass } from "../gallery/dump-class.ts";
import { type BuiltClass, isBuilt } from "../gallery/mutant.ts";
import { galleryJson, galleryMarkdown, galleryText, listText, rowText } from "../gallery/report.ts";
import { exitCodes } from "./exit-codes.ts";
import type { CommandContext } from "./options.ts";

export interface GalleryFlags {
  readonly seeds: number;
  readonly seed: bigint;
  readonly list?: true;
  readonly failures?: string;
  readonly json?: true;
  readonly markdown?: true;
}

/** @returns The exit code: 1 if a class was not killed by its checker, not named, or killed with nobody responsible. */
export async function gallery(
  ids: readonly string[],
  flags: GalleryFlags,
  context: CommandContext,
): Promise<number> {
  const { serveCommand, signal } = context;
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
  if (flags.failures !== undefined)
    return leaveFailures(classes.filter(isBuilt), { ...context, seeds, failures: flags.failures });
  const results = await runMatrix({
    classes,
    seeds,
    serveCommand,
    signal,
    log: silent,
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

const silent = { info: () => {}, warn: () => {} };

/** Brings each class about until it is found, once a seed, and says where its failure folder is. */
async function leaveFailures(
  classes: readonly BuiltClass[],
  {
    seeds,
    failures,
    version,
    serveCommand,
    signal,
  }: CommandContext & { readonly seeds: readonly bigint[]; readonly failures: string },
): Promise<number> {
  let unnoticed = 0;
  for (const entry of classes)
    for (const seed of seeds) {
      if (signal.aborted) return exitCodes.interrupted;
      const options = { entry, seed, failures, version, serveCommand, signal, log: silent };
      const { path, problem } = await dumpClass(options);
      if (problem !== undefined) {
        process.stderr.write(`${entry.id}: ${problem}\n`);
        return exitCodes.usage;
      }
      if (path === undefined) unnoticed++;
      process.stdout.write(
        `${entry.id}  ${entry.title.padEnd(28)} seed ${seed}  ${path ?? "nobody noticed"}\n`,
      );
    }
  return unnoticed === 0 ? exitCodes.consistent : exitCodes.violation;
}
