/**
 * Which files programs need to run: themselves, the links that lead to them, and their shared libraries.
 *
 * @packageDocumentation
 */

import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { ServiceError } from "../port.ts";
import type { CpioEntry } from "./cpio.ts";
import { isElf, readElfNeeds } from "./elf.ts";
import { mergedPath, type Sysroot, type SysrootFile } from "./sysroot.ts";

/** Where Debian's program loader looks without being told, and programs lie. */
const libraryDirectories = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
const programDirectories = ["/usr/sbin", "/usr/bin"];

type Placed = Extract<CpioEntry, { kind: "file" | "link" }>;

/** Collects files for an archive, each once; what is in `present` is taken to be there already. */
export class ProgramClosure {
  readonly #sysroot: Sysroot;
  readonly #present: ReadonlySet<string>;
  readonly #entries = new Map<string, Placed>();

  constructor(sysroot: Sysroot, present: Iterable<string> = []) {
    this.#sysroot = sysroot;
    this.#present = new Set(present);
  }

  /** Files and links so far, by path in the archive; without directories. */
  get entries(): readonly Placed[] {
    return [...this.#entries.values()];
  }

  /**
   * Takes in programs by name, with every link in the programs' directories that leads to one of them, and all
   * shared libraries.
   *
   * @throws {ServiceError} `ERR_NOT_FOUND` if a program or a library is in no package; `ERR_BAD_ANSWER` if a file
   * is damaged.
   */
  async addPrograms(names: readonly string[]): Promise<void> {
    for (const name of names) await this.#addProgram(name);
    for (const directory of programDirectories) {
      for (const name of await this.#sysroot.names(directory)) await this.#addLink(`${directory}/${name}`);
    }
  }

  /** @throws {ServiceError} As `addPrograms`. */
  async addFile(path: string): Promise<void> {
    const file = await this.#sysroot.file(path);
    if (file === undefined) throw new ServiceError("ERR_NOT_FOUND", `${path} is in none of the packages`);
    await this.#addResolved(mergedPath(path), file);
  }

  async #addProgram(name: string): Promise<void> {
    for (const directory of programDirectories) {
      const entry = await this.#sysroot.entry(`${directory}/${name}`);
      if (entry?.kind === "file") return this.#addResolved(entry.path, entry);
    }
    throw new ServiceError("ERR_NOT_FOUND", `program ${name} is in none of the packages`);
  }

  async #addLink(path: string): Promise<void> {
    const entry = await this.#sysroot.entry(path);
    if (entry?.kind !== "link" || this.#has(path)) return;
    const target = mergedPath(posix.resolve(posix.dirname(path), entry.target));
    if (this.#has(target)) this.#put({ kind: "link", path: inArchive(path), target });
  }

  async #addResolved(path: string, file: Extract<SysrootFile, { kind: "file" }>): Promise<void> {
    if (this.#has(path)) return;
    this.#put({
      kind: "file",
      path: inArchive(path),
      mode: file.mode | 0o444,
      content: { source: file.source },
    });
    const bytes = await readFile(file.source);
    if (!isElf(bytes)) return;
    const { interpreter, libraries, runPaths } = readElfNeeds(bytes, path);
    if (interpreter !== undefined) await this.addFile(interpreter);
    const origin = posix.dirname(file.path);
    const directories = [
      ...runPaths.map((directory) => directory.replaceAll(/\$\{?ORIGIN\}?/g, origin)),
      ...libraryDirectories,
    ];
    for (const library of libraries) await this.#addLibrary(library, { directories, neededBy: path });
  }

  async #addLibrary(
    name: string,
    { directories, neededBy }: { readonly directories: readonly string[]; readonly neededBy: string },
  ): Promise<void> {
    for (const directory of directories) {
      const path = mergedPath(posix.join(directory, name));
      if (this.#has(path)) return;
      const file = await this.#sysroot.file(path);
      if (file !== undefined) return this.#addResolved(path, file);
    }
    const why = `library ${name}, which ${neededBy} needs, is in none of the packages`;
    throw new ServiceError("ERR_NOT_FOUND", why);
  }

  #has(path: string): boolean {
    return this.#entries.has(inArchive(path)) || this.#present.has(inArchive(path));
  }

  #put(entry: Placed): void {
    this.#entries.set(entry.path, entry);
  }
}

const inArchive = (path: string): string => path.slice(1);
