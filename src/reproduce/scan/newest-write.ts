/**
 * How far a history had come, as far as its volume tells.
 *
 * @packageDocumentation
 */
import type { History } from "../../selectors/history.ts";
import { effectOf, ltsOf, operationAt } from "../../selectors/operations.ts";
import { codes, type FoundBlocks } from "./found-blocks.ts";

/**
 * The newest lts of which a block shows a write, −1 if none does: a lower bound of how far the run had come.
 *
 * Every value is at some position of its block's stream, so a position is believed only if the history has an
 * operation there that covers the block. Of each extent the highest are tried until one is; those that are not
 * are noted as strange.
 */
export function newestWrite(found: FoundBlocks, history: History, volume: number): number {
  const { extentBlocks } = history.geometry;
  const end = found.firstBlock + found.blockCount;
  let newest = -1;
  for (let block = found.firstBlock; block < end; ) {
    const extentEnd = Math.min(end, (Math.floor(block / extentBlocks) + 1) * extentBlocks);
    newest = Math.max(newest, newestOf(found, history, { volume, block, end: extentEnd }));
    block = extentEnd;
  }
  return newest;
}

/** lts after which it is certain enough that data which was written meanwhile is not all made zeros again. */
const shownMin = 256;
/** lts that are looked at, at most. */
const silentMax = 2 ** 16;

/**
 * The lts up to which a run may have come with no write to be seen that is newer than the newest that is found: what
 * only made zeros leaves no other trace.
 */
export function lastSilent(
  found: FoundBlocks,
  history: History,
  { volume, newest }: { readonly volume: number; readonly newest: number },
): number {
  const end = found.firstBlock + found.blockCount;
  const data = new Set<number>();
  let silent = newest;
  for (
    let lts = newest + 1;
    lts <= silent + shownMin || (data.size === 0 && lts <= newest + silentMax);
    lts++
  ) {
    const { extent, operations } = history.visit(lts);
    for (const { kind, firstBlock, blockCount } of extent.volume === volume ? operations : []) {
      const effect = effectOf(kind);
      const first = extent.firstBlock + firstBlock;
      if (effect === "none") continue;
      for (let block = Math.max(first, found.firstBlock); block < Math.min(first + blockCount, end); block++)
        if (effect === "data") data.add(block);
        else data.delete(block);
    }
    if (data.size === 0) silent = lts;
  }
  return silent;
}

/** Whether the operation at a position wrote data to a block, if it was performed. */
export function writes(history: History, position: number, where: Place): boolean {
  const { lts, operationId } = operationAt(position);
  const { extent } = history.visit(lts);
  const block = where.block - extent.firstBlock;
  if (extent.volume !== where.volume || block < 0 || block >= extent.blockCount) return false;
  const operation = history.operationOn(lts, block);
  return operation?.operationId === operationId && effectOf(operation.kind) === "data";
}

interface Place {
  readonly volume: number;
  readonly block: number;
}

function newestOf(
  found: FoundBlocks,
  history: History,
  { volume, block: first, end }: Place & { end: number },
): number {
  const { codes: all, firstBlock: origin } = found;
  for (;;) {
    let best = 0;
    let bestBlock = first;
    for (let block = first; block < end; block++) {
      const code = all[block - origin]!;
      if (code > best) [best, bestBlock] = [code, block];
    }
    if (best === 0) return -1;
    if (writes(history, best, { volume, block: bestBlock })) return ltsOf(best);
    found.put(bestBlock, codes.strange);
  }
}
