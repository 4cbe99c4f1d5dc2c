/**
 * Which disk is behind a path: names like `/dev/sdb` go to another one when the host starts again.
 *
 * Identities are those that the disk, or what a device is made of, has from itself, as the kernel shows them in
 * `/sys`. Content is not looked at.
 *
 * @packageDocumentation
 */
import { type BigIntStats, statSync } from "node:fs";
import { basename, join } from "node:path";
import { attribute, diskBytes } from "./disk-limits.ts";

export interface DiskIdentity {
  /** Tells the disk from others, and stays: with the text of an earlier time it is the same disk. */
  readonly lastingId: string;
  /** For people: "Samsung SSD 980, serial S64, 931.5 GiB". */
  readonly words: string;
  /** Of an NVMe namespace that has one, in lower case. */
  readonly uuid: string | undefined;
  /** Of an NVMe namespace. */
  readonly nsid: number | undefined;
}

/** Longest model or serial number that is told, in characters. */
const toldCharactersMax = 64;

/** @param folder - Of the disk or partition in `/sys`. */
export function diskIdentity(folder: string): DiskIdentity {
  const partition = attribute(folder, "partition");
  const size = formatGibibytes(diskBytes(folder));
  if (partition === undefined) {
    const nsid = attribute(folder, "nsid");
    return {
      lastingId: wholeId(folder) ?? `${basename(folder)} of ${diskBytes(folder)} bytes`,
      words: [...told(folder), size].join(", "),
      uuid: namespaceUuid(folder),
      nsid: nsid === undefined ? undefined : Number(nsid),
    };
  }
  const disk = diskIdentity(join(folder, ".."));
  return {
    lastingId: `${disk.lastingId}, partition ${partition} from sector ${attribute(folder, "start")}`,
    words: `${size}, partition ${partition} of ${disk.words}`,
    ...{ uuid: undefined, nsid: undefined },
  };
}

/** Tells a file from one that was put in its place. */
export function fileId({ ino, birthtimeNs }: Pick<BigIntStats, "ino" | "birthtimeNs">): string {
  return `file of inode ${ino}, made at ${birthtimeNs} ns`;
}

function wholeId(folder: string): string | undefined {
  const backing = attribute(folder, "loop/backing_file");
  if (backing !== undefined) {
    const stats = statSync(backing, { bigint: true, throwIfNoEntry: false });
    const file = stats === undefined ? backing : fileId(stats);
    return `loop device over ${file} from byte ${attribute(folder, "loop/offset") ?? 0}`;
  }
  for (const [name, what] of [
    // NVMe, and of it the best that it has: uuid, nguid, eui64, or serial number and model.
    ["wwid", "wwid"],
    // SCSI and ATA.
    ["device/wwid", "wwid"],
    ["dm/uuid", "device mapper uuid"],
    ["dm/name", "device mapper name"],
    ["md/uuid", "md uuid"],
    // SD and MMC cards.
    ["device/cid", "cid"],
    // virtio.
    ["serial", "serial"],
    ["device/serial", "serial"],
  ] as const) {
    const value = attribute(folder, name);
    if (value !== undefined) return `${what} ${value}`;
  }
  return undefined;
}

/** `uuid` itself would show an NGUID for want of a UUID. */
function namespaceUuid(folder: string): string | undefined {
  return /^uuid\.([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i
    .exec(attribute(folder, "wwid") ?? "")?.[1]
    ?.toLowerCase();
}

function told(folder: string): string[] {
  const backing = attribute(folder, "loop/backing_file");
  if (backing !== undefined) return [`loop device over ${backing}`];
  const mapped = attribute(folder, "dm/name");
  if (mapped !== undefined) return [mapped];
  const model = [attribute(folder, "device/vendor"), attribute(folder, "device/model")]
    // virtio and PCI have a number there.
    .filter((text) => text !== undefined && !text.startsWith("0x"))
    .join(" ");
  const serial = attribute(folder, "device/serial") ?? attribute(folder, "serial");
  return [...(model === "" ? [] : [model]), ...(serial === undefined ? [] : [`serial ${serial}`])].map(
    (text) => text.slice(0, toldCharactersMax),
  );
}

function formatGibibytes(byteCount: number): string {
  return byteCount < 2 ** 30
    ? `${Math.round((byteCount / 2 ** 20) * 10) / 10} MiB`
    : `${Math.round((byteCount / 2 ** 30) * 10) / 10} GiB`;
}
