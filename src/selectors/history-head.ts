/**
 * The head of a history's text: what its content follows from, and the space that it works on.
 *
 * @packageDocumentation
 */
import { type ContentKind, contentKinds } from "../generators/content.ts";
import { blockCountMax, volumeCountMax } from "../generators/streams.ts";
import { Geometry } from "./geometry.ts";
import type { HistoryPlan } from "./history-builder.ts";
import { type HeadKey, LineProblem, numberOf, quoted } from "./history-line.ts";
import type { HistoryProblems } from "./history-problems.ts";

/** Lines of the head as they were read, by what they name. */
export type Head = Partial<Record<HeadKey, { readonly line: number; readonly values: readonly string[] }>>;

const keyColumns = 15;
const extentBlocksMax = 131_072;
/** As of a configuration. */
const depthMax = 4096;

/** The part of a plan that is in the head. */
export type HeadOfPlan = Pick<HistoryPlan, "seed" | "geometry" | "startExtents" | "content" | "depth">;

/** The lines at the top, without the format. */
export function* headLines({ seed, geometry, startExtents, content, depth }: HistoryPlan): Generator<string> {
  const { blockSizeBytes, extentBlocks, volumeBlocks } = geometry;
  const row = (key: string, values: string): string => `${key.padEnd(keyColumns)}${values}`;
  yield row("seed", `0x${seed.toString(16)}`);
  yield row("block-size", String(blockSizeBytes));
  yield row("extent-blocks", String(extentBlocks));
  yield row("volume-blocks", volumeBlocks.join(" "));
  const isComplete = startExtents.every((count, volume) => count * extentBlocks >= volumeBlocks[volume]!);
  if (!isComplete) yield row("start-extents", startExtents.join(" "));
  if (content !== undefined) yield row("content", content);
  if (depth !== undefined) yield row("depth", String(depth));
}

/** Seed and geometry; `undefined` if something is wrong with them. */
export function readHead(head: Head, endLine: number, problems: HistoryProblems): HeadOfPlan | undefined {
  const values = <Value>(key: HeadKey, read: (values: readonly string[]) => Value): Value | undefined => {
    const entry = head[key];
    if (entry !== undefined) return problems.attempt(entry.line, () => read(entry.values));
    problems.add(endLine, `${key} is missing`);
    return undefined;
  };
  const seed = values("seed", (words) => seedOf(one("seed", words)));
  const blockSizeBytes = values("block-size", (words) => blockSizeOf(one("block-size", words)));
  const extentBlocks = values("extent-blocks", (words) =>
    numberOf(one("extent-blocks", words), "extent-blocks", { min: 1, max: extentBlocksMax }),
  );
  const volumeBlocks = values("volume-blocks", (words) =>
    numbers("volume-blocks", words, { min: 1, max: blockCountMax }),
  );
  if (
    seed === undefined ||
    blockSizeBytes === undefined ||
    extentBlocks === undefined ||
    volumeBlocks === undefined
  )
    return undefined;
  const content =
    head.content === undefined ? undefined : values("content", (words) => contentOf(one("content", words)));
  const depth =
    head.depth === undefined
      ? undefined
      : values("depth", (words) => numberOf(one("depth", words), "depth", { min: 1, max: depthMax }));
  const more = { ...(content === undefined ? {} : { content }), ...(depth === undefined ? {} : { depth }) };
  const geometry = new Geometry({ blockSizeBytes, volumeBlocks, extentBlocks });
  const extentCounts = volumeBlocks.map((blocks) => Math.ceil(blocks / extentBlocks));
  if (head["start-extents"] === undefined) return { seed, geometry, startExtents: extentCounts, ...more };
  const startExtents = values("start-extents", (words) => startExtentsOf(words, extentCounts));
  return startExtents === undefined ? undefined : { seed, geometry, startExtents, ...more };
}

function one(key: HeadKey, [word, ...more]: readonly string[]): string {
  if (word !== undefined && more.length === 0) return word;
  throw new LineProblem(`${key}: expected one value, got ${word === undefined ? "none" : more.length + 1}`);
}

function seedOf(word: string): bigint {
  const seed = /^(0x[0-9a-fA-F]{1,16}|\d{1,20})$/.test(word) ? BigInt(word) : -1n;
  if (seed >= 0n && seed < 2n ** 64n) return seed;
  throw new LineProblem(`seed: expected 64 bits such as 0x5eed, got ${quoted(word)}`);
}

function blockSizeOf(word: string): number {
  if (word === "512" || word === "4096") return Number(word);
  throw new LineProblem(`block-size: expected 512 or 4096, got ${quoted(word)}`);
}

function contentOf(word: string): ContentKind {
  const kind = contentKinds.find((known) => known === word);
  if (kind !== undefined) return kind;
  throw new LineProblem(`content: expected ${contentKinds.join(", ")}, got ${quoted(word)}`);
}

function numbers(
  key: HeadKey,
  words: readonly string[],
  limits: { readonly min: number; readonly max: number },
): readonly number[] {
  if (words.length === 0 || words.length > volumeCountMax)
    throw new LineProblem(`${key}: expected 1 to ${volumeCountMax} volumes, got ${words.length}`);
  return words.map((word) => numberOf(word, key, limits));
}

function startExtentsOf(words: readonly string[], extentCounts: readonly number[]): readonly number[] {
  if (words.length !== extentCounts.length)
    throw new LineProblem(
      `start-extents: expected ${extentCounts.length}, as many as volume-blocks, got ${words.length}`,
    );
  return words.map((word, volume) =>
    numberOf(word, `start-extents of volume ${volume}`, { min: 1, max: extentCounts[volume]! }),
  );
}
