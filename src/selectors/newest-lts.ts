/**
 * The newest visits of some extents, found from visit to visit: what others are visited in between costs nothing.
 *
 * @packageDocumentation
 */
import type { VisitOrder } from "./history.ts";

/** lts that are looked through first; then twice as many, and so on. */
const firstWidth = 1024;

/**
 * @param pds - Extents of the history.
 * @returns The newest of the lts from `ltsMin` to `ltsCount` − 1 that visit any of them, at most `countMax`, descending.
 */
export function newestLts(
  order: VisitOrder,
  pds: ReadonlySet<number>,
  {
    ltsMin,
    ltsCount,
    countMax,
  }: { readonly ltsMin: number; readonly ltsCount: number; readonly countMax: number },
): readonly number[] {
  /** The newest visit of each extent that is not found yet. */
  let next: number[] = [];
  for (const pd of pds) {
    const last = order.lastLts(pd, ltsCount - 1);
    if (last !== undefined && last >= ltsMin) next.push(last);
  }
  const found: number[] = [];
  let from = ltsCount;
  for (let width = firstWidth; next.length > 0 && found.length < countMax; width *= 2) {
    from = Math.max(ltsMin, from - width);
    const older: number[] = [];
    for (const newest of next) {
      let lts: number | undefined = newest;
      for (; lts !== undefined && lts >= from; lts = order.prevLts(lts)) found.push(lts);
      if (lts !== undefined && lts >= ltsMin) older.push(lts);
    }
    next = older;
  }
  return found.sort((a, b) => b - a).slice(0, countMax);
}
