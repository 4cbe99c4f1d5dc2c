/**
 * What a SnapshotMetadata service is asked and answers, in the words of this project, and how an answer is read.
 *
 * Reading checks only that a message is one: numbers fit and types are known. Whether order, sizes and bounds are
 * right is for those to say who judge the service.
 *
 * @packageDocumentation
 */
import { z } from "zod";
import { ServiceError } from "../port.ts";

/** How tuples are cut: all of one size, or as long as they happen to be. */
export type BlockMetadataType = "UNKNOWN" | "FIXED_LENGTH" | "VARIABLE_LENGTH";

/** A range that holds data, or has changed. Both may be negative, as far as the wire goes. */
export interface BlockTuple {
  readonly byteOffset: number;
  readonly sizeBytes: number;
}

/** One message of an answer. */
export interface MetadataMessage {
  readonly type: BlockMetadataType;
  readonly capacityBytes: number;
  readonly tuples: readonly BlockTuple[];
}

interface Position {
  /** Byte to start from, from -2^63 to 2^63 - 1; 0 if absent. */
  readonly startingOffset?: number | bigint;
  /** Most tuples in one message, from -2^31 to 2^31 - 1; 0, or absent, leaves it to the service. */
  readonly maxResults?: number;
}

export interface AllocatedQuestion extends Position {
  readonly snapshotId: string;
}

export interface DeltaQuestion extends Position {
  readonly baseId: string;
  readonly targetId: string;
}

/** Longest run of numbers, in characters, that 64 bits may need. */
const int64 = z.string().regex(/^-?\d{1,19}$/);

const wireMessage = z.object({
  block_metadata_type: z.union([z.enum(["UNKNOWN", "FIXED_LENGTH", "VARIABLE_LENGTH"]), z.int()]),
  volume_capacity_bytes: int64,
  block_metadata: z.array(z.object({ byte_offset: int64, size_bytes: int64 })),
});

/**
 * Reads a message as protobuf gives it, with numbers of 64 bits as text.
 *
 * @param where - What it belongs to, for messages.
 * @throws {ServiceError} `ERR_BAD_ANSWER`.
 */
export function readMessage(where: string, message: unknown): MetadataMessage {
  const read = wireMessage.safeParse(message);
  if (!read.success) throw bad(`${where}: not a message of this service: ${read.error.issues[0]?.message}`);
  const { block_metadata_type: type, volume_capacity_bytes, block_metadata } = read.data;
  if (typeof type === "number")
    throw bad(
      `${where}: block_metadata_type ${type} is none of 0 (UNKNOWN), 1 (FIXED_LENGTH), 2 (VARIABLE_LENGTH)`,
    );
  return {
    type,
    capacityBytes: exact(`${where}: volume_capacity_bytes`, volume_capacity_bytes),
    tuples: block_metadata.map(({ byte_offset, size_bytes }, index) => ({
      byteOffset: exact(`${where}: byte_offset of tuple ${index}`, byte_offset),
      sizeBytes: exact(`${where}: size_bytes of tuple ${index}`, size_bytes),
    })),
  };
}

/** A number that is not rounded: offsets of 8 PiB and more are refused. */
function exact(what: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value)) return value;
  throw bad(`${what} is ${text}: at most 2^53 - 1 can be told exactly, and no volume is that large`);
}

function bad(message: string): ServiceError {
  return new ServiceError("ERR_BAD_ANSWER", message);
}
