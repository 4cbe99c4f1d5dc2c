/**
 * A class of the gallery as a bug of a target in a process of its own, and how that tells that it has struck.
 *
 * Each time it writes `{"struck":"M42"}` to its standard output, among its answers to commands.
 *
 * @packageDocumentation
 */
import type { Writable } from "node:stream";
import { z } from "zod";
import { Choices } from "../generators/choices.ts";
import type { StoreBug } from "../sut/store/bug.ts";
import { classesById } from "./catalogue.ts";
import { mutantStream } from "./mutant.ts";

const struckLine = z.strictObject({ struck: z.string() });

/** @returns The bug, or what is wrong with the name. */
export function bugOf(
  id: string,
  { seed, isEager, output }: { readonly seed: bigint; readonly isEager: boolean; readonly output: Writable },
): StoreBug | string {
  const entry = classesById.get(id.toUpperCase());
  if (entry === undefined) return `--bug: there is no class ${id}; harrow gallery --list shows them all`;
  const { mutant } = entry;
  if (mutant.level !== "target") {
    const where = mutant.level === "none" ? "is not built" : `lies at the ${mutant.level}`;
    return `--bug: ${entry.id} (${entry.title}) ${where}, it is no bug of a target`;
  }
  return mutant.bug({
    choices: new Choices(seed, mutantStream),
    isEager,
    struck: () => void output.write(`${JSON.stringify({ struck: entry.id })}\n`),
  });
}

/** Whether a line of a target's standard output says that its bug has struck. */
export function saysStruck(line: string): boolean {
  try {
    return struckLine.safeParse(JSON.parse(line)).success;
  } catch {
    return false;
  }
}
