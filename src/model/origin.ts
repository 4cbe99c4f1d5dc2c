/**
 * Where the content of a block comes from: the operation of the history that wrote it, and what people call it.
 *
 * @packageDocumentation
 */
import { rngInverse } from "../generators/pcg.ts";
import { valueStream } from "../generators/streams.ts";
import type { History } from "../selectors/history.ts";
import { effectOf, ltsMax, operationAt, positionOf } from "../selectors/operations.ts";
import type { Source } from "./block-evidence.ts";
import { someZeros } from "./linearization.ts";

/** The operation that drew a value, if the history has it: it visits the extent, covers the block, writes data. */
export function originOf({ vd, address }: Source, workload: History): number | undefined {
  const { geometry, run } = workload;
  const { volume, block } = address;
  if (block >= (geometry.volumeBlocks[volume] ?? 0)) return undefined;
  const drawn = rngInverse(run.format.seed, vd, valueStream(volume, block));
  if (drawn < 1n || drawn > BigInt(positionOf(ltsMax, 254))) return undefined;
  const position = Number(drawn);
  const { lts, operationId } = operationAt(position);
  const { extent } = workload.visit(lts);
  if (extent.pd !== geometry.pdOf(volume, block)) return undefined;
  const operation = workload.operationOn(lts, block - extent.firstBlock);
  return operation?.operationId === operationId && effectOf(operation.kind) === "data" ? position : undefined;
}

/** A state of a block, for people. */
export function stateText(state: number, workload: History): string {
  if (state === 0) return "zeros: no operation ever touched the block";
  if (state === someZeros) return "zeros, made by one of several operations";
  const { lts, operationId } = operationAt(state);
  const kind = workload.operationOf(state)?.operation.kind ?? "operation";
  return state > 0
    ? `data of lts ${lts}, operation ${operationId} (${kind})`
    : `zeros, made by lts ${lts}, operation ${operationId} (${kind})`;
}

/** A block, for people. */
export function addressText({ volume, block }: Pick<Source["address"], "volume" | "block">): string {
  return `block ${block} of volume ${volume}`;
}
