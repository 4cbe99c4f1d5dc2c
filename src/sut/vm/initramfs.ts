/**
 * Lays out the root file system that the guest runs from: programs, kernel modules and the files in `guest/`.
 *
 * `/bin`, `/sbin` and `/lib*` are links into `/usr`, so that each program is where it expects itself and its
 * libraries to be.
 *
 * @packageDocumentation
 */

import { readdir, readFile } from "node:fs/promises";
import { join, posix } from "node:path";
import type { CpioEntry } from "./cpio.ts";
import { dataFiles, extraPrograms, modulesAtHand, modulesAtStart, programs } from "./guest-contents.ts";
import { type KernelModule, type KernelModules, moduleIndexes } from "./kernel-modules.ts";
import { ProgramClosure } from "./program-closure.ts";
import { mergedDirectories, type Sysroot } from "./sysroot.ts";

export interface GuestFile {
  /** From the guest's root, without a leading slash. */
  readonly path: string;
  readonly content: Uint8Array;
}

const emptyDirectories = [
  ...["dev", "proc", "sys", "tmp", "run", "root", "mnt", "var"],
  ...["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/lib/busybox"],
] as const;

const links: Readonly<Record<string, string>> = {
  ...Object.fromEntries(mergedDirectories.map((name) => [name, `usr/${name}`])),
  "usr/bin/sh": "dash",
  "usr/sbin/modprobe": "/usr/bin/busybox",
  "etc/mtab": "/proc/mounts",
  "var/lock": "/run/lock",
  "var/run": "/run",
};

/** Those in the directory of the package that run in the guest, sorted by path. */
export async function readGuestFiles(directory: string): Promise<readonly GuestFile[]> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = found
    .filter((entry) => entry.isFile())
    .map((entry) => posix.relative(directory, join(entry.parentPath, entry.name)))
    .sort();
  return Promise.all(paths.map(async (path) => ({ path, content: await readFile(join(directory, path)) })));
}

/**
 * Everything that the guest starts with.
 *
 * @throws {ServiceError} `ERR_NOT_FOUND` or `ERR_BAD_ANSWER` if the packages do not have what is needed.
 */
export async function guestEntries(from: {
  readonly sysroot: Sysroot;
  readonly modules: KernelModules;
  readonly guestFiles: readonly GuestFile[];
}): Promise<readonly CpioEntry[]> {
  const { sysroot, modules, guestFiles } = from;
  const closure = new ProgramClosure(sysroot);
  await closure.addPrograms(programs);
  for (const path of dataFiles) await closure.addFile(path);
  return withDirectories([
    ...emptyDirectories.map((path): CpioEntry => ({ kind: "directory", path })),
    { kind: "device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
    { kind: "device", path: "dev/null", mode: 0o666, major: 1, minor: 3 },
    ...Object.entries(links).map(([path, target]): CpioEntry => ({ kind: "link", path, target })),
    ...closure.entries,
    ...(await moduleEntries(modules)),
    ...guestFiles.map(guestFileEntry),
  ]);
}

/**
 * What comes behind `guestEntries`, in an archive of its own, for who wants it.
 *
 * @throws {ServiceError} As `guestEntries`.
 */
export async function extraEntries(
  sysroot: Sysroot,
  base: readonly CpioEntry[],
): Promise<readonly CpioEntry[]> {
  const closure = new ProgramClosure(
    sysroot,
    base.map(({ path }) => path),
  );
  await closure.addPrograms(extraPrograms);
  return withDirectories(closure.entries);
}

async function moduleEntries(modules: KernelModules): Promise<readonly CpioEntry[]> {
  const directory = `usr/lib/modules/${modules.release}`;
  const always = await modules.loadOrder(modulesAtStart.always);
  const forTarget = await modules.loadOrder(modulesAtStart.target);
  const forHost = await modules.loadOrder(modulesAtStart.host);
  const atHand = await modules.loadOrder(modulesAtHand);
  const all = [...new Set([...always, ...forTarget, ...forHost, ...atHand])];
  const { dep, alias } = moduleIndexes(all);
  const list = (name: string, of: readonly KernelModule[]) =>
    textFile(`${directory}/load-${name}`, listOf(of));
  return [
    ...all.map(({ file }): CpioEntry => {
      const content = { source: join(modules.directory, file) };
      return { kind: "file", path: `${directory}/${file}`, mode: 0o644, content };
    }),
    textFile(`${directory}/modules.dep`, dep),
    textFile(`${directory}/modules.alias`, alias),
    {
      kind: "file",
      path: `${directory}/modules.builtin`,
      mode: 0o644,
      content: { source: join(modules.directory, "modules.builtin") },
    },
    list("always", always),
    list(
      "target",
      forTarget.filter((module) => !always.includes(module)),
    ),
    list(
      "host",
      forHost.filter((module) => !always.includes(module)),
    ),
  ];
}

const listOf = (modules: readonly KernelModule[]): string => modules.map(({ file }) => `${file}\n`).join("");

function guestFileEntry({ path, content }: GuestFile): CpioEntry {
  // Installing a package may lose permissions; a script says by its first bytes that it is one.
  const isScript = content[0] === 0x23 && content[1] === 0x21;
  return { kind: "file", path, mode: isScript ? 0o755 : 0o644, content };
}

function textFile(path: string, text: string): CpioEntry {
  return { kind: "file", path, mode: 0o644, content: Buffer.from(text) };
}

/** The entries, each once, with the directories that they are in before them. */
function withDirectories(entries: readonly CpioEntry[]): readonly CpioEntry[] {
  const all = new Map<string, CpioEntry>();
  const addParent = (path: string): void => {
    const parent = posix.dirname(path);
    if (parent === "." || all.has(parent)) return;
    addParent(parent);
    all.set(parent, { kind: "directory", path: parent });
  };
  for (const entry of entries) {
    if (entry.kind === "directory" && all.has(entry.path)) continue;
    addParent(entry.path);
    all.set(entry.path, entry);
  }
  return [...all.values()];
}
