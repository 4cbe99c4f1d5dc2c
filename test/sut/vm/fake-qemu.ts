/**
 * Has `fake-qemu.mjs` found in place of QEMU.
 *
 * @packageDocumentation
 */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { GuestImages } from "../../../src/sut/vm/image-cache.ts";

const fake = fileURLToPath(new URL("./fake-qemu.mjs", import.meta.url));
const path = process.env.PATH;

/** Puts it, and images for it, into `directory`. */
export async function installFakeQemu(directory: string): Promise<void> {
  const programs = join(directory, "bin");
  await mkdir(programs);
  const program = join(programs, "qemu-system-x86_64");
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${fake}' "$@"\n`);
  await chmod(program, 0o755);
  process.env.PATH = `${programs}${delimiter}${path}`;
  await mkdir(join(directory, "images"));
  const { kernel, initrd, extras } = fakeImages(directory);
  for (const image of [kernel, initrd, extras]) await writeFile(image, "x".repeat(512));
}

export function removeFakeQemu(): void {
  delete process.env.FAKE_QEMU;
  process.env.PATH = path;
}

export function fakeImages(directory: string): GuestImages {
  const image = (name: string) => join(directory, "images", name);
  return {
    kernel: image("vmlinuz"),
    initrd: image("initrd"),
    extras: image("extras"),
    versions: { "linux-image-6.1.0-56-cloud-amd64": "6.1.192-2", fio: "3.33-3" },
  };
}
