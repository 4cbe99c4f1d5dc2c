/**
 * Whether this machine can prepare and run guests, and if not, what to do about it.
 *
 * @packageDocumentation
 */

import { accessSync, constants, statSync } from "node:fs";
import { join } from "node:path";

/** Why no guest can be had here, in words for people; `undefined` if nothing is known to be in the way. */
export function guestUnavailable(): string | undefined {
  const host = hostTrouble();
  if (host !== undefined) return host;
  if (isInPath("qemu-system-x86_64")) return undefined;
  const install = "apt-get install --no-install-recommends qemu-system-x86";
  return `qemu-system-x86_64 is not installed: ${install}`;
}

/** Why images cannot be prepared here; `undefined` if nothing is known to be in the way. */
export function hostTrouble(): string | undefined {
  const { platform, arch } = process;
  if (platform !== "linux" || arch !== "x64") {
    return `guests are prepared on Linux on x86-64, and this is ${platform} on ${arch}`;
  }
  const missing = ["apt-get", "apt-cache", "dpkg-deb"].filter((program) => !isInPath(program));
  if (missing.length === 0) return undefined;
  const what = `${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not in PATH`;
  return `${what}: a guest is made of packages of Debian 12; use a Debian machine or container to prepare it`;
}

function isInPath(program: string): boolean {
  return (process.env.PATH ?? "").split(":").some((directory) => {
    try {
      const file = join(directory === "" ? "." : directory, program);
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
}
