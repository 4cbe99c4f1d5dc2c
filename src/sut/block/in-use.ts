/**
 * Who else uses a file or block device, so that nothing is overwritten under a file system.
 *
 * The kernel's exclusive claim (O_EXCL) is what keeps others off a block device; this file finds the reason to
 * tell. For files there is no such claim, and Node has no flock(2): two runs on one file are not noticed.
 *
 * @packageDocumentation
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { basename, join } from "node:path";

/** Number of a block device, as in `/proc/self/mountinfo` and `/sys/dev/block`: `8:1`. */
export type DeviceNumber = `${number}:${number}`;

/** Unpacks `st_rdev` (glibc's `makedev`, for numbers below 2^32). */
export function deviceNumber(rdev: number): DeviceNumber {
  return `${(rdev >>> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >>> 12) & 0xfff00)}`;
}

/** What keeps a block device in use: mounts, swap, and devices made of it or of its partitions; empty if nothing. */
export function usesOfBlockDevice(path: string, number: DeviceNumber): string[] {
  const folder = sysFolder(number);
  const children = readdirSync(folder).filter((name) => existsSync(join(folder, name, "partition")));
  const uses = usesOfOne(path, number, folder);
  for (const name of children) {
    const child = join(folder, name);
    const childNumber = readFileSync(join(child, "dev"), "utf8").trim() as DeviceNumber;
    uses.push(...usesOfOne(`/dev/${name}`, childNumber, child).map((use) => `its partition ${name} ${use}`));
  }
  return uses;
}

/** What keeps a regular file in use: a loop device over it, or swap. */
export function usesOfFile(path: string): string[] {
  const loops = readdirSync("/sys/block").filter((name) => {
    const backing = join("/sys/block", name, "loop/backing_file");
    return existsSync(backing) && readFileSync(backing, "utf8").trimEnd() === path;
  });
  const uses = loops.map((name) => `is what the loop device /dev/${name} lies on`);
  if (isSwap(path)) uses.push("is swap space");
  return uses;
}

/** A program that has a file or device open, for people; `undefined` if none that we may look into. */
export function openerOf(path: string): string | undefined {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
    try {
      const folder = `/proc/${pid}/fd`;
      if (Number(pid) === process.pid) continue;
      if (!readdirSync(folder).some((name) => readlinkSync(join(folder, name)) === path)) continue;
      return `${readFileSync(`/proc/${pid}/comm`, "utf8").trim()}, process ${pid}`;
    } catch {
      // It has ended, or is another user's.
    }
  return undefined;
}

/** The folder of `/sys` about a block device or partition. */
export function sysFolder(number: DeviceNumber): string {
  return realpathSync(`/sys/dev/block/${number}`);
}

/**
 * Mount points of a device, by its number or its path as source: btrfs mounts have numbers of their own.
 *
 * @param mountinfo - Content of `/proc/self/mountinfo`; see proc_pid_mountinfo(5).
 */
export function mountPointsOf(mountinfo: string, path: string, number: DeviceNumber): string[] {
  return mountinfo.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const source = fields[fields.indexOf("-") + 2];
    const mountPoint = fields[4];
    if (mountPoint === undefined || (fields[2] !== number && resolved(source) !== path)) return [];
    return [unescaped(mountPoint)];
  });
}

function usesOfOne(path: string, number: DeviceNumber, folder: string): string[] {
  const uses = mountPointsOf(readFileSync("/proc/self/mountinfo", "utf8"), path, number).map(
    (mountPoint) => `is mounted at ${mountPoint}`,
  );
  const holdersFolder = join(folder, "holders");
  const holders = existsSync(holdersFolder) ? readdirSync(holdersFolder) : [];
  uses.push(...holders.map((name) => `is part of ${holderText(join(holdersFolder, name))}`));
  if (isSwap(path)) uses.push("is swap space");
  return uses;
}

/** A mapped device by its own name too: "/dev/dm-3 (vg-root)". */
function holderText(folder: string): string {
  const mapped = join(folder, "dm/name");
  const name = existsSync(mapped) ? ` (${readFileSync(mapped, "utf8").trim()})` : "";
  return `/dev/${basename(folder)}${name}`;
}

function isSwap(path: string): boolean {
  const lines = readFileSync("/proc/swaps", "utf8").split("\n").slice(1);
  return lines.some((line) => resolved(unescaped(line.split(/\s/, 1)[0]!)) === path);
}

/** Of names such as `/dev/mapper/vg-root` the real one; others as they are. */
function resolved(path: string | undefined): string | undefined {
  if (path?.startsWith("/dev/") !== true) return path;
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** The kernel writes spaces and the like as octal escapes. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
