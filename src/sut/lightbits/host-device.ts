/**
 * The block device of this host by which the kernel has attached a volume.
 *
 * The UUID of a namespace is that of its volume, and Linux shows it: as a link of udev, and in sysfs. Names such
 * as `/dev/nvme0n1` say nothing: all volumes of a cluster share a subsystem, and numbers move.
 *
 * @packageDocumentation
 */

import { readdir, readFile, realpath } from "node:fs/promises";
import { basename, join } from "node:path";
import { ServiceError } from "../port.ts";

interface HostDeviceOptions {
  /** Where `/dev` and `/sys` are; `/` if absent. */
  readonly root?: string;
}

/**
 * Path of the device of a volume.
 *
 * @throws {ServiceError} `ERR_NOT_FOUND` if no device of this host is that volume.
 */
export async function hostDeviceOf(
  volumeUuid: string,
  { root = "/" }: HostDeviceOptions = {},
): Promise<string> {
  const uuid = volumeUuid.toLowerCase();
  const link = join(root, "dev/disk/by-id", `nvme-uuid.${uuid}`);
  const linked = await realpath(link).catch(() => undefined);
  // A link may be left of a device that is gone, or that has become another.
  if (linked !== undefined && (await namespaceUuidOf(linked, { root })) === uuid) return linked;
  const names = await readdir(join(root, "sys/class/block")).catch(() => []);
  for (const name of names.sort()) {
    if (isHead(name) && (await shownUuid(root, name)) === uuid) return join(root, "dev", name);
  }
  throw new ServiceError(
    "ERR_NOT_FOUND",
    `no block device of this host is volume ${uuid}: attach it (nvme connect), see that the volume's ACL holds ` +
      "this host's NQN, or let harrow reach it over NVMe/TCP itself",
  );
}

/**
 * UUID of the NVMe namespace that a path leads to, in lower case.
 *
 * @returns `undefined` for a partition, and for anything that is no NVMe namespace or does not say.
 */
export async function namespaceUuidOf(
  path: string,
  { root = "/" }: HostDeviceOptions = {},
): Promise<string | undefined> {
  const name = basename(await realpath(path).catch(() => path));
  return isHead(name) ? shownUuid(root, name) : undefined;
}

/** A namespace as it is used; `nvme0c1n1`, one of its paths, has no device of its own, and a partition is a part. */
function isHead(name: string): boolean {
  return /^nvme\d+n\d+$/.test(name);
}

async function shownUuid(root: string, name: string): Promise<string | undefined> {
  for (const file of ["wwid", "uuid"]) {
    const text = await readFile(join(root, "sys/class/block", name, file), "utf8").catch(() => "");
    const uuid = /^(?:uuid\.)?([\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12})$/i.exec(text.trim())?.[1];
    if (uuid !== undefined) return uuid.toLowerCase();
  }
  return undefined;
}
