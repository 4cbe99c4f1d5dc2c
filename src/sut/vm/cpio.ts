/**
 * Archives in the "newc" format of cpio, which a Linux kernel unpacks at its start (initramfs).
 *
 * Any user can write one, with device nodes and files of root, as nothing of it is ever on this machine's disks.
 * The same entries give the same bytes: all belong to root and have time 0. Archives can be put one behind the
 * other; a later file then takes the place of an earlier one.
 *
 * @see Linux, Documentation/driver-api/early-userspace/buffer-format.rst; cpio(5), "New ASCII Format".
 *
 * @packageDocumentation
 */

import { open, readFile } from "node:fs/promises";
import { ServiceError } from "../port.ts";

interface Named {
  /** From the root of the archive, without a leading slash: `etc/hosts`. Directories come before what is in them. */
  readonly path: string;
}

export type CpioEntry =
  | (Named & { readonly kind: "directory"; readonly mode?: number })
  /** The content, or where on this machine it is. */
  | (Named & {
      readonly kind: "file";
      readonly mode: number;
      readonly content: Uint8Array | { readonly source: string };
    })
  | (Named & { readonly kind: "link"; readonly target: string })
  /** A character device. */
  | (Named & {
      readonly kind: "device";
      readonly mode: number;
      readonly major: number;
      readonly minor: number;
    });

/** An entry whose content is at hand. */
export type LoadedEntry =
  | Exclude<CpioEntry, { kind: "file" }>
  | (Extract<CpioEntry, { kind: "file" }> & { readonly content: Uint8Array });

const typeBits = { directory: 0o040000, file: 0o100000, link: 0o120000, device: 0o020000 } as const;
const pathBytesMax = 4095;
const fileBytesMax = 512 * 1024 * 1024;
/** As long as cpio(1)'s blocks, so that what follows is aligned for every reader. */
const archiveAlignment = 512;

/**
 * Writes an archive into a new file and makes it durable.
 *
 * @returns Its length in bytes.
 * @throws {ServiceError} `ERR_INVALID_REQUEST` if a path cannot stand in an archive; errors of the file system as they are.
 */
export async function writeArchive(
  file: string,
  entries: Iterable<CpioEntry>,
  signal?: AbortSignal,
): Promise<number> {
  await using handle = await open(file, "wx", 0o644);
  const encoder = new CpioEncoder();
  for (const entry of entries) {
    signal?.throwIfAborted();
    await handle.writev(encoder.entry(await loaded(entry)));
  }
  await handle.writev(encoder.end());
  await handle.datasync();
  return encoder.lengthBytes;
}

/** A whole archive in memory, for a few small files. */
export function encodeArchive(entries: Iterable<LoadedEntry>): Uint8Array {
  const encoder = new CpioEncoder();
  const parts: Uint8Array[] = [];
  for (const entry of entries) parts.push(...encoder.entry(entry));
  return Buffer.concat([...parts, ...encoder.end()]);
}

class CpioEncoder {
  /** Bytes given out so far. */
  lengthBytes = 0;
  #inode = 0;

  entry(entry: LoadedEntry): Uint8Array[] {
    checkPath(entry.path);
    const body = bodyOf(entry);
    const device = entry.kind === "device" ? entry : { major: 0, minor: 0 };
    const permissions = entry.kind === "link" ? 0o777 : (entry.mode ?? 0o755);
    this.#inode += 1;
    return this.#record({
      path: entry.path,
      body,
      fields: {
        inode: this.#inode,
        mode: typeBits[entry.kind] | (permissions & 0o7777),
        linkCount: entry.kind === "directory" ? 2 : 1,
        deviceMajor: device.major,
        deviceMinor: device.minor,
      },
    });
  }

  end(): Uint8Array[] {
    const fields = { inode: 0, mode: 0, linkCount: 1, deviceMajor: 0, deviceMinor: 0 };
    const trailer = this.#record({ path: "TRAILER!!!", body: new Uint8Array(0), fields });
    const padding = zeros(this.lengthBytes, archiveAlignment);
    this.lengthBytes += padding.length;
    return [...trailer, padding];
  }

  #record(record: {
    readonly path: string;
    readonly body: Uint8Array;
    readonly fields: {
      readonly inode: number;
      readonly mode: number;
      readonly linkCount: number;
      readonly deviceMajor: number;
      readonly deviceMinor: number;
    };
  }): Uint8Array[] {
    const { path, body, fields } = record;
    const name = Buffer.from(`${path}\0`);
    const numbers = [
      fields.inode,
      fields.mode,
      0, // User.
      0, // Group.
      fields.linkCount,
      0, // Time of change.
      body.length,
      0, // Device of the file itself.
      0,
      fields.deviceMajor,
      fields.deviceMinor,
      name.length,
      0, // Checksum; not in this format.
    ];
    const header = Buffer.from(
      `070701${numbers.map((value) => value.toString(16).padStart(8, "0")).join("")}`,
    );
    const parts = [header, name, zeros(header.length + name.length, 4), body, zeros(body.length, 4)];
    this.lengthBytes += parts.reduce((sum, part) => sum + part.length, 0);
    return parts.filter((part) => part.length > 0);
  }
}

function bodyOf(entry: LoadedEntry): Uint8Array {
  if (entry.kind === "link") return Buffer.from(entry.target);
  return entry.kind === "file" ? entry.content : new Uint8Array(0);
}

async function loaded(entry: CpioEntry): Promise<LoadedEntry> {
  if (entry.kind !== "file") return entry;
  const { content } = entry;
  const bytes = content instanceof Uint8Array ? content : await readFile(content.source);
  if (bytes.length > fileBytesMax) {
    const why = `${entry.path}: has ${bytes.length} bytes, at most ${fileBytesMax} go into an archive`;
    throw new ServiceError("ERR_INVALID_REQUEST", why);
  }
  return { ...entry, content: bytes };
}

function checkPath(path: string): void {
  const parts = path.split("/");
  const isPlain = parts.every((part) => part !== "" && part !== "." && part !== "..") && !path.includes("\0");
  if (!isPlain || Buffer.byteLength(path) > pathBytesMax || path === "TRAILER!!!") {
    throw new ServiceError("ERR_INVALID_REQUEST", `${JSON.stringify(path)}: cannot be a path in an archive`);
  }
}

function zeros(lengthBytes: number, alignment: number): Uint8Array {
  return new Uint8Array((alignment - (lengthBytes % alignment)) % alignment);
}
