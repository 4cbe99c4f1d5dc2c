/**
 * Holes: long ranges of zeros that are unmapped rather than written, in files and on block devices.
 *
 * Node has no fallocate(2), so util-linux's `fallocate` does it on a descriptor that it inherits. The kernel
 * promises zeros for a hole, on a block device too (there it is a discard or a write zeroes command), and makes
 * none where the file system or device cannot. Starting the program takes 4 ms: short ranges are written.
 *
 * @packageDocumentation
 */
import { spawn, spawnSync } from "node:child_process";

/** From here on a hole is as cheap as writing zeros to the page cache. */
export const holeBytesMin = 4 * 2 ** 20;

const program = "fallocate";

/** A program's descriptors: the file is number 3, which `/dev/fd/3` opens again. */
const inherited = (descriptor: number): ["ignore", "ignore", "ignore", number] => [
  "ignore",
  "ignore",
  "ignore",
  descriptor,
];

function commandLine(position: number, byteCount: number): string[] {
  return ["--punch-hole", "--offset", `${position}`, "--length", `${byteCount}`, "/dev/fd/3"];
}

/** @returns False if there is no hole: write zeros. */
export function punchSync(descriptor: number, position: number, byteCount: number): boolean {
  const { status } = spawnSync(program, commandLine(position, byteCount), { stdio: inherited(descriptor) });
  return status === 0;
}

/** @returns False if there is no hole: write zeros. */
export function punch(descriptor: number, position: number, byteCount: number): Promise<boolean> {
  return new Promise((resolve) => {
    const child = spawn(program, commandLine(position, byteCount), { stdio: inherited(descriptor) });
    child.once("error", () => resolve(false));
    child.once("exit", (status) => resolve(status === 0));
  });
}
