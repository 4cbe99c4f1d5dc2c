/**
 * Exhibits as files of a failure folder, written and read.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { type ContentFormat, inflateBlock, sectorBytes } from "../generators/content.ts";
import { rng } from "../generators/pcg.ts";
import { valueStream } from "../generators/streams.ts";
import type { BlockRun } from "../model/block-set.ts";
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

export interface ExhibitReading {
  /** Reads a file whole. */
  readonly read: (name: string) => Promise<Uint8Array>;
  readonly blockSizeBytes: number;
}

/**
 * Reads an exhibit.
 *
 * @param json - As it was written, or as {@link withoutFiles} has left it.
 * @throws What `read` throws, or {@link Error} if a file does not hold what it should.
 */
export async function readExhibit(
  json: ExhibitJson,
  { read, blockSizeBytes }: ExhibitReading,
): Promise<Exhibit> {
  if (json.kind === "diff") return diffExhibit(json.answers, await read(json.answers));
  const { found, reread, allowed, contentVolume, judged } = json;
  const range = judged === undefined ? undefined : { ...judged, bytes: await read(judged.bytes) };
  return {
    kind: "block",
    found:
      range !== undefined && found === judged?.bytes ? blockIn(range, blockSizeBytes) : await read(found),
    ...(reread === undefined ? {} : { reread: await read(reread) }),
    allowed,
    ...(contentVolume === undefined ? {} : { contentVolume }),
    ...(range === undefined ? {} : { judged: range }),
  };
}

/** The wrong block, among all that was read with it. */
function blockIn(
  { block, firstBlock, bytes }: Pick<JudgedRange, "block" | "firstBlock" | "bytes">,
  blockSizeBytes: number,
): Uint8Array {
  const at = (block - firstBlock) * blockSizeBytes;
  return bytes.slice(at, at + blockSizeBytes);
}

/** Every file that an exhibit is read from. */
export function filesOf(json: ExhibitJson): readonly string[] {
  if (json.kind === "diff") return [json.answers];
  const { found, reread, judged } = json;
  return [found, reread, judged?.bytes].filter((name) => name !== undefined);
}

/** An exhibit without files that are not there; absent if what is left is of no use. */
export function withoutFiles(json: ExhibitJson, isThere: (name: string) => boolean): ExhibitJson | undefined {
  if (json.kind === "diff") return isThere(json.answers) ? json : undefined;
  const { found, reread, judged, ...rest } = json;
  const range = judged !== undefined && isThere(judged.bytes) ? judged : undefined;
  // The block stands in the range as well.
  const holder = isThere(found) ? found : range?.bytes;
  if (holder === undefined) return undefined;
  return {
    ...rest,
    found: holder,
    ...(reread !== undefined && isThere(reread) ? { reread } : {}),
    ...(range === undefined ? {} : { judged: range }),
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
    reportedByParts: reportedByParts?.map(({ block, blockCount }) => [block, blockCount]),
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
    ...(reportedByParts === undefined ? {} : { reportedByParts: runsOf(name, reportedByParts) }),
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

function runsOf(name: string, pairs: readonly (readonly [number, number])[]): BlockRun[] {
  const total = pairs.reduce((sum, [, length]) => sum + length, 0);
  if (total > reportedMax)
    throw new Error(`${name} has ${total} blocks, and at most ${reportedMax} are read`);
  return pairs.map(([block, blockCount]) => ({ block, blockCount }));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
