/**
 * What a kernel module says about itself (.modinfo), and which modules have to be loaded before which.
 *
 * @packageDocumentation
 */

import { readElfSection } from "./elf.ts";

export interface ModuleInfo {
  /** Modules whose symbols it uses, by name. */
  readonly depends: readonly string[];
  /** Modules, or aliases of them, that are to be loaded before it if they exist. */
  readonly softBefore: readonly string[];
  readonly aliases: readonly string[];
}

/**
 * @param file - The module, for messages.
 * @throws {ServiceError} `ERR_BAD_ANSWER` if the file is damaged, cut short or not for x86-64.
 */
export function readModuleInfo(bytes: Uint8Array, file: string): ModuleInfo {
  const section = readElfSection(bytes, ".modinfo", file) ?? new Uint8Array(0);
  const fields = Buffer.from(section).toString("latin1").split("\0");
  const values = (key: string) =>
    fields.filter((field) => field.startsWith(`${key}=`)).map((field) => field.slice(key.length + 1));
  return {
    depends: values("depends")
      .flatMap((names) => names.split(","))
      .filter((name) => name !== "")
      .map(moduleName),
    softBefore: values("softdep").flatMap(softBefore),
    aliases: values("alias"),
  };
}

/** The kernel makes no difference between `-` and `_` in names of modules. */
export function moduleName(name: string): string {
  return name.replaceAll("-", "_");
}

/** The words after `pre:` and before `post:`, as in `pre: crc32c post: dm-raid`. */
function softBefore(line: string): string[] {
  const names: string[] = [];
  let isBefore = false;
  for (const word of line.split(/\s+/)) {
    if (word === "pre:" || word === "post:") isBefore = word === "pre:";
    else if (isBefore && word !== "") names.push(moduleName(word));
  }
  return names;
}
