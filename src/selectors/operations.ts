/**
 * What the operations of a history are, and where they stand in it.
 *
 * @packageDocumentation
 */

/** Kinds of operation, in the order of their weights; the order is part of the format of a history. */
export const operationKinds = [
  "write",
  "writeFua",
  "writeZeroes",
  "deallocate",
  "deallocateTail",
  "deallocateExtent",
  "flush",
  // Fused; the compare is expected to hold.
  "compareAndWrite",
  // Fused; the compare is expected to fail, so that nothing is written.
  "compareAndWriteMiss",
] as const;
export type OperationKind = (typeof operationKinds)[number];

/** One operation of a visit. Blocks count from the start of the extent. */
export interface Operation {
  readonly kind: OperationKind;
  /** Number within the visit, 0 to 254. */
  readonly operationId: number;
  /** Operations of one batch are in flight together; batches follow one another. */
  readonly batch: number;
  readonly firstBlock: number;
  /** 0 for a flush. */
  readonly blockCount: number;
}

/** Operations per lts, plus one: positions of different lts never meet. */
export const operationsPerLtsMax = 255;

/** Highest lts: its positions are still safe integers. */
export const ltsMax = 2 ** 45 - 2;

/**
 * Position of an operation in the value streams, from 1.
 *
 * The model writes p where an operation wrote data, −p where it made zeros, and 0 where nothing ever was.
 */
export function positionOf(lts: number, operationId: number): number {
  return lts * (operationsPerLtsMax + 1) + operationId + 1;
}

/** Inverse of {@link positionOf}, for p and −p alike. */
export function operationAt(position: number): { readonly lts: number; readonly operationId: number } {
  const index = Math.abs(position) - 1;
  const lts = Math.floor(index / (operationsPerLtsMax + 1));
  return { lts, operationId: index - lts * (operationsPerLtsMax + 1) };
}

/** The lts alone of a position, for p and −p alike. */
export function ltsOf(position: number): number {
  return Math.floor((Math.abs(position) - 1) / (operationsPerLtsMax + 1));
}

/** Whether an operation leaves data, leaves zeros, or changes nothing, though it may name blocks. */
export function effectOf(kind: OperationKind): "data" | "zeros" | "none" {
  switch (kind) {
    case "write":
    case "writeFua":
    case "compareAndWrite":
      return "data";
    case "writeZeroes":
    case "deallocate":
    case "deallocateTail":
    case "deallocateExtent":
      return "zeros";
    case "flush":
    case "compareAndWriteMiss":
      return "none";
  }
}
