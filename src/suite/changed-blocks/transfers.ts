/**
 * Transfers to a device, several in flight.
 *
 * @packageDocumentation
 */
import type { BlockRange, Outcome } from "../../sut/port.ts";
import { type Content, transferBytes } from "./content.ts";

/** Does some work on every piece of some ranges, each with a buffer of its own. */
export async function inPieces(
  ranges: readonly BlockRange[],
  { buffers, blockSizeBytes }: Content,
  signal: AbortSignal,
  work: (piece: BlockRange, buffer: Content["buffers"][number]) => Promise<void>,
): Promise<void> {
  const pieces = allPieces(ranges, transferBytes / blockSizeBytes);
  const lane = async (buffer: Content["buffers"][number]): Promise<void> => {
    for (const piece of pieces) {
      signal.throwIfAborted();
      await work(piece, buffer);
    }
  };
  for (const result of await Promise.allSettled(buffers.map(lane)))
    if (result.status === "rejected") throw result.reason;
}

export function expectOk(outcome: Outcome, what: string): void {
  if (outcome.kind !== "ok") throw new Error(`${what}: ${outcome.message} (${outcome.code})`);
}

/** One after the other, whoever asks; it does not end when one of them does. */
function allPieces(ranges: readonly BlockRange[], blocksMax: number): Iterable<BlockRange> {
  const pieces = ranges.flatMap((range) => [...piecesOf(range, blocksMax)]);
  let next = 0;
  return {
    [Symbol.iterator]: () => ({
      next: () => {
        const value = pieces[next++];
        return value === undefined ? { done: true, value } : { done: false, value };
      },
    }),
  };
}

export function* piecesOf(
  { block, blockCount }: BlockRange,
  blocksMax: number,
): Generator<BlockRange, void, undefined> {
  for (let at = block; at < block + blockCount; at += blocksMax)
    yield { block: at, blockCount: Math.min(blocksMax, block + blockCount - at) };
}
