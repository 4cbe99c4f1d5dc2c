/**
 * Geometries for tests: drawn from a seed, so that one test covers many, and made simpler when one fails.
 *
 * @packageDocumentation
 */
import { Choices } from "../generators/choices.ts";
import type { ContentKind } from "../generators/content.ts";
import type { Range } from "../selectors/draws.ts";
import { Geometry } from "../selectors/geometry.ts";

/** What geometries may be; what is left out has a default that suits most tests. */
export interface GeometrySpec {
  /** Bytes per block: 512, 4096 or both. */
  readonly blockSizes?: readonly (512 | 4096)[];
  /** Blocks of an extent; 8 to 64 if left out. */
  readonly extentBlocks?: Range;
  /** Extents of a volume; 4 to 8 if left out. */
  readonly extents?: Range;
  /** One if left out. */
  readonly volumes?: Range;
  /** Extents that volumes have at first, for tests that make them grow; all of them if left out. */
  readonly startExtents?: number;
  /** What blocks are filled with; any of the three if left out. */
  readonly contents?: readonly ContentKind[];
}

/** One geometry of a test. */
export interface TestGeometry {
  readonly blockSize: 512 | 4096;
  readonly extentBlocks: number;
  readonly extents: number;
  readonly volumes: number;
  readonly startExtents: number | undefined;
  readonly content: ContentKind;
}

/** A specification in which nothing is left out. */
interface CompleteSpec extends Required<Omit<GeometrySpec, "startExtents">> {
  readonly startExtents: number | undefined;
}

/** @throws {Error} If the specification allows no geometry. */
export function completeSpec({
  blockSizes = [512, 4096],
  extentBlocks = { min: 8, max: 64 },
  extents = { min: 4, max: 8 },
  volumes = { min: 1, max: 1 },
  startExtents,
  contents = ["incompressible", "compressible", "text"],
}: GeometrySpec): CompleteSpec {
  for (const [name, some] of Object.entries({ blockSizes, contents }))
    if (some.length === 0) throw new Error(`${name} of geometries: expected one or more, got none`);
  for (const [name, { min, max }] of Object.entries({ extentBlocks, extents, volumes }))
    if (!(Number.isInteger(min) && Number.isInteger(max) && min >= 1 && max >= min))
      throw new Error(
        `${name} of geometries, ${min} to ${max}: expected whole numbers from 1, the least first`,
      );
  return { blockSizes, extentBlocks, extents, volumes, startExtents, contents };
}

/** Of the draws of geometries. */
const geometryStream = 2022n;

/** @throws {Error} If the specification allows no geometry. */
export function drawGeometry(
  spec: GeometrySpec,
  { seed, index }: { readonly seed: bigint; readonly index: number },
): TestGeometry {
  const { blockSizes, extentBlocks, extents, volumes, startExtents, contents } = completeSpec(spec);
  const choices = new Choices(seed, geometryStream + BigInt(index));
  const one = <Item>(items: readonly Item[]): Item => items[choices.below(items.length)]!;
  const within = ({ min, max }: Range): number => min + choices.below(max - min + 1);
  return {
    blockSize: one(blockSizes),
    extentBlocks: within(extentBlocks),
    extents: within(extents),
    volumes: within(volumes),
    startExtents,
    content: one(contents),
  };
}

/** Simpler ones, the simplest first, that the spec allows as well. */
export function simplerGeometries(geometry: TestGeometry, spec: GeometrySpec): readonly TestGeometry[] {
  const { extentBlocks, extents, volumes } = completeSpec(spec);
  const least = {
    ...geometry,
    extentBlocks: extentBlocks.min,
    extents: extents.min,
    volumes: volumes.min,
  };
  const all = [
    least,
    { ...geometry, volumes: least.volumes },
    { ...geometry, extents: least.extents },
    { ...geometry, extentBlocks: least.extentBlocks },
  ];
  return all.filter((one) => geometryText(one) !== geometryText(geometry));
}

export function geometryOf({ blockSize, extentBlocks, extents, volumes }: TestGeometry): Geometry {
  return new Geometry({
    blockSizeBytes: blockSize,
    extentBlocks,
    volumeBlocks: Array.from({ length: volumes }, () => extents * extentBlocks),
  });
}

/** Short enough for a command line: `4096x16x8x1-text`, with `+2` for two extents at first. */
export function geometryText(geometry: TestGeometry): string {
  const { blockSize, extentBlocks, extents, volumes, startExtents, content } = geometry;
  const start = startExtents === undefined ? "" : `+${startExtents}`;
  return `${blockSize}x${extentBlocks}x${extents}x${volumes}${start}-${content}`;
}

/** @throws {Error} If the text is none of {@link geometryText}. */
export function parseGeometry(text: string): TestGeometry {
  const found =
    /^(512|4096)x([1-9]\d{0,4})x([1-9]\d{0,4})x([1-9]\d?)(?:\+([1-9]\d{0,4}))?-(incompressible|compressible|text)$/.exec(
      text,
    );
  if (found === null)
    throw new Error(
      `geometry '${text}': expected such as 4096x16x8x1-text (block size, blocks, extents, volumes)`,
    );
  const [, blockSize, extentBlocks, extents, volumes, startExtents, content] = found;
  return {
    blockSize: Number(blockSize) as 512 | 4096,
    extentBlocks: Number(extentBlocks),
    extents: Number(extents),
    volumes: Number(volumes),
    startExtents: startExtents === undefined ? undefined : Number(startExtents),
    content: content as ContentKind,
  };
}
