/**
 * What harrow knows of the devices in a pool that keeps numbers only: a small file beside harrow.
 *
 * Whoever is killed while it is written leaves the one of before. It is meant for one process at a time.
 *
 * @packageDocumentation
 */
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { ServiceError } from "../port.ts";

/** Longest file that is read, in bytes: about a hundred thousand devices. */
const fileBytesMax = 32 * 2 ** 20;
/** Thin ids have 24 bits. */
export const thinIdMax = 2 ** 24 - 1;

const thinId = z.int().min(0).max(thinIdMax);
const device = z.strictObject({
  uuid: z.uuid(),
  name: z.string().max(1000),
  sizeBytes: z.int().min(512).multipleOf(512),
  role: z.enum(["volume", "snapshot"]),
  sourceUuid: z.uuid().nullable(),
  id: thinId,
  /** `creating` and `deleting`: the pool may have it or not. */
  state: z.enum(["creating", "ready", "deleting"]),
  /** The volume is being put back to a snapshot: what takes the place of `id`, and the size that goes with it. */
  rollback: z.strictObject({ id: thinId, sizeBytes: z.int().min(512).multipleOf(512) }).optional(),
});
const schema = z.strictObject({
  harrowThinPool: z.literal(1),
  /** Transaction id that was given to a pool when harrow made it; `null` for a pool that was there before. */
  poolMark: z
    .string()
    .regex(/^[0-9]{1,20}$/)
    .nullable(),
  /** Above every id that was ever used. */
  nextId: z
    .int()
    .min(1)
    .max(thinIdMax + 1),
  devices: z.array(device),
  /** Replaced by a rollback, and to be deleted. */
  garbage: z.array(thinId),
});

export type CatalogueEntry = z.infer<typeof device>;
export type CatalogueContent = Omit<z.infer<typeof schema>, "harrowThinPool">;

const empty: CatalogueContent = { poolMark: null, nextId: 1, devices: [], garbage: [] };

export class Catalogue {
  readonly path: string;
  #content: CatalogueContent;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(path: string, content: CatalogueContent) {
    this.path = path;
    this.#content = content;
  }

  /** Reads the file; one that is not there is an empty catalogue. @throws {ServiceError} If it is damaged. */
  static async open(path: string): Promise<Catalogue> {
    try {
      if ((await stat(path)).size > fileBytesMax) throw new Error(`it has more than ${fileBytesMax} bytes`);
      const { harrowThinPool: _, ...content } = schema.parse(JSON.parse(await readFile(path, "utf8")));
      expectUnique(content);
      return new Catalogue(path, content);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === "ENOENT") return new Catalogue(path, empty);
      const why = cause instanceof z.ZodError ? z.prettifyError(cause) : (cause as Error).message;
      throw new ServiceError(
        "ERR_INVALID_REQUEST",
        `${path} is no catalogue of a thin pool: ${why}; put back a copy, or move it away to begin with an empty one (what the pool holds then stays there unnamed)`,
        { cause },
      );
    }
  }

  get content(): CatalogueContent {
    return this.#content;
  }

  find(uuid: string): CatalogueEntry | undefined {
    return this.#content.devices.find((entry) => entry.uuid === uuid);
  }

  /**
   * Makes a change, which is on the disk when this resolves; changes take turns.
   *
   * @throws {ServiceError} If it can not be written; then nothing has changed.
   */
  change(next: (content: CatalogueContent) => CatalogueContent): Promise<void> {
    const write = async (): Promise<void> => {
      const content = next(this.#content);
      await replaceFile(this.path, `${JSON.stringify({ harrowThinPool: 1, ...content }, undefined, 1)}\n`);
      this.#content = content;
    };
    const done = this.#last.then(write, write);
    this.#last = done.then(undefined, () => {});
    return done;
  }

  /** Replaces the entry of a device where it stands, or takes it out. */
  put(uuid: string, entry: CatalogueEntry | undefined): Promise<void> {
    return this.change((content) => ({
      ...content,
      devices: content.devices.flatMap((other) =>
        other.uuid !== uuid ? [other] : entry === undefined ? [] : [entry],
      ),
    }));
  }
}

/** Two devices with one id would share their blocks without knowing. */
function expectUnique({ devices, garbage, nextId }: CatalogueContent): void {
  const uuids = new Set(devices.map(({ uuid }) => uuid));
  if (uuids.size !== devices.length) throw new Error("a UUID is in it twice");
  const all = [...devices.flatMap(({ id, rollback }) => (rollback ? [id, rollback.id] : [id])), ...garbage];
  if (new Set(all).size !== all.length) throw new Error("a thin id is in it twice");
  if (all.some((id) => id >= nextId)) throw new Error(`a thin id is not below nextId, ${nextId}`);
}

async function replaceFile(path: string, text: string): Promise<void> {
  const next = `${path}.${process.pid}.new`;
  try {
    const file = await open(next, "w", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, path);
    const directory = await open(dirname(path), "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (cause) {
    await rm(next, { force: true });
    throw new ServiceError("ERR_TARGET", `${path} can not be written: ${(cause as Error).message}`, {
      cause,
    });
  }
}
