/**
 * Which volume of a history a device holds, as its content says.
 *
 * @packageDocumentation
 */
import type { History } from "../../selectors/history.ts";
import { codes, FoundBlocks } from "./found-blocks.ts";
import type { ReadableDevice, Surveyor } from "./survey.ts";

/** Extents whose first blocks are looked at, of those that the history reaches first. */
const extentsMax = 64;
const blocksPerExtent = 16;
/** So far the history is followed to find them. */
const ltsMax = 2 ** 20;

/** @returns The volume that most blocks name, `undefined` if none names any. */
export async function guessVolume(
  { blockCount }: ReadableDevice,
  surveyor: Surveyor,
  history: History,
  signal: AbortSignal,
): Promise<number | undefined> {
  const { geometry, window } = history;
  const volumes = new Map<number, number>();
  const add = (volume: number): void => void volumes.set(volume, (volumes.get(volume) ?? 0) + 1);
  const firstBlocks = new Set<number>();
  for (let index = 0; index < Math.min(extentsMax, window.reachedCount(ltsMax)); index++)
    firstBlocks.add(geometry.extent(window.reachedPd(index)).firstBlock);
  for (const firstBlock of firstBlocks) {
    const count = Math.min(blocksPerExtent, geometry.extentBlocks, blockCount - firstBlock);
    if (count < 1) continue;
    const found = new FoundBlocks({ firstBlock, blockCount: count });
    await surveyor.survey(found, { volume: 0, signal });
    for (const code of found.codes) {
      const mark = found.markOf(code);
      if (code > 0 || code === codes.strange) add(0);
      else if (
        mark?.kind === "misplaced" &&
        mark.distance === 0 &&
        mark.volume < geometry.volumeBlocks.length
      )
        add(mark.volume);
    }
  }
  const [most] = [...volumes].sort(([, a], [, b]) => b - a);
  return most?.[0];
}
