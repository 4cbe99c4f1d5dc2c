/**
 * What is kept of a running guest in its run directory, so that another process finds it: `guest.json`.
 *
 * It holds the token of the agent, and so is for its owner's eyes only.
 *
 * @packageDocumentation
 */

import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ServiceError } from "../port.ts";
import { QemuProcess } from "./qemu-process.ts";

const name = "guest.json";
const port = z.int().min(1).max(65_535);
const mib = z.int().min(1);

const guestSettings = z.strictObject({
  images: z.strictObject({
    kernel: z.string(),
    initrd: z.string(),
    extras: z.string(),
    versions: z.record(z.string(), z.string()),
  }),
  role: z.enum(["target", "host"]),
  disks: z.array(z.strictObject({ serial: z.string(), mib })),
  blockSizeBytes: z.union([z.literal(512), z.literal(4096)]),
  cache: z.enum(["direct", "none", "writeback", "unsafe"]),
  memoryMiB: mib,
  cpuCount: z.int().min(1),
  withExtras: z.boolean(),
  cold: z.boolean(),
  detached: z.boolean(),
  accelerator: z.enum(["kvm", "tcg"]),
  startTimeoutMs: z.int().min(1),
});

const guestRecord = z.strictObject({
  pid: z.int().min(2),
  agentPort: port,
  nvmePort: port,
  token: z.string().min(1).max(256),
  /** When this process of QEMU was started, milliseconds since 1970. */
  startedMs: z.int().min(0),
  settings: guestSettings,
});

/** What a guest is made of, with every default filled in. */
export type GuestSettings = Readonly<z.infer<typeof guestSettings>>;
export type GuestRecord = Readonly<z.infer<typeof guestRecord>>;

export async function writeGuestRecord(directory: string, record: GuestRecord): Promise<void> {
  const path = join(directory, name);
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  await rename(draft, path);
}

export async function removeGuestRecord(directory: string): Promise<void> {
  await rm(join(directory, name), { force: true });
}

/** What a run directory says, and whether it is so. */
export type FoundGuest =
  | { readonly kind: "running"; readonly record: GuestRecord; readonly process: QemuProcess }
  /** The file was left behind by a guest that runs no more. */
  | { readonly kind: "stale"; readonly record: GuestRecord }
  | { readonly kind: "none" };

/** @throws {ServiceError} `ERR_BAD_ANSWER` if the file cannot be understood. */
export async function findGuest(directory: string): Promise<FoundGuest> {
  const path = join(directory, name);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return { kind: "none" };
    throw error;
  }
  const record = parsed(path, text);
  const process = await QemuProcess.find(record.pid, directory);
  return process === undefined ? { kind: "stale", record } : { kind: "running", record, process };
}

function parsed(path: string, text: string): GuestRecord {
  try {
    return guestRecord.parse(JSON.parse(text));
  } catch (cause) {
    throw new ServiceError(
      "ERR_BAD_ANSWER",
      `${path} is not what this version writes: end the guest it speaks of, if there is one, and remove it`,
      { cause },
    );
  }
}
