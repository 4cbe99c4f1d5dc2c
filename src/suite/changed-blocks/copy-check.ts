/**
 * Whether the target holds what was copied to it, and the snapshot what it must.
 *
 * Everything is compared by the version of each block; regions also by a digest, and by programs of the system where
 * they find the volumes.
 *
 * @packageDocumentation
 */
import { BlockSet } from "../../model/block-set.ts";
import type { BlockDevice, BlockRange } from "../../sut/port.ts";
import type { BenchOptions, SuiteSnapshot } from "./bench-options.ts";
import type { BlockVersions } from "./block-versions.ts";
import { checkContents } from "./contents-check.ts";
import { setOf } from "./diff-judge.ts";
import { externalDigest } from "./external-digest.ts";
import type { Region } from "./layout.ts";
import { SuiteFailure } from "./suite-failure.ts";

/**
 * The target holds regions of a snapshot, and right beside them what it held before.
 *
 * @returns What was compared, for people.
 * @throws {SuiteFailure} With the first block that is wrong, and what it is called.
 */
export async function checkCopied(
  options: BenchOptions,
  snapshot: SuiteSnapshot,
  regions: readonly Region[],
): Promise<readonly string[]> {
  const { service, target, memory, layout } = options;
  const notes: string[] = [];
  const source = await service.openSnapshot(snapshot.uuid);
  try {
    for (const region of regions) {
      const from = await digest(options, region, snapshot.versions, [source, `snapshot ${snapshot.label}`]);
      const to = await digest(options, region, snapshot.versions, [target.device, "the target"]);
      if (from !== to)
        throw new SuiteFailure(
          `${region.name}: sha256 ${from} of snapshot ${snapshot.label}, ${to} of the target`,
        );
      for (const beside of besides(region, layout.unitBlocks, blockCountOf(options)))
        await digest(options, beside, memory.copied, [target.device, "the target"]);
      const programs = await checkOutside(options, snapshot, region, from);
      notes.push(`${region.name}: src=${from.slice(0, 16)}…  dst=${to.slice(0, 16)}…${programs}`);
    }
  } finally {
    await source[Symbol.asyncDispose]();
  }
  return regions.length === 1 ? notes : [`${regions.length} regions: sha256 of each the same on both`];
}

/**
 * A snapshot and the target hold what they must, wherever something was changed, and beside that.
 *
 * @throws {SuiteFailure} With the first block that is wrong, and what it is called.
 */
export async function checkHeld(
  options: BenchOptions,
  snapshot: SuiteSnapshot,
  changed: readonly BlockRange[],
): Promise<void> {
  const { service, target, memory, layout } = options;
  const blockCount = blockCountOf(options);
  const near = setOf(changed.flatMap((range) => [range, ...besides(range, 1, blockCount)]));
  const source = await service.openSnapshot(snapshot.uuid);
  try {
    for (const range of near.rounded(layout.unitBlocks, blockCount).minus(new BlockSet())) {
      await digest(options, range, snapshot.versions, [source, `snapshot ${snapshot.label}`]);
      await digest(options, range, memory.copied, [target.device, "the target"]);
    }
  } finally {
    await source[Symbol.asyncDispose]();
  }
}

function digest(
  { content, signal }: BenchOptions,
  range: BlockRange,
  versions: BlockVersions,
  [device, what]: readonly [BlockDevice, string],
): Promise<string> {
  return checkContents({ device, what, range, versions, content, signal });
}

/** What programs of the system say of a region; of the source only while it is as the snapshot. */
async function checkOutside(
  { source, target, memory, layout, signal }: BenchOptions,
  snapshot: SuiteSnapshot,
  region: Region,
  expected: string,
): Promise<string> {
  const isNewest = snapshot.touchCount === memory.touchCount;
  const offsetBytes = region.block * layout.blockSizeBytes;
  const lengthBytes = layout.bytesOf(region);
  const asked: string[] = [];
  for (const { which, path } of [
    { which: "source", path: isNewest ? source.path : undefined },
    { which: "target", path: target.path },
  ]) {
    if (path === undefined) continue;
    const found = await externalDigest({ path, offsetBytes, lengthBytes }, signal);
    if (found !== expected)
      throw new SuiteFailure(
        `${region.name}: sha256sum says ${found} of ${path}, the ${which}: expected ${expected}`,
      );
    asked.push(path);
  }
  return asked.length === 0 ? "" : `, as sha256sum says of ${asked.join(" and ")}`;
}

function blockCountOf({ source, target }: BenchOptions): number {
  return Math.min(source.device.blockCount, target.device.blockCount);
}

/** What lies right before and after a range. */
function besides({ block, blockCount }: BlockRange, widthBlocks: number, volumeBlocks: number) {
  const end = block + blockCount;
  return [
    { block: Math.max(0, block - widthBlocks), blockCount: Math.min(block, widthBlocks) },
    { block: end, blockCount: Math.min(volumeBlocks - end, widthBlocks) },
  ].filter(({ blockCount: count }) => count > 0);
}
