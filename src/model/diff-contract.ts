/**
 * The shape of a diff's answer: what it reports, and whether its pages keep to their contract.
 *
 * @packageDocumentation
 */
import { BlockSet } from "./block-set.ts";

/** One page of an answer: bit i of byte j of a range's bitmap stands for block `lbaStart + 8 j + i`. */
export interface AnswerPage {
  readonly offsetLba: number;
  readonly ranges: readonly { readonly lbaStart: number; readonly bitmap: Uint8Array }[];
  /** Start of the next page; 0 for the last. */
  readonly nextOffsetLba: number;
}

/** All blocks that an answer reports. */
export function reportedBlocks(pages: readonly AnswerPage[]): BlockSet {
  const reported = new BlockSet();
  for (const { ranges } of pages)
    for (const { lbaStart, bitmap } of ranges)
      for (const [byte, bits] of bitmap.entries())
        for (let bit = 0; bit < 8; bit++) if ((bits >> bit) & 1) reported.add(lbaStart + 8 * byte + bit);
  return reported;
}

/** The first breach of the page contract. */
export function brokenContract(
  pages: readonly AnswerPage[],
  volumeBlocks: number,
  chunkBlocks: number,
): { block: number; summary: string; expected: string; observed: string } | undefined {
  let end = 0;
  for (const [index, { offsetLba, ranges, nextOffsetLba }] of pages.entries()) {
    const isLast = index === pages.length - 1;
    for (const { lbaStart, bitmap } of ranges) {
      const where = `range at block ${lbaStart}, page ${index}`;
      if (lbaStart % chunkBlocks !== 0)
        return {
          block: lbaStart,
          summary: `${where}: not aligned`,
          expected: `a multiple of ${chunkBlocks}`,
          observed: `${lbaStart}`,
        };
      if (lbaStart < offsetLba - (offsetLba % chunkBlocks))
        return {
          block: lbaStart,
          summary: `${where}: lies before its page`,
          expected: `a start at ${offsetLba} or after`,
          observed: `${lbaStart}`,
        };
      if (lbaStart < end)
        return {
          block: lbaStart,
          summary: `${where}: out of order, or overlaps the range before it`,
          expected: `a start at ${end} or after`,
          observed: `${lbaStart}`,
        };
      const last = lastBit(bitmap);
      if (last !== undefined && lbaStart + last >= volumeBlocks)
        return {
          block: lbaStart,
          summary: `${where}: reaches beyond the volume`,
          expected: `blocks below ${volumeBlocks}`,
          observed: `block ${lbaStart + last}`,
        };
      end = lbaStart + bitmap.length * 8;
    }
    if (isLast ? nextOffsetLba !== 0 : nextOffsetLba <= offsetLba)
      return {
        block: offsetLba,
        summary: `page ${index} does not lead on`,
        expected: isLast ? `0, or a next offset above ${offsetLba}` : `a next offset above ${offsetLba}`,
        observed: `${nextOffsetLba}`,
      };
    if (!isLast && nextOffsetLba < end)
      return {
        block: nextOffsetLba,
        summary: `page ${index} leads back into itself`,
        expected: `a next offset of ${end} or more`,
        observed: `${nextOffsetLba}`,
      };
  }
  return undefined;
}

function lastBit(bitmap: Uint8Array): number | undefined {
  for (let byte = bitmap.length - 1; byte >= 0; byte--)
    if (bitmap[byte] !== 0) return byte * 8 + 31 - Math.clz32(bitmap[byte]!);
  return undefined;
}
