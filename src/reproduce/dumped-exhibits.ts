/**
 * Exhibits as files of a failure folder, written and read.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { type ContentFormat, inflateBlock, sectorBytes } from "../generators/content.ts";
import { rng } from "../generators/pcg.ts";
import { valueStream } from "../generators/streams.ts";
import type { AnswerPage } from "../model/diff-contract.ts";
import type { Violation } from "../model/violation.ts";
import type { BlockExhibit, DiffExhibit, Exhibit, JudgedRange } from "../runner/exhibit.ts";
import type { DumpFiles } from "./dump-files.ts";
import type { ExhibitJson } from "./dump-format.ts";

/** So many of the states that a block may be in are kept as bytes. */
const expectedMax = 4;
/** Most bytes of bitmaps that answers are kept with. */
const bitmapBytesMax = 32 * 2 ** 20;
/** Most blocks that the parts of a span may have reported together, when they are read. */
const reportedMax = 2 ** 27;

type BlockJson = Extract<ExhibitJson, { kind: "block" }>;

/** What is known of the violation that an exhibit belongs to. */
export interface Exhibited {
  /** Of the violation. */
  readonly number: number;
  readonly violation: Violation;
  readonly format: ContentFormat;
}

/** What exhibits were written as. What several of them share is one file. */
export class ExhibitWriter {
  readonly #files: DumpFiles;
  readonly #names = new WeakMap<object, string>();

  constructor(files: DumpFiles) {
    this.#files = files;
  }

  /**
   * @param missing - Told in words what could not be written beside the rest.
   * @throws What the file system throws, if nothing of worth could be written.
   */
  write(exhibit: Exhibit, about: Exhibited, missing: (what: string) => void): Promise<ExhibitJson> {
    return exhibit.kind === "block"
      ? this.#writeBlock(exhibit, about, missing)
      : this.#writeDiff(exhibit, about);
  }

  async #writeBlock(
    { found, reread, allowed, contentVolume, judged }: BlockExhibit,
    { number, violation, format }: Exhibited,
    missing: (what: string) => void,
  ): Promise<BlockJson> {
    const file = `observed-${number}.bin`;
    const orMissing = async (name: string, bytes: Uint8Array | undefined): Promise<string | undefined> => {
      if (bytes === undefined) return undefined;
      try {
        return await this.#put(name, bytes);
      } catch (error) {
        missing(`${name}: ${messageOf(error)}`);
        return undefined;
      }
    };
    const at = { volume: contentVolume ?? violation.volume, block: violation.block };
    const sectorCount = found.length / sectorBytes;
    const states = allowed.slice(0, expectedMax);
    // Together, for each waits for the disk.
    const [, again, range, ...expectedFiles] = await Promise.all([
      this.#put(file, found),
      orMissing(`reread-${number}.bin`, reread),
      orMissing(`range-${number}.bin`, judged?.bytes),
      ...states.map((state, index) =>
        orMissing(`expected-${number}-${index}.bin`, bytesOf(format, { ...at, sectorCount }, state)),
      ),
    ]);
    const firstLost = expectedFiles.indexOf(undefined);
    const expected = (firstLost < 0 ? expectedFiles : expectedFiles.slice(0, firstLost)) as string[];
    return {
      kind: "block",
      found: file,
      ...(again === undefined ? {} : { reread: again }),
      allowed: [...allowed],
      ...(contentVolume === undefined ? {} : { contentVolume }),
      expected,
      ...(judged === undefined || range === undefined ? {} : { judged: judgedJson(judged, range) }),
    };
  }

  async #writeDiff(exhibit: DiffExhibit, { number }: Exhibited): Promise<ExhibitJson> {
    const known = this.#names.get(exhibit);
    if (known !== undefined) return { kind: "diff", answers: known };
    const name = `diff-${number}.json`;
    const bitmapBytes = [...exhibit.pages, ...(exhibit.again ?? [])]
      .flatMap(({ ranges }) => ranges)
      .reduce((sum, { bitmap }) => sum + bitmap.length, 0);
    if (bitmapBytes > bitmapBytesMax)
      throw new Error(
        `the answers have ${bitmapBytes} bytes of bitmaps, and at most ${bitmapBytesMax} are kept`,
      );
    await this.#files.put(name, `${JSON.stringify(diffJson(exhibit))}\n`);
    this.#names.set(exhibit, name);
    return { kind: "diff", answers: name };
  }

  /** @returns The name of the file that has these bytes. */
  async #put(name: string, bytes: Uint8Array): Promise<string> {
    const known = this.#names.get(bytes);
    if (known !== undefined) return known;
    await this.#files.put(name, bytes);
    this.#names.set(bytes, name);
    return name;
  }
}

/**
 * Reads an exhibit.
 *
 * @param read - Reads a file whole.
 * @throws What `read` throws, or {@link Error} if a file does not hold what it should.
 */
export async function readExhibit(
  json: ExhibitJson,
  read: (name: string) => Promise<Uint8Array>,
): Promise<Exhibit> {
  if (json.kind === "diff") return diffExhibit(json.answers, await read(json.answers));
  const { found, reread, allowed, contentVolume, judged } = json;
  return {
    kind: "block",
    found: await read(found),
    ...(reread === undefined ? {} : { reread: await read(reread) }),
    allowed,
    ...(contentVolume === undefined ? {} : { contentVolume }),
    ...(judged === undefined ? {} : { judged: { ...judged, bytes: await read(judged.bytes) } }),
  };
}

/** Every file that an exhibit is made of; without those in `optional` it is still of use. */
export function filesOf(json: ExhibitJson): {
  readonly needed: readonly string[];
  readonly optional: readonly string[];
} {
  if (json.kind === "diff") return { needed: [json.answers], optional: [] };
  const { found, reread, judged } = json;
  return {
    needed: [found],
    optional: [reread, judged?.bytes].filter((name) => name !== undefined),
  };
}

/** An exhibit without files that are not there. */
export function withoutFiles(json: ExhibitJson, isThere: (name: string) => boolean): ExhibitJson {
  if (json.kind === "diff") return json;
  const { reread, judged, ...rest } = json;
  return {
    ...rest,
    ...(reread !== undefined && isThere(reread) ? { reread } : {}),
    ...(judged !== undefined && isThere(judged.bytes) ? { judged } : {}),
  };
}

/** The bytes of a block in a state. */
function bytesOf(
  format: ContentFormat,
  at: { readonly volume: number; readonly block: number; readonly sectorCount: number },
  state: number,
): Uint8Array {
  if (state <= 0) return new Uint8Array(at.sectorCount * sectorBytes);
  const vd = rng(format.seed, BigInt(state), valueStream(at.volume, at.block));
  return inflateBlock(format, { vd, ...at });
}

function judgedJson(judged: JudgedRange, bytes: string): NonNullable<BlockJson["judged"]> {
  const { place, pd, firstBlock, block, snapshot, ltsMax, isLive, provenBefore, wasProven } = judged;
  return {
    ...{ place, pd, firstBlock, bytes, block },
    ...(snapshot === undefined ? {} : { snapshot }),
    ...(ltsMax === undefined ? {} : { ltsMax }),
    ...{ isLive, provenBefore, wasProven },
  };
}

const count = z.int().min(0);

const pages = z.array(
  z.object({
    offsetLba: z.number(),
    nextOffsetLba: z.number(),
    ranges: z.array(
      z.object({
        lbaStart: z.number(),
        bitmap: z.base64().describe("Bit i of byte j: block lbaStart + 8 j + i."),
      }),
    ),
  }),
);

const diffSchema = z.object({
  volume: count,
  snapshot: count,
  base: count.exactOptional(),
  isBaseDeleted: z.boolean(),
  pages,
  again: pages.exactOptional(),
  /** Runs: first block and length. */
  reportedByParts: z.array(z.tuple([count, count.min(1)])).exactOptional(),
});

type PagesJson = z.output<typeof pages>;

function diffJson({
  volume,
  snapshot,
  base,
  isBaseDeleted,
  pages: first,
  again,
  reportedByParts,
}: DiffExhibit) {
  return {
    ...{ volume, snapshot, base, isBaseDeleted },
    pages: first.map(pageJson),
    again: again?.map(pageJson),
    reportedByParts: reportedByParts === undefined ? undefined : runsOf(reportedByParts),
  };
}

function pageJson({ offsetLba, nextOffsetLba, ranges }: AnswerPage): PagesJson[number] {
  return {
    offsetLba,
    nextOffsetLba,
    ranges: ranges.map(({ lbaStart, bitmap }) => ({
      lbaStart,
      bitmap: Buffer.from(bitmap.buffer, bitmap.byteOffset, bitmap.length).toString("base64"),
    })),
  };
}

function diffExhibit(name: string, bytes: Uint8Array): DiffExhibit {
  const json = diffSchema.parse(JSON.parse(Buffer.from(bytes).toString("utf8")));
  const { pages: first, again, reportedByParts, ...rest } = json;
  return {
    kind: "diff",
    ...rest,
    pages: first.map(answerPage),
    ...(again === undefined ? {} : { again: again.map(answerPage) }),
    ...(reportedByParts === undefined ? {} : { reportedByParts: blocksOf(name, reportedByParts) }),
  };
}

function answerPage({ offsetLba, nextOffsetLba, ranges }: PagesJson[number]): AnswerPage {
  return {
    offsetLba,
    nextOffsetLba,
    ranges: ranges.map(({ lbaStart, bitmap }) => ({
      lbaStart,
      bitmap: new Uint8Array(Buffer.from(bitmap, "base64")),
    })),
  };
}

function runsOf(blocks: readonly number[]): [number, number][] {
  const runs: [number, number][] = [];
  for (const block of blocks) {
    const last = runs.at(-1);
    if (last !== undefined && last[0] + last[1] === block) last[1]++;
    else runs.push([block, 1]);
  }
  return runs;
}

function blocksOf(name: string, runs: readonly (readonly [number, number])[]): number[] {
  const total = runs.reduce((sum, [, length]) => sum + length, 0);
  if (total > reportedMax)
    throw new Error(`${name} has ${total} blocks, and at most ${reportedMax} are read`);
  return runs.flatMap(([first, length]) => Array.from({ length }, (_, index) => first + index));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
