/**
 * Answers to changed-block questions, as a target gives them.
 *
 * @packageDocumentation
 */
import type { AnswerPage } from "../../src/model/diff-contract.ts";

/** One page with a chunk of 64 blocks for each that has a block of the set. */
export function answer(blocks: Iterable<number>): AnswerPage {
  const chunks = new Map<number, Uint8Array>();
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const lbaStart = block - (block % 64);
    if (!chunks.has(lbaStart)) chunks.set(lbaStart, new Uint8Array(8));
    chunks.get(lbaStart)![(block % 64) >> 3]! |= 1 << (block & 7);
  }
  return {
    offsetLba: 0,
    ranges: [...chunks].map(([lbaStart, bitmap]) => ({ lbaStart, bitmap })),
    nextOffsetLba: 0,
  };
}
