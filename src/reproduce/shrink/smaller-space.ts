/**
 * Smaller spaces for a history: fewer volumes, fewer extents, shorter extents, with what it names moved along.
 *
 * The size of a block stays: it decides what a block is.
 *
 * @packageDocumentation
 */
import type { BlockSpan } from "../../selectors/block-selector.ts";
import { Geometry } from "../../selectors/geometry.ts";
import type { Operation } from "../../selectors/operations.ts";
import type { Outline } from "./outline.ts";

/** A space to move to. Volumes have one size, as far as they are all performed. */
interface Space {
  /** By the number that they had; those left out go. */
  readonly volumes: readonly number[];
  /** Extents of each volume, by the number that they had; further ones stand behind them. */
  readonly extents: readonly number[];
  /** Extents that are there beside them, behind all others. */
  readonly spareExtents: number;
  readonly extentBlocks: number;
  /** Blocks by which all is moved to the front within extents. */
  readonly shift: number;
}

/** What a history needs of its space. */
interface Need {
  readonly volumes: readonly number[];
  readonly extents: readonly number[];
  /** Of blocks named, counted within extents; the end is not included. */
  readonly firstBlock: number;
  readonly endBlock: number;
}

/** @returns The smallest space first. Moved outlines share no parts with this one. */
export function* smallerSpaces(outline: Outline): Generator<Outline> {
  const { geometry } = outline;
  if (geometry.volumeBlocks.some((blocks) => blocks !== geometry.volumeBlocks[0])) return;
  if (geometry.volumeBlocks[0]! % geometry.extentBlocks !== 0) return;
  const need = needOf(outline);
  const now = spaceOf(outline);
  const most = now.extents.length;
  const { volumes, extents, firstBlock, endBlock } = need;
  const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
  const shortest = { extentBlocks: endBlock - firstBlock, shift: firstBlock };
  const isResized = outline.visits.some(({ steps = [] }) => steps.some(({ kind }) => kind === "resize"));
  const tail = extents.at(-1)! + 1;
  const fewExtents = isResized ? [] : [{ extents }];
  const spaces: Partial<Space>[] = [
    ...fewExtents.map((few) => ({ ...few, volumes, ...shortest })),
    ...fewExtents.map((few) => ({ ...few, volumes })),
    { volumes },
    ...fewExtents,
    ...fewExtents.map((few) => ({ ...few, spareExtents: 1 })),
    ...(tail < most ? [{ extents: upTo(tail) }] : []),
    ...(tail + 1 < most ? [{ extents: upTo(tail + 1) }] : []),
    ...halves(most, tail).map((count) => ({ extents: upTo(count) })),
    shortest,
    { extentBlocks: endBlock },
    ...halves(now.extentBlocks, endBlock).map((extentBlocks) => ({ extentBlocks })),
  ];
  for (const change of spaces) {
    const space = { ...now, ...change };
    if (isSmaller(space, now)) yield moved(outline, space);
  }
}

/** Half, a quarter and so on, as long as it is above the least. */
function halves(most: number, least: number): readonly number[] {
  const found: number[] = [];
  for (let half = Math.ceil(most / 2); half > least && half < most; half = Math.ceil(half / 2)) {
    found.unshift(half);
    if (half === 1) break;
  }
  return found;
}

function spaceOf({ geometry: { volumeBlocks, extentBlocks } }: Outline): Space {
  const extentCount = volumeBlocks[0]! / extentBlocks;
  return {
    volumes: [...volumeBlocks.keys()],
    extents: Array.from({ length: extentCount }, (_, index) => index),
    spareExtents: 0,
    extentBlocks,
    shift: 0,
  };
}

function isSmaller(space: Space, than: Space): boolean {
  const sizes = ({ volumes, extents, spareExtents, extentBlocks }: Space) =>
    [volumes.length, extents.length + spareExtents, extentBlocks] as const;
  const [a, b] = [sizes(space), sizes(than)];
  return a.every((size, index) => size <= b[index]!) && a.some((size, index) => size < b[index]!);
}

function needOf({ geometry, visits, clones }: Outline): Need {
  const all = [...visits, ...[...clones.values()].flat()];
  const reads = visits.flatMap((visit) => visit.reads ?? []);
  const pds = [...all, ...reads].flatMap(({ pd }) => (pd === undefined ? [] : [pd]));
  const places = [...new Set(pds)].map((pd) => geometry.keys.inflate(pd));
  const numbers = (index: 0 | 1): readonly number[] =>
    [...new Set(places.map((place) => place[index]))].sort((a, b) => a - b);
  let firstBlock = geometry.extentBlocks;
  let endBlock = 0;
  const cover = (first: number, end: number): void => {
    firstBlock = Math.min(firstBlock, first);
    endBlock = Math.max(endBlock, end);
  };
  for (const { kind, firstBlock: first, blockCount } of all.flatMap(({ operations }) => operations))
    if (kind === "deallocateTail") cover(first, first + 1);
    else if (kind !== "deallocateExtent" && blockCount > 0) cover(first, first + blockCount);
  for (const { firstBlock: first, blockCount } of reads) cover(first, first + blockCount);
  const blocks = endBlock === 0 ? { firstBlock: 0, endBlock: 1 } : { firstBlock, endBlock };
  return { volumes: numbers(0), extents: numbers(1), ...blocks };
}

function moved(outline: Outline, space: Space): Outline {
  const { geometry } = outline;
  const { volumes, extents, spareExtents, extentBlocks, shift } = space;
  const extentCount = extents.length + spareExtents;
  const smaller = new Geometry({
    blockSizeBytes: geometry.blockSizeBytes,
    extentBlocks,
    volumeBlocks: volumes.map(() => extentCount * extentBlocks),
  });
  const pdOf = (pd: number): number => {
    const [volume, index] = geometry.keys.inflate(pd);
    return smaller.keys.deflate([volumes.indexOf(volume), extents.indexOf(index)]);
  };
  const span = <Spanned extends BlockSpan>(one: Spanned): Spanned => {
    const firstBlock = Math.max(0, one.firstBlock - shift);
    const end = Math.min(extentBlocks, one.firstBlock + one.blockCount - shift);
    return one.blockCount === 0
      ? { ...one, firstBlock: 0 }
      : { ...one, firstBlock, blockCount: end - firstBlock };
  };
  const operations = (all: readonly Operation[]): readonly Operation[] => all.map(span);
  const sizes = (blocks: number): number =>
    Math.min(extentCount, Math.ceil(blocks / geometry.extentBlocks)) * extentBlocks;
  return {
    ...outline,
    geometry: smaller,
    startExtents: volumes.map((volume) => Math.min(extentCount, outline.startExtents[volume]!)),
    visits: outline.visits.map((visit) => ({
      pd: pdOf(visit.pd),
      operations: operations(visit.operations),
      reads:
        visit.reads?.map(({ pd, ...read }) => ({
          ...span(read),
          ...(pd === undefined ? {} : { pd: pdOf(pd) }),
        })) ?? [],
      steps:
        visit.steps?.map((step) =>
          step.kind === "resize"
            ? { ...step, blockCounts: volumes.map((volume) => sizes(step.blockCounts[volume]!)) }
            : step,
        ) ?? [],
    })),
    clones: new Map(
      [...outline.clones].map(([clone, visits]) => [
        clone,
        visits.map((visit) => ({ pd: pdOf(visit.pd), operations: operations(visit.operations) })),
      ]),
    ),
  };
}
