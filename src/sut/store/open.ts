/**
 * Opens a store: in memory, or in a directory that outlives the process.
 *
 * @packageDocumentation
 */
import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { StoreBug } from "./bug.ts";
import { FileMedium } from "./file-medium.ts";
import { Arena } from "./medium.ts";
import { MemoryMedium } from "./memory-medium.ts";
import { chunkBlocks, StoreError, type VolumeStore } from "./port.ts";
import { restoreState } from "./restore.ts";
import { SqliteJournal } from "./sqlite-journal.ts";
import { emptyState } from "./store-state.ts";
import { ThinStore } from "./thin-store.ts";
import type { VolatileCacheOptions } from "./volatile-cache.ts";

export type StoreOptions = {
  /** Keeps what is not flushed in this process's memory, where a crash loses it; no such cache if absent. */
  readonly volatileCache?: VolatileCacheOptions;
  /** A mistake on purpose; none if absent. */
  readonly bug?: StoreBug;
} & (
  | { readonly kind: "memory" }
  | {
      readonly kind: "directory";
      /** Made if it does not exist; else empty, or a store. */
      readonly path: string;
    }
);

const blockSizes = [512, 4096] as const;
const metadataFile = "metadata.sqlite";

/**
 * Opens or makes a store; disposing closes it.
 *
 * A directory holds `metadata.sqlite` and one sparse file of blocks per block size. It is held exclusively.
 *
 * @throws {StoreError} `ERR_NOT_NOW` if another process uses the directory, `ERR_INVALID` if it holds something
 *   else or another format or an option is out of range, `ERR_CORRUPT` if it is damaged, `ERR_IO` if it cannot
 *   be read or written.
 */
export async function openStore(options: StoreOptions): Promise<VolumeStore> {
  switch (options.kind) {
    case "memory":
      return openMemory(options);
    case "directory":
      return openDirectory(options);
    default:
      return unreachable(options);
  }
}

function openMemory({ volatileCache, bug }: StoreOptions): VolumeStore {
  const arenas = new Map(
    blockSizes.map((blockSizeBytes) => [
      blockSizeBytes,
      new Arena({
        blockSizeBytes,
        medium: new MemoryMedium(chunkBlocks * blockSizeBytes),
        reuseNeedsCommit: false,
      }),
    ]),
  );
  return new ThinStore({ restore: () => emptyState({ arenas, isTracked: false }), volatileCache, bug });
}

function openDirectory({
  path,
  volatileCache,
  bug,
}: Extract<StoreOptions, { kind: "directory" }>): VolumeStore {
  try {
    mkdirSync(path, { recursive: true });
    const names = readdirSync(path);
    if (names.length > 0 && !names.includes(metadataFile)) {
      throw new StoreError("ERR_INVALID", `${path}: is neither empty nor a store; use another directory`);
    }
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    throw new StoreError("ERR_IO", `${path}: cannot be used as a directory: ${(cause as Error).message}`, {
      cause,
    });
  }
  // First of all, for it is also the lock.
  const journal = new SqliteJournal(join(path, metadataFile));
  const media = new Map<number, FileMedium>();
  try {
    for (const size of blockSizes) {
      media.set(size, new FileMedium(join(path, `blocks-${size}`), chunkBlocks * size));
    }
    return new ThinStore({
      journal,
      volatileCache,
      bug,
      directory: path,
      restore: (commits) => restoreState(journal.load(), media, commits),
    });
  } catch (error) {
    for (const medium of media.values()) medium.close();
    journal.close();
    if (!(error instanceof StoreError) || error.message.includes(path)) throw error;
    throw new StoreError(error.code, `${path}: ${error.message}`, { cause: error });
  }
}

function unreachable(options: never): never {
  throw new StoreError("ERR_INVALID", `a store cannot be opened with ${JSON.stringify(options)}`);
}
