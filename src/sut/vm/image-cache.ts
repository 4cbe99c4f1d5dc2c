/**
 * Built images on disk, and whether they are what would be built now.
 *
 * A set of images has a directory of its own, which appears in one step when all of it is there. A small file beside
 * it names the current set; older sets stay, as long as a guest may run from one, that is until two newer ones exist.
 *
 * @packageDocumentation
 */

import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { GuestFile } from "./initramfs.ts";

/** What a guest boots from. */
export interface GuestImages {
  /** The kernel, as Debian ships it (bzImage). */
  readonly kernel: string;
  /** Archive that the kernel unpacks at its start; further ones may be put behind it. */
  readonly initrd: string;
  /** Archive with fio, to be put behind `initrd` where it is wanted. */
  readonly extras: string;
  /** Versions by package: the kernel and the programs, without their libraries. */
  readonly versions: Readonly<Record<string, string>>;
}

const imageKinds = ["kernel", "initrd", "extras"] as const;
type ImageKind = (typeof imageKinds)[number];

const setsDirectory = "images";
const currentFile = "current-images";
const manifestFile = "manifest.json";
const buildPrefix = "building-";
const setNamePattern = /^[0-9a-f]{16}$/;

/** To be raised when the images are built in another way. */
const formatVersion = 1;

const manifestSchema = z.strictObject({
  recipe: z.string(),
  versions: z.record(z.string(), z.string()),
  /** Lengths of the images, in bytes. */
  bytes: z.strictObject({ kernel: z.number(), initrd: z.number(), extras: z.number() }),
});

type Manifest = z.infer<typeof manifestSchema>;

/** Hash of all that decides what is in the images, but for the versions of packages. */
export function recipeOf(contents: unknown, guestFiles: readonly GuestFile[]): string {
  const hash = createHash("sha256").update(JSON.stringify([formatVersion, contents]));
  for (const { path, content } of guestFiles) hash.update(`\0${path}\0${content.length}\0`).update(content);
  return hash.digest("hex");
}

/** Name of the set of images that a recipe gives with these packages. */
export function setNameOf(
  recipe: string,
  packages: readonly { readonly name: string; readonly version: string }[],
): string {
  const sorted = packages.map(({ name, version }) => `${name}=${version}`).sort();
  return createHash("sha256")
    .update(JSON.stringify([recipe, sorted]))
    .digest("hex")
    .slice(0, 16);
}

/** The current set, if it was made by this recipe and all of it is there. */
export function currentImages(directory: string, recipe: string): GuestImages | undefined {
  let name: string;
  try {
    name = readFileSync(join(directory, currentFile), "utf8").trim();
  } catch {
    return undefined;
  }
  return setNamePattern.test(name) ? imagesOf(directory, name, recipe) : undefined;
}

/** A set by its name, if it was made by this recipe and all of it is there. */
export function imagesOf(directory: string, name: string, recipe: string): GuestImages | undefined {
  const set = join(directory, setsDirectory, name);
  const images = pathsIn(set);
  try {
    const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(set, manifestFile), "utf8")));
    const isWhole = imageKinds.every((kind) => statSync(images[kind]).size === manifest.bytes[kind]);
    return isWhole && manifest.recipe === recipe ? { ...images, versions: manifest.versions } : undefined;
  } catch {
    // Damaged or missing: it is built again.
    return undefined;
  }
}

/** Removes what interrupted builds left. The directory must be locked. */
export async function removeLeftovers(directory: string): Promise<void> {
  const sets = join(directory, setsDirectory);
  await mkdir(sets, { recursive: true });
  for (const name of await readdir(sets)) {
    if (name.startsWith(buildPrefix))
      await rm(join(sets, name), { recursive: true, force: true, maxRetries: 3 });
  }
}

/** An empty directory to build a set in, removed when disposed of. The directory must be locked. */
export async function newBuildDirectory(
  directory: string,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(directory, setsDirectory, buildPrefix));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}

/** Where the images are in the directory of a set. */
export function pathsIn(set: string): Readonly<Record<ImageKind, string>> {
  return { kernel: join(set, "vmlinuz"), initrd: join(set, "initrd.cpio"), extras: join(set, "extras.cpio") };
}

/** Makes a complete build directory the set of that name. The directory must be locked. */
export async function addSet(
  directory: string,
  name: string,
  build: string,
  about: Omit<Manifest, "bytes">,
): Promise<void> {
  const images = pathsIn(build);
  const [kernel, initrd, extras] = await Promise.all(
    imageKinds.map(async (kind) => (await stat(images[kind])).size),
  );
  const manifest = { ...about, bytes: { kernel, initrd, extras } };
  await writeFile(join(build, manifestFile), `${JSON.stringify(manifest, undefined, 2)}\n`, { flush: true });
  const set = join(directory, setsDirectory, name);
  await rm(set, { recursive: true, force: true, maxRetries: 3 });
  await rename(build, set);
}

/** Makes a set the current one, and removes all but it and the one before. The directory must be locked. */
export async function makeCurrent(directory: string, name: string): Promise<void> {
  const current = join(directory, currentFile);
  const before = await readFile(current, "utf8").then(
    (text) => text.trim(),
    () => "",
  );
  await writeFile(`${current}.new`, `${name}\n`, { flush: true });
  await rename(`${current}.new`, current);
  if (before === name) return;
  const sets = join(directory, setsDirectory);
  for (const other of await readdir(sets)) {
    if (setNamePattern.test(other) && other !== name && other !== before)
      await rm(join(sets, other), { recursive: true, force: true, maxRetries: 3 });
  }
}
