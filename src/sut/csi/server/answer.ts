/**
 * Answers of the embedded target's SnapshotMetadata service, made from its store: pure, message by message.
 *
 * All refusals come before the first message, but for a snapshot that is deleted while it is read.
 *
 * @packageDocumentation
 * @see Container Storage Interface specification, "SnapshotMetadata Service RPC", for the codes of refusals.
 */
import { StatusError } from "../../control-plane/status.ts";
import { chunkBlocks, type StoredSnapshot, type VolumeStore } from "../../store/port.ts";
import type { BlockTuple, MetadataMessage } from "../messages.ts";

/** A tuple for each block, or one for each run of blocks. */
export type CsiStyle = "fixed" | "variable";

export interface MetadataQuestion {
  readonly targetId: string;
  /** `undefined` asks for what is allocated. */
  readonly baseId: string | undefined;
  readonly startingOffset: bigint;
  readonly maxResults: number;
}

/** Most tuples of a message, if fewer are not asked for. */
const messageTuplesMax = 1024;
/** Chunks that are looked up at a time. */
const pageChunks = 1024;

/** @throws {StatusError | StoreError} */
export function* answerQuestion(
  store: VolumeStore,
  style: CsiStyle,
  question: MetadataQuestion,
): Generator<MetadataMessage, void, undefined> {
  const { targetId, baseId, startingOffset, maxResults } = question;
  if (targetId === "" || baseId === "") throw new StatusError("InvalidArgument", "a snapshot id is missing");
  if (maxResults < 0) throw new StatusError("InvalidArgument", `max_results ${maxResults} is negative`);
  const target = usable(store, targetId);
  const base = baseId === undefined ? undefined : usable(store, baseId);
  if (startingOffset < 0n || startingOffset > BigInt(target.sizeBytes))
    throw new StatusError(
      "OutOfRange",
      `starting_offset ${startingOffset} is not from 0 to the snapshot's ${target.sizeBytes} bytes`,
    );
  const messageTuples = maxResults === 0 ? messageTuplesMax : Math.min(maxResults, messageTuplesMax);
  const message = (tuples: readonly BlockTuple[]): MetadataMessage => ({
    type: style === "fixed" ? "FIXED_LENGTH" : "VARIABLE_LENGTH",
    capacityBytes: target.sizeBytes,
    tuples,
  });
  let tuples: BlockTuple[] = [];
  let isFirst = true;
  for (const tuple of tuplesOf({ store, style, target, base, firstByte: Number(startingOffset) })) {
    if (tuples.length === messageTuples) {
      yield message(tuples);
      isFirst = false;
      tuples = [];
    }
    tuples.push(tuple);
  }
  // An answer without tuples has a message too: it tells type and capacity.
  if (tuples.length > 0 || isFirst) yield message(tuples);
}

interface Asked {
  readonly store: VolumeStore;
  readonly style: CsiStyle;
  readonly target: StoredSnapshot;
  readonly base: StoredSnapshot | undefined;
  readonly firstByte: number;
}

function* tuplesOf(asked: Asked): Generator<BlockTuple, void, undefined> {
  const { blockSizeBytes: size } = asked.target;
  if (asked.style === "fixed") {
    for (const block of blocksOf(asked)) yield { byteOffset: block * size, sizeBytes: size };
    return;
  }
  let first = 0;
  let past = 0;
  for (const block of blocksOf(asked)) {
    if (block !== past) {
      if (past > first) yield { byteOffset: first * size, sizeBytes: (past - first) * size };
      first = block;
    }
    past = block + 1;
  }
  if (past > first) yield { byteOffset: first * size, sizeBytes: (past - first) * size };
}

/** Blocks from the one that holds `firstByte`, ascending. */
function* blocksOf({ store, target, base, firstByte }: Asked): Generator<number, void, undefined> {
  if (firstByte === target.sizeBytes) {
    // Nothing can follow, but a question that must be refused is.
    store.changedChunks(request(target, base, 0));
    return;
  }
  const firstBlock = Math.floor(firstByte / target.blockSizeBytes);
  let offsetLba = firstBlock - (firstBlock % chunkBlocks);
  do {
    const { chunks, nextOffsetLba } = store.changedChunks(request(target, base, offsetLba));
    for (const { lbaStart, low, high } of chunks)
      for (let bit = 0; bit < chunkBlocks; bit++) {
        const isSet = ((bit < 32 ? low : high) >>> (bit % 32)) & 1;
        if (isSet === 1 && lbaStart + bit >= firstBlock) yield lbaStart + bit;
      }
    offsetLba = nextOffsetLba;
  } while (offsetLba !== 0);
}

function request(target: StoredSnapshot, base: StoredSnapshot | undefined, offsetLba: number) {
  return {
    snapshotUuid: target.uuid,
    ...(base !== undefined && { baseSnapshotUuid: base.uuid }),
    offsetLba,
    chunkCountMax: pageChunks,
  };
}

function usable(store: VolumeStore, id: string): StoredSnapshot {
  const snapshot = store.snapshot(id);
  if (snapshot?.state === "creating")
    throw new StatusError("Unavailable", `snapshot ${id} is being created; try again`);
  if (snapshot?.state !== "available") throw new StatusError("NotFound", `snapshot ${id} not found`);
  return snapshot;
}
