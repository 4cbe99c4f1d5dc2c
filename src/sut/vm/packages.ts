/**
 * Debian packages by apt, with a state of its own: nothing of the machine is changed, and no root is needed.
 *
 * What a package needs is worked out for a machine on which nothing is installed, so that the outcome does not depend
 * on this one. Where packages come from, proxies and keys are those of the machine's apt, which verifies what it
 * fetches.
 *
 * @packageDocumentation
 */

import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ServiceError } from "../port.ts";
import { type CommandResult, lastWords, runCommand } from "./command.ts";

export interface Package {
  readonly name: string;
  readonly version: string;
  /** Name of the file in the archive: `dmsetup_2%3a1.02.185-2_amd64.deb`. */
  readonly fileName: string;
}

/** Switches off what an image of a machine may have hooked in, such as deleting fetched packages. */
const configuration = `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear DPkg::Pre-Install-Pkgs;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Keep-Downloaded-Packages "true";
APT::Get::AllowUnauthenticated "false";
Binary::apt-get::APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Debug::NoLocking "true";
`;

const queryTimeoutMs = 180_000;
const downloadTimeoutMs = 1_200_000;

export class Apt {
  readonly #directory: string;
  readonly #signal: AbortSignal | undefined;
  #updateTrouble = "";

  private constructor(directory: string, signal: AbortSignal | undefined) {
    this.#directory = directory;
    this.#signal = signal;
  }

  /**
   * @param directory - For lists and packages, absolute; kept between runs. Only one process may use it at a time.
   */
  static async open(directory: string, signal?: AbortSignal): Promise<Apt> {
    await mkdir(join(directory, "lists", "partial"), { recursive: true });
    await mkdir(join(directory, "cache", "archives", "partial"), { recursive: true });
    await writeFile(join(directory, "status"), "");
    await writeFile(join(directory, "apt.conf"), configuration);
    return new Apt(directory, signal);
  }

  /** Whether lists of packages were fetched at some time. */
  async hasLists(): Promise<boolean> {
    const names = await readdir(join(this.#directory, "lists"));
    return names.some((name) => name.includes("_Packages"));
  }

  /** Fetches the lists of packages. @throws {ServiceError} `ERR_UNREACHABLE` if none can be had. */
  async update(): Promise<void> {
    const result = await this.#run("apt-get", ["-q", "update"], { timeoutMs: downloadTimeoutMs });
    // A source that cannot be reached is only a warning; whether it matters shows when a package is missing.
    this.#updateTrouble = troubleOf(result);
    if (result.status === 0 && (await this.hasLists())) return;
    throw unreachable("fetch the lists of packages", this.#updateTrouble || lastWords(result.stdout));
  }

  /**
   * These packages and all that they need.
   *
   * @throws {ServiceError} `ERR_NOT_FOUND` if the release has no such package.
   */
  async closure(names: readonly string[]): Promise<readonly Package[]> {
    const result = await this.#run("apt-get", ["-q", "-s", "install", ...names]);
    if (result.status !== 0) throw this.#notFound(names, result);
    const packages = [...result.stdout.matchAll(/^Inst (\S+) \((\S+) .*\[(\w+)\]\)/gm)].map(
      ([, name = "", version = "", architecture = ""]) => packageOf({ name, version, architecture }),
    );
    const missing = names.filter((name) => !packages.some((found) => found.name === name));
    if (missing.length > 0) {
      const why = `apt-get was asked for ${missing.join(", ")} and did not say that it would install it`;
      throw new ServiceError("ERR_BAD_ANSWER", why);
    }
    return packages;
  }

  /**
   * The package that a name without a content of its own stands for, such as `linux-image-cloud-amd64`.
   *
   * @throws {ServiceError} `ERR_NOT_FOUND` if the release has no such package.
   */
  async dependency(name: string, pattern: RegExp): Promise<Package> {
    const result = await this.#run("apt-cache", ["show", "--no-all-versions", name]);
    const depends = /^Depends: (.*)$/m.exec(result.stdout)?.[1] ?? "";
    const found = depends
      .split(",")
      .map((word) => word.trim().split(" ")[0] ?? "")
      .find((word) => pattern.test(word));
    if (result.status !== 0 || found === undefined) throw this.#notFound([name], result);
    const shown = await this.#run("apt-cache", ["show", "--no-all-versions", found]);
    const version = /^Version: (\S+)$/m.exec(shown.stdout)?.[1];
    const architecture = /^Architecture: (\S+)$/m.exec(shown.stdout)?.[1];
    if (shown.status !== 0 || version === undefined || architecture === undefined)
      throw this.#notFound([found], shown);
    return packageOf({ name: found, version, architecture });
  }

  /** Those that were not fetched yet. */
  async missing(packages: readonly Package[]): Promise<readonly Package[]> {
    const missing: Package[] = [];
    for (const wanted of packages) {
      const found = await stat(this.file(wanted)).catch(() => undefined);
      if (found === undefined || found.size === 0) missing.push(wanted);
    }
    return missing;
  }

  /** Where a fetched package is. */
  file(wanted: Package): string {
    return join(this.#directory, "cache", "archives", wanted.fileName);
  }

  /**
   * Fetches packages, these alone; apt verifies them.
   *
   * @throws {ServiceError} `ERR_UNREACHABLE` if one cannot be had.
   */
  async download(packages: readonly Package[]): Promise<void> {
    const partial = join(this.#directory, "cache", "fetched");
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial);
    const names = packages.map(({ name, version }) => `${name}=${version}`);
    const options = { timeoutMs: downloadTimeoutMs, directory: partial };
    const result = await this.#run("apt-get", ["-q", "download", ...names], options);
    if (result.status !== 0)
      throw unreachable("fetch packages", troubleOf(result) || lastWords(result.stdout));
    await this.#keep(partial, packages);
  }

  /** Removes fetched packages, but for these. */
  async removeOthers(packages: readonly Package[]): Promise<void> {
    const kept = new Set(packages.map(({ fileName }) => fileName));
    const archives = join(this.#directory, "cache", "archives");
    for (const name of await readdir(archives)) {
      if (name.endsWith(".deb") && !kept.has(name)) await rm(join(archives, name), { force: true });
    }
  }

  async #keep(partial: string, packages: readonly Package[]): Promise<void> {
    for (const wanted of packages) {
      try {
        await rename(join(partial, wanted.fileName), this.file(wanted));
      } catch (cause) {
        const why = `apt-get said that it fetched ${wanted.fileName}, which is not there`;
        throw new ServiceError("ERR_BAD_ANSWER", why, { cause });
      }
    }
    await rm(partial, { recursive: true, force: true });
  }

  #run(
    program: "apt-get" | "apt-cache",
    parameters: readonly string[],
    options: { readonly timeoutMs: number; readonly directory?: string } = { timeoutMs: queryTimeoutMs },
  ): Promise<CommandResult> {
    const at = (key: string, ...path: string[]) => ["-o", `${key}=${join(this.#directory, ...path)}`];
    const places = [
      ...at("Dir::State"),
      ...at("Dir::State::lists", "lists"),
      ...at("Dir::State::status", "status"),
      ...at("Dir::Cache", "cache"),
      ...at("Dir::Cache::pkgcache", "cache", "packages.bin"),
      ...at("Dir::Cache::srcpkgcache", "cache", "sources.bin"),
      ...at("Dir::Log", "log"),
    ];
    const all = ["-c", join(this.#directory, "apt.conf"), ...places, ...parameters];
    return runCommand(program, all, { ...options, signal: this.#signal });
  }

  #notFound(names: readonly string[], result: CommandResult): ServiceError {
    if (this.#updateTrouble !== "") return unreachable("fetch the lists of packages", this.#updateTrouble);
    const said = troubleOf(result);
    const why = `${names.join(", ")} cannot be had from the package sources of this machine`;
    const hint = "Debian 12 (bookworm) has all that is needed";
    return new ServiceError("ERR_NOT_FOUND", `${why}${said === "" ? "" : `: ${said}`}; ${hint}`);
  }
}

function packageOf(known: {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
}): Package {
  const { name, version, architecture } = known;
  return { name, version, fileName: `${name}_${version.replaceAll(":", "%3a")}_${architecture}.deb` };
}

function unreachable(what: string, said: string): ServiceError {
  return new ServiceError("ERR_UNREACHABLE", `apt-get could not ${what}: ${said}`);
}

/** What apt complains about, without the rest that it says. */
function troubleOf({ stderr }: CommandResult): string {
  const lines = stderr.split("\n");
  const errors = lines.filter((line) => /^(E|Err):/.test(line));
  const trouble = errors.length > 0 ? errors : lines.filter((line) => line.startsWith("W: Failed to fetch"));
  return lastWords(trouble.join("\n"));
}
