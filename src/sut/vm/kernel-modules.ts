/**
 * The modules of an unpacked kernel: where they are, and in which order they are loaded.
 *
 * Only modules that are asked for, and what they need, are read.
 *
 * @packageDocumentation
 */

import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ServiceError } from "../port.ts";
import { type ModuleInfo, moduleName, readModuleInfo } from "./modinfo.ts";

export interface KernelModule extends ModuleInfo {
  readonly name: string;
  /** From the directory of the kernel's modules: `kernel/drivers/block/loop.ko`. */
  readonly file: string;
}

export class KernelModules {
  /** `/lib/modules/RELEASE` of the unpacked kernel. */
  readonly directory: string;
  /** As `uname -r` says it. */
  readonly release: string;
  readonly #files: ReadonlyMap<string, string>;
  readonly #builtIn: ReadonlySet<string>;
  readonly #read = new Map<string, KernelModule>();

  private constructor(directory: string, files: ReadonlyMap<string, string>, builtIn: ReadonlySet<string>) {
    this.directory = directory;
    this.release = basename(directory);
    this.#files = files;
    this.#builtIn = builtIn;
  }

  /** @throws {ServiceError} `ERR_UNSUPPORTED` if the modules are compressed or none are there. */
  static async open(directory: string): Promise<KernelModules> {
    const files = new Map<string, string>();
    for (const path of await readdir(directory, { recursive: true })) {
      if (/\.ko\.\w+$/.test(path)) {
        const why = `its modules are compressed (${path}), which cannot be read here; Debian 12's are not`;
        throw new ServiceError("ERR_UNSUPPORTED", `kernel ${basename(directory)} cannot be used: ${why}`);
      }
      if (path.endsWith(".ko")) files.set(nameOf(path), path);
    }
    if (files.size === 0)
      throw new ServiceError(
        "ERR_UNSUPPORTED",
        `kernel ${basename(directory)} has no modules in ${directory}`,
      );
    const builtIn = (await readFile(join(directory, "modules.builtin"), "utf8")).split("\n").map(nameOf);
    return new KernelModules(directory, files, new Set(builtIn));
  }

  /**
   * These modules and all that they need, each once and after what it needs. What is a part of the kernel is left
   * out, and so is a soft dependency that does not exist.
   *
   * @throws {ServiceError} `ERR_NOT_FOUND` if a module does not exist; `ERR_BAD_ANSWER` if one cannot be read.
   */
  async loadOrder(names: readonly string[]): Promise<readonly KernelModule[]> {
    const order = new Map<string, KernelModule>();
    for (const name of names)
      await this.#visit({ name: moduleName(name), neededBy: undefined, order, path: [] });
    return [...order.values()];
  }

  async #visit(visit: {
    readonly name: string;
    readonly neededBy: string | undefined;
    readonly order: Map<string, KernelModule>;
    /** Modules that wait for this one; a circle among soft dependencies ends here. */
    readonly path: readonly string[];
  }): Promise<void> {
    const { name, neededBy, order, path } = visit;
    if (order.has(name) || this.#builtIn.has(name) || path.includes(name)) return;
    const file = this.#files.get(name);
    if (file === undefined) {
      const need = neededBy === undefined ? "" : `, which ${neededBy} needs`;
      throw new ServiceError("ERR_NOT_FOUND", `kernel ${this.release} has no module ${name}${need}`);
    }
    const module = await this.#load(name, file);
    const inner = { neededBy: name, order, path: [...path, name] };
    for (const soft of module.softBefore)
      if (this.#files.has(soft)) await this.#visit({ ...inner, name: soft });
    for (const needed of module.depends) await this.#visit({ ...inner, name: needed });
    order.set(name, module);
  }

  async #load(name: string, file: string): Promise<KernelModule> {
    const known = this.#read.get(name);
    if (known !== undefined) return known;
    const module = { name, file, ...readModuleInfo(await readFile(join(this.directory, file)), file) };
    this.#read.set(name, module);
    return module;
  }
}

/**
 * The files by which `modprobe` finds modules: `modules.dep` and `modules.alias`.
 *
 * @param modules - All that can be loaded, in an order in which they can be; see `loadOrder`.
 * @see modules.dep(5), depmod(8).
 */
export function moduleIndexes(modules: readonly KernelModule[]): {
  readonly dep: string;
  readonly alias: string;
} {
  const byName = new Map(modules.map((module) => [module.name, module]));
  const dep = modules.map(
    ({ name, file }) =>
      `${file}:${needsOf(name, byName)
        .map((need) => ` ${need}`)
        .join("")}\n`,
  );
  const alias = modules.flatMap(({ name, aliases }) => aliases.map((text) => `alias ${text} ${name}\n`));
  return { dep: dep.join(""), alias: alias.join("") };
}

/** Files of all modules that one needs, in reverse of the order in which they are loaded. */
function needsOf(name: string, byName: ReadonlyMap<string, KernelModule>): string[] {
  const needed = new Set<string>();
  const visit = (current: string): void => {
    for (const next of byName.get(current)?.depends ?? []) {
      if (needed.has(next)) continue;
      needed.add(next);
      visit(next);
    }
  };
  visit(name);
  return [...byName.values()]
    .filter((module) => needed.has(module.name))
    .map(({ file }) => file)
    .reverse();
}

const nameOf = (file: string): string => moduleName(basename(file.trim(), ".ko"));
