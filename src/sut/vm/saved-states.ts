/**
 * Machine states saved right after a boot: restoring one takes a tenth of the time of booting.
 *
 * A state goes with everything that the machine was made of, and with nothing that is on its disks: it is saved
 * before they are used. The agent's token is part of the state, so it is kept beside it, both for their owner's
 * eyes only.
 *
 * @packageDocumentation
 */

import { createHash, randomBytes } from "node:crypto";
import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  utimes,
  writeFile,
} from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { runCommand } from "./command.ts";
import type { GuestSettings } from "./guest-file.ts";
import { qemuArguments } from "./qemu-arguments.ts";
import { program } from "./qemu-process.ts";

/** Changes when states of earlier versions cannot be used any more. */
const formatVersion = 1;
/** States kept, each of 100 to 200 MiB; the ones used last stay. */
const statesMax = 6;
/** A state that is not finished after so long has nobody who writes it. */
const draftAgeMsMax = 3_600_000;

export interface SavedState {
  readonly memory: FileHandle;
  readonly token: string;
}

/** A state that is being saved. */
export interface StateDraft {
  /** An empty file, to be filled by QEMU. */
  readonly path: string;
  /** Keeps it, unless somebody else has saved the same meanwhile. */
  publish(token: string): Promise<void>;
  discard(): Promise<void>;
}

export class SavedStates {
  readonly #directory: string;
  readonly #key: string;

  private constructor(directory: string, key: string) {
    this.#directory = directory;
    this.#key = key;
  }

  /** The states that fit a guest with these settings; at most one is kept. */
  static async for(settings: GuestSettings): Promise<SavedStates> {
    return new SavedStates(join(dirname(settings.images.kernel), "states"), await keyOf(settings));
  }

  async open(): Promise<SavedState | undefined> {
    const directory = join(this.#directory, this.#key);
    try {
      const token = await readFile(join(directory, "token"), "utf8");
      const memory = await open(join(directory, "memory"), "r");
      await utimes(directory, new Date(), new Date());
      return { memory, token };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
  }

  /** Forgets the state, which turned out to be of no use. */
  async remove(): Promise<void> {
    await rm(join(this.#directory, this.#key), { recursive: true, force: true });
  }

  async draft(): Promise<StateDraft> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    await this.#prune();
    const directory = join(this.#directory, `.${this.#key}-${randomBytes(4).toString("hex")}`);
    await mkdir(directory, { mode: 0o700 });
    const path = join(directory, "memory");
    await writeFile(path, "", { mode: 0o600 });
    const discard = () => rm(directory, { recursive: true, force: true });
    return {
      path,
      discard,
      publish: async (token) => {
        await writeFile(join(directory, "token"), token, { mode: 0o600 });
        try {
          // After a loss of power no name must lead to half a state.
          await using memory = await open(path, "r+");
          await memory.datasync();
          await rename(directory, join(this.#directory, this.#key));
        } catch (error) {
          const { code } = error as NodeJS.ErrnoException;
          if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
        } finally {
          await discard();
        }
      },
    };
  }

  /** Makes room for one more. */
  async #prune(): Promise<void> {
    const names = await readdir(this.#directory);
    const all = await Promise.all(
      names.map(async (name) => ({
        path: join(this.#directory, name),
        isDraft: name.startsWith("."),
        usedMs: await stat(join(this.#directory, name)).then(
          ({ mtimeMs }) => mtimeMs,
          () => 0,
        ),
      })),
    );
    const drafts = all.filter(({ isDraft, usedMs }) => isDraft && usedMs < Date.now() - draftAgeMsMax);
    const states = all.filter(({ isDraft }) => !isDraft).sort((one, other) => other.usedMs - one.usedMs);
    for (const { path } of [...drafts, ...states.slice(statesMax - 1)])
      await rm(path, { recursive: true, force: true });
  }
}

let version: Promise<string> | undefined;

/** Asked for once. A state that QEMU cannot use after it was replaced is noticed when it is taken over. */
function qemuVersion(): Promise<string> {
  version ??= runCommand(program, ["--version"], { timeoutMs: 30_000 }).then(({ stdout }) => stdout);
  version.catch(() => {
    version = undefined;
  });
  return version;
}

async function keyOf(settings: GuestSettings): Promise<string> {
  const {
    images,
    withExtras,
    accelerator,
    disks,
    cold: _,
    detached: __,
    startTimeoutMs: ___,
    ...rest
  } = settings;
  const files = [images.kernel, images.initrd, ...(withExtras ? [images.extras] : [])];
  const parts = {
    formatVersion,
    qemu: await qemuVersion(),
    files: await Promise.all(
      files.map(async (path) => {
        const { size, mtimeMs } = await stat(path);
        return { size, mtimeMs };
      }),
    ),
    versions: images.versions,
    withExtras,
    disks,
    parameters: qemuArguments({
      ...rest,
      ...{ accelerator, disks, agentPort: 0, nvmePort: 0, kernel: "", initrd: "", isIncoming: false },
    }),
    // A state holds what its own processor can do.
    processor: accelerator === "kvm" ? cpus()[0]?.model : undefined,
  };
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
}
