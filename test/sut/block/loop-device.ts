/**
 * Loop devices and programs for the tests of block devices, where the machine lets us make them.
 *
 * @packageDocumentation
 */
import { spawnSync } from "node:child_process";
import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { onTestFinished } from "vitest";

/** Why a test of a loop device is skipped. */
export const noLoopDevice = "needs the right to make loop devices (root)";

export function tool(program: string, ...flags: readonly string[]) {
  return spawnSync(program, flags, { encoding: "utf8" });
}

export function must(program: string, ...flags: readonly string[]): void {
  const { status, stderr } = tool(program, ...flags);
  if (status !== 0) throw new Error(`${program} ended with ${status}: ${stderr}`);
}

/** The path of a loop device over a new file, or `undefined` where there are none to be had. */
export function loopDevice(file: string, sizeBytes: number, ...flags: readonly string[]): string | undefined {
  writeFileSync(file, "");
  truncateSync(file, sizeBytes);
  const { status, stdout } = tool("losetup", "--find", "--show", ...flags, file);
  if (status !== 0) return undefined;
  const path = stdout.trim();
  // A test may have detached it.
  onTestFinished(() => void tool("losetup", "--detach", path));
  return path;
}

/** Discards that a disk has been given since it was made (Documentation/block/stat.rst of the kernel). */
export function discardCount(path: string): number {
  const fields = readFileSync(`/sys/block/${basename(path)}/stat`, "utf8")
    .trim()
    .split(/\s+/);
  return Number(fields[11]);
}
