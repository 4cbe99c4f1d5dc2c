/**
 * Prepares what a guest boots from: fetches Debian's kernel and programs, and builds the images.
 *
 * Everything is under one directory. Nothing is installed, no root is needed, and what is there already is used
 * again without the network.
 *
 * @packageDocumentation
 */

import { copyFile, mkdir, statfs } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Log } from "../log.ts";
import { ServiceError } from "../port.ts";
import { hostTrouble } from "./availability.ts";
import { writeArchive } from "./cpio.ts";
import { lockDirectory } from "./directory-lock.ts";
import * as contents from "./guest-contents.ts";
import {
  addSet,
  currentImages,
  type GuestImages,
  imagesOf,
  makeCurrent,
  newBuildDirectory,
  pathsIn,
  recipeOf,
  removeLeftovers,
  setNameOf,
} from "./image-cache.ts";
import { extraEntries, type GuestFile, guestEntries, readGuestFiles } from "./initramfs.ts";
import { KernelModules } from "./kernel-modules.ts";
import { Apt, type Package } from "./packages.ts";
import { Sysroot } from "./sysroot.ts";

export interface PrepareOptions {
  /** Where everything is kept; created if it does not exist. About 600 MB are needed while it is built. */
  readonly directory: string;
  readonly log: Log;
  /** Looks for newer packages though nothing is missing; false if absent. */
  readonly refresh?: boolean;
  readonly signal?: AbortSignal;
}

const guestDirectory = fileURLToPath(new URL("../../../guest", import.meta.url));
const buildBytesMin = 600 * 1024 * 1024;

/**
 * Gives the images of a guest, and builds them first if they are not there or would be others now.
 *
 * Processes that do it in the same directory at the same time wait for each other.
 *
 * @throws {ServiceError} `ERR_UNSUPPORTED` if this machine cannot, `ERR_UNREACHABLE` if packages cannot be fetched,
 * `ERR_NOT_FOUND` if its release does not have them, `ERR_BAD_ANSWER` if what is in them is not what is expected,
 * `ERR_TIMEOUT`, or `ERR_ABORTED`; what was fetched so far is then used the next time.
 */
export async function prepareGuest(options: PrepareOptions): Promise<GuestImages> {
  const directory = resolve(options.directory);
  const { log, signal, refresh = false } = options;
  try {
    const guestFiles = await readGuestFiles(guestDirectory);
    const recipe = recipeOf(contents, guestFiles);
    const present = currentImages(directory, recipe);
    if (present !== undefined && !refresh) return present;

    const trouble = hostTrouble();
    if (trouble !== undefined) throw new ServiceError("ERR_UNSUPPORTED", trouble);
    await mkdir(directory, { recursive: true });
    const onWait = () => log.info(`another process prepares a guest in ${directory}: waiting for it`);
    using _lock = await lockDirectory(directory, { signal, onWait });
    // The process that was waited for may have built it.
    const built = refresh ? undefined : currentImages(directory, recipe);
    return built ?? (await new Preparation({ directory, log, signal, recipe, guestFiles }).run(refresh));
  } catch (error) {
    throw asServiceError(error, directory, signal);
  }
}

class Preparation {
  readonly #directory: string;
  readonly #log: Log;
  readonly #signal: AbortSignal | undefined;
  readonly #recipe: string;
  readonly #guestFiles: readonly GuestFile[];

  constructor(of: {
    readonly directory: string;
    readonly log: Log;
    readonly signal: AbortSignal | undefined;
    readonly recipe: string;
    readonly guestFiles: readonly GuestFile[];
  }) {
    this.#directory = of.directory;
    this.#log = of.log;
    this.#signal = of.signal;
    this.#recipe = of.recipe;
    this.#guestFiles = of.guestFiles;
  }

  async run(refresh: boolean): Promise<GuestImages> {
    await removeLeftovers(this.#directory);
    await this.#checkSpace();
    const apt = await Apt.open(join(this.#directory, "apt"), this.#signal);
    const { kernel, programs } = await this.#fetch(apt, refresh);
    const all = [kernel, ...programs];
    const name = setNameOf(this.#recipe, all);
    if (imagesOf(this.#directory, name, this.#recipe) === undefined) {
      const asked = new Set<string>([kernel.name, ...contents.packages, ...contents.extraPackages]);
      const named = all.filter((one) => asked.has(one.name)).map(({ name, version }) => [name, version]);
      await this.#build({
        name,
        versions: Object.fromEntries(named),
        files: all.map((one) => apt.file(one)),
      });
    }
    await makeCurrent(this.#directory, name);
    await apt.removeOthers(all);
    const images = imagesOf(this.#directory, name, this.#recipe);
    if (images === undefined)
      throw new ServiceError(
        "ERR_BAD_ANSWER",
        `the images in ${this.#directory} are gone as soon as they were built`,
      );
    return images;
  }

  /** Packages as the lists say; if these are out of date, so that one cannot be had, once more with new lists. */
  async #fetch(apt: Apt, refresh: boolean): Promise<{ kernel: Package; programs: readonly Package[] }> {
    const isNew = refresh || !(await apt.hasLists());
    if (isNew) await this.#update(apt);
    try {
      return await this.#fetchListed(apt);
    } catch (error) {
      const isOutOfDate =
        error instanceof ServiceError && ["ERR_UNREACHABLE", "ERR_NOT_FOUND"].includes(error.code);
      if (isNew || !isOutOfDate) throw error;
      await this.#update(apt);
      return await this.#fetchListed(apt);
    }
  }

  async #fetchListed(apt: Apt): Promise<{ kernel: Package; programs: readonly Package[] }> {
    const kernel = await apt.dependency(contents.kernelMetapackage, contents.kernelPackagePattern);
    const programs = await apt.closure([...contents.packages, ...contents.extraPackages]);
    const missing = await apt.missing([kernel, ...programs]);
    if (missing.length > 0) {
      this.#log.info(`fetching ${missing.length} of ${programs.length + 1} packages, for ${kernel.name}`);
      await apt.download(missing);
    }
    return { kernel, programs };
  }

  async #update(apt: Apt): Promise<void> {
    this.#log.info("fetching the lists of packages");
    await apt.update();
  }

  async #build(of: {
    readonly name: string;
    readonly versions: Readonly<Record<string, string>>;
    readonly files: readonly string[];
  }): Promise<void> {
    this.#log.info(`unpacking ${of.files.length} packages`);
    await using build = await newBuildDirectory(this.#directory);
    const root = new Sysroot(join(build.path, "root"));
    for (const file of of.files) await root.unpack(file, this.#signal);
    this.#log.info("building the images");
    const set = join(build.path, "set");
    await mkdir(set);
    const images = pathsIn(set);
    const modules = await KernelModules.open(await root.onlyDirectory("/usr/lib/modules"));
    await copyFile(await kernelOf(root, modules.release), images.kernel);
    const base = await guestEntries({ sysroot: root, modules, guestFiles: this.#guestFiles });
    const initrdBytes = await writeArchive(images.initrd, base, this.#signal);
    const extrasBytes = await writeArchive(images.extras, await extraEntries(root, base), this.#signal);
    await addSet(this.#directory, of.name, set, { recipe: this.#recipe, versions: of.versions });
    const mb = (bytes: number) => `${Math.ceil(bytes / 1e6)} MB`;
    this.#log.info(`built: kernel ${modules.release}, programs ${mb(initrdBytes)}, fio ${mb(extrasBytes)}`);
  }

  async #checkSpace(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#directory);
    const freeBytes = bavail * bsize;
    if (freeBytes >= buildBytesMin) return;
    const mib = (bytes: number) => `${Math.floor(bytes / 1024 / 1024)} MiB`;
    const why = `${mib(freeBytes)} are free in ${this.#directory}, ${mib(buildBytesMin)} are needed to build a guest's images`;
    throw new ServiceError("ERR_UNSUPPORTED", why);
  }
}

async function kernelOf(root: Sysroot, release: string): Promise<string> {
  const kernel = await root.file(`/boot/vmlinuz-${release}`);
  if (kernel === undefined)
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `the package of kernel ${release} has no /boot/vmlinuz-${release}`,
    );
  return kernel.source;
}

/** Errors for people; those of the file system say what they were about. */
function asServiceError(error: unknown, directory: string, signal: AbortSignal | undefined): unknown {
  if (error instanceof ServiceError) return error;
  if (signal?.aborted) {
    const why = "preparing a guest was interrupted; what was fetched is kept";
    return new ServiceError("ERR_ABORTED", why, { cause: error });
  }
  if (error instanceof Error && "syscall" in error) {
    const why = `a guest cannot be prepared in ${directory}: ${error.message}`;
    return new ServiceError("ERR_UNSUPPORTED", why, { cause: error });
  }
  return error;
}
