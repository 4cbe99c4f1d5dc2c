/**
 * How far a copy has come, in a small file, so that another process can go on with it.
 *
 * It names no endpoint and no token: snapshots and volumes have UUIDs of their own.
 *
 * @packageDocumentation
 */
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { z } from "zod";
import { ConfigError } from "../runner/config/load.ts";

/** Longest file that is read, in bytes. */
const stateBytesMax = 4096;

/** Which copy it is. */
export interface CopyIdentity {
  readonly snapshot: string;
  /** `null` for a copy of all that the snapshot holds. */
  readonly base: string | null;
  readonly target: string;
}

export interface SyncState extends CopyIdentity {
  /** All that is reported below this block is on the target, durable. */
  readonly copiedTo: number;
  readonly blockCount: number;
}

const schema = z.strictObject({
  harrowSync: z.literal(1),
  snapshot: z.string().min(1),
  base: z.string().min(1).nullable(),
  target: z.string().min(1),
  copiedTo: z.int().min(0),
  blockCount: z.int().min(1),
});

/** @throws {ConfigError} If there is a file, and it is no state of a copy. */
export async function readState(path: string): Promise<SyncState | undefined> {
  try {
    if ((await stat(path)).size > stateBytesMax) throw new Error("it is too long");
    const { harrowSync: _, ...state } = schema.parse(JSON.parse(await readFile(path, "utf8")));
    return state;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    const why = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new ConfigError([`${path} is no state of a copy: ${why}`]);
  }
}

/** Replaces the file as a whole: whoever is killed meanwhile leaves the one of before. */
export async function writeState(path: string, state: SyncState): Promise<void> {
  const next = `${path}.${process.pid}.new`;
  try {
    const file = await open(next, "w", 0o600);
    try {
      await file.writeFile(`${JSON.stringify({ harrowSync: 1, ...state })}\n`);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(next, path);
  } catch (cause) {
    await rm(next, { force: true });
    throw new ConfigError([`${path} can not be written: ${(cause as Error).message}`]);
  }
}

export function isSameCopy(one: CopyIdentity, other: CopyIdentity): boolean {
  return one.snapshot === other.snapshot && one.base === other.base && one.target === other.target;
}

export function isComplete({ copiedTo, blockCount }: SyncState): boolean {
  return copiedTo >= blockCount;
}
