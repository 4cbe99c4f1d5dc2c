/**
 * The files of unpacked packages, by the path that they have on the machine they are for.
 *
 * Debian has `/bin`, `/sbin` and `/lib*` as links into `/usr`, while older packages still bring files in them: a
 * path is looked for in both places, and given back as the one in `/usr`. Links are followed within the packages,
 * never out of them.
 *
 * @packageDocumentation
 */

import { lstat, readdir, readlink, rm, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import { ServiceError } from "../port.ts";
import { runCommand, lastWords } from "./command.ts";

/** Directories of the root that are links into `/usr`. */
export const mergedDirectories = ["bin", "sbin", "lib", "lib64"] as const;

export type SysrootFile =
  | { readonly kind: "file"; readonly path: string; readonly source: string; readonly mode: number }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | { readonly kind: "directory"; readonly path: string };

const linkCountMax = 16;
const unpackTimeoutMs = 300_000;

export class Sysroot {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  /**
   * Adds the files of a package. A damaged one is removed, to be fetched anew.
   *
   * @throws {ServiceError} `ERR_BAD_ANSWER` if it cannot be unpacked; the errors of `runCommand`.
   */
  async unpack(packageFile: string, signal?: AbortSignal): Promise<void> {
    const options = { signal, timeoutMs: unpackTimeoutMs };
    const { status, stderr } = await runCommand("dpkg-deb", ["-x", packageFile, this.#root], options);
    if (status === 0) return;
    const why = `${packageFile} cannot be unpacked: ${lastWords(stderr)}`;
    if (stderr.includes("No space left")) throw new ServiceError("ERR_UNSUPPORTED", why);
    await rm(packageFile, { force: true });
    throw new ServiceError("ERR_BAD_ANSWER", `${why}; it was removed, and is fetched again the next time`);
  }

  /** What is at an absolute path, itself and not what it links to; `undefined` if nothing is there. */
  async entry(path: string): Promise<SysrootFile | undefined> {
    const merged = mergedPath(path);
    for (const candidate of placesOf(merged)) {
      const source = join(this.#root, candidate);
      const found = await lstat(source).catch(() => undefined);
      if (found?.isFile()) return { kind: "file", path: merged, source, mode: found.mode & 0o777 };
      if (found?.isDirectory()) return { kind: "directory", path: merged };
      if (found?.isSymbolicLink()) return { kind: "link", path: merged, target: await readlink(source) };
    }
    return undefined;
  }

  /** The file that a path leads to, over links; `undefined` if it leads nowhere or not to a file. */
  async file(path: string): Promise<Extract<SysrootFile, { kind: "file" }> | undefined> {
    let current = path;
    for (let count = 0; count <= linkCountMax; count += 1) {
      const entry = await this.entry(current);
      if (entry?.kind === "file") return entry;
      if (entry?.kind !== "link") return undefined;
      current = posix.resolve(posix.dirname(entry.path), entry.target);
    }
    return undefined;
  }

  /** The one directory in a directory, as it is called on this machine. */
  async onlyDirectory(path: string): Promise<string> {
    const names = await this.names(path);
    for (const candidate of placesOf(mergedPath(path))) {
      const source = join(this.#root, candidate, names[0] ?? "");
      if (names.length === 1 && (await stat(source).catch(() => undefined))?.isDirectory()) return source;
    }
    const found = names.length === 0 ? "nothing" : names.join(", ");
    throw new ServiceError("ERR_BAD_ANSWER", `the packages have ${found} in ${path}, and not one directory`);
  }

  /** Names in a directory, sorted; none if it does not exist. */
  async names(path: string): Promise<readonly string[]> {
    const names = new Set<string>();
    for (const candidate of placesOf(mergedPath(path))) {
      for (const name of await readdir(join(this.#root, candidate)).catch(() => [])) names.add(name);
    }
    return [...names].sort();
  }
}

/** `/usr/bin/sh` for `/bin/sh`. */
export function mergedPath(path: string): string {
  const plain = posix.normalize(path);
  const first = plain.split("/")[1] ?? "";
  return mergedDirectories.some((name) => name === first) ? `/usr${plain}` : plain;
}

/** Where the packages may have what is at a path in `/usr`. */
function placesOf(merged: string): readonly string[] {
  const outside = merged.startsWith("/usr/") ? merged.slice("/usr".length) : merged;
  return mergedPath(outside) === merged && outside !== merged ? [merged, outside] : [merged];
}
