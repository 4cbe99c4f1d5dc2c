/**
 * Simpler forms of an operation or a read: of fewer blocks, of a plainer kind.
 *
 * @packageDocumentation
 */
import type { BlockSpan } from "../../selectors/block-selector.ts";
import type { Operation } from "../../selectors/operations.ts";

/** Kinds of which there is a plainer one that leaves the same. */
const plainer: Partial<Record<Operation["kind"], Operation["kind"]>> = {
  writeFua: "write",
  compareAndWrite: "write",
  deallocateTail: "deallocate",
  deallocateExtent: "deallocate",
};

/**
 * @param focus - Blocks that the failure is about, counted as those of the operation.
 * @returns The simplest first; none if there is none simpler.
 */
export function simplerOperations(operation: Operation, focus: readonly number[] = []): readonly Operation[] {
  const kind = plainer[operation.kind];
  const kinds = kind === undefined ? [operation] : [{ ...operation, kind }, operation];
  // A tail or an extent is no longer one when a part of it goes.
  const isCut = operation.kind !== "deallocateTail" && operation.kind !== "deallocateExtent";
  const shorter = isCut ? shorterSpans(operation, focus) : [];
  return [
    ...(kind === undefined ? [] : shorter.map((span) => ({ ...operation, kind, ...span }))),
    ...kinds.slice(0, -1),
    ...shorter.map((span) => ({ ...operation, ...span })),
  ];
}

/** Spans inside of one, the shortest first: one block, then halves, then all but one. */
export function shorterSpans(
  { firstBlock, blockCount }: BlockSpan,
  focus: readonly number[] = [],
): readonly BlockSpan[] {
  if (blockCount <= 1) return [];
  const end = firstBlock + blockCount;
  const half = Math.floor(blockCount / 2);
  const inside = focus.filter((block) => block >= firstBlock && block < end);
  const spans: readonly BlockSpan[] = [
    ...inside.map((block) => ({ firstBlock: block, blockCount: 1 })),
    { firstBlock, blockCount: 1 },
    { firstBlock: end - 1, blockCount: 1 },
    { firstBlock, blockCount: blockCount - half },
    { firstBlock: firstBlock + half, blockCount: blockCount - half },
    { firstBlock, blockCount: blockCount - 1 },
    { firstBlock: firstBlock + 1, blockCount: blockCount - 1 },
  ];
  const known = new Set<string>();
  return spans.filter((span) => {
    const key = `${span.firstBlock}+${span.blockCount}`;
    return !known.has(key) && known.add(key);
  });
}
