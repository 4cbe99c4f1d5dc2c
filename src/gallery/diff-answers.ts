/**
 * What mutants of the answers to diffs are made of: ranges, and services over REST that tell others than the target.
 *
 * @packageDocumentation
 */
import { decodeDiff } from "../sut/lightbits/decode.ts";
import type { DiffRange } from "../sut/port.ts";
import { strikesOf } from "./chances.ts";
import type { Chance } from "./mutant.ts";
import type { RestInterceptor } from "./wire/rest-proxy.ts";

/** Ranges start at multiples of this, in blocks: one 64-bit map each. */
export const rangeBlocks = 64;

/**
 * Tells other ranges than the target, of a few diffs: the same ones whenever one of these is asked again.
 *
 * @param alter - Gives the ranges to tell of a whole answer, or nothing if it has no way to lie about it.
 */
export function tellingOtherRanges(
  chance: Chance,
  alter: (ranges: readonly DiffRange[]) => readonly DiffRange[] | undefined,
): RestInterceptor {
  const strikes = strikesOf(chance, { count: 3, apart: { min: 1, max: 3 } });
  const told = new Map<string, readonly DiffRange[] | undefined>();
  return {
    diff: (page, { snapshotUuid, baseSnapshotUuid, query }) => {
      const { lbaRanges, nextOffsetLBA } = decodeDiff("diff", page);
      const question = `${snapshotUuid} ${baseSnapshotUuid ?? ""}`;
      if (nextOffsetLBA !== 0 || query.has("offsetLBA")) return undefined;
      let ranges = told.get(question);
      if (!told.has(question)) {
        if (strikes.isDue()) ranges = alter(lbaRanges);
        if (ranges !== undefined) strikes.strike();
        told.set(question, ranges);
      } else if (ranges !== undefined) chance.struck();
      return ranges && { ...(page as object), lbaRanges: ranges.map(jsonOf) };
    },
  };
}

/** A range as the service tells it: 64-bit integers are text. */
function jsonOf({ lbaStart, bitmap }: DiffRange): object {
  return {
    lbaStart: String(lbaStart),
    lbaEnd: String(lbaStart + bitmap.length * 8),
    dataBitMap: Buffer.from(bitmap).toString("base64"),
  };
}
