/**
 * The part of a file system that failure folders are written with, so that a full or failing disk can be put in its
 * place.
 *
 * @packageDocumentation
 */
import { mkdir, open, rename, rm } from "node:fs/promises";

export interface FileSystem {
  /** Makes a directory and those above it; they may be there. */
  makeDirectories(path: string): Promise<void>;
  /** Makes a directory; rejects with code `EEXIST` if there is anything. */
  makeDirectory(path: string): Promise<void>;
  /** Opens a file that is new, or emptied. */
  create(path: string): Promise<WritableFile>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, or a directory with all that is in it, if it is there. */
  remove(path: string): Promise<void>;
  /** What was renamed in a directory stays so when the host loses power. */
  syncDirectory(path: string): Promise<void>;
}

export interface WritableFile {
  /** Writes all of it. What was never written before the end of the file reads as zeros, and takes no room. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  setLength(bytes: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export const diskFiles: FileSystem = {
  makeDirectories: async (path) => {
    await mkdir(path, { recursive: true });
  },
  makeDirectory: async (path) => {
    await mkdir(path);
  },
  create: async (path) => {
    const handle = await open(path, "w");
    return {
      write: async (bytes, position) => {
        // A write that meets the end of the disk is done in part.
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
          done += bytesWritten;
        }
      },
      setLength: (length) => handle.truncate(length),
      sync: () => handle.sync(),
      close: () => handle.close(),
    };
  },
  rename: (from, to) => rename(from, to),
  remove: (path) => rm(path, { recursive: true, force: true }),
  syncDirectory: async (path) => {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};
