/**
 * Whole answers, taken in and bounded, and how a question that may be refused ended.
 *
 * @packageDocumentation
 */
import type { CsiSnapshotMetadata, MetadataCallOptions } from "../../sut/csi/client.ts";
import type { BlockMetadataType, BlockTuple, MetadataMessage } from "../../sut/csi/messages.ts";
import { CsiRefusal } from "../../sut/csi/refusal.ts";
import type { GrpcCodeName } from "../../sut/lightbits/grpc-status.ts";
import { ServiceError } from "../../sut/port.ts";

/** Asks for what changed since a base, or, without one, for what is allocated. */
export interface Question {
  readonly targetId: string;
  readonly baseId?: string | undefined;
  readonly startingOffset?: number | bigint;
  readonly maxResults?: number;
}

export interface Answer {
  readonly messages: readonly MetadataMessage[];
  readonly tuples: readonly BlockTuple[];
  /** Of the first message; `undefined` if there was none. */
  readonly type: BlockMetadataType | undefined;
  readonly capacityBytes: number | undefined;
}

/** What one answer may hold, so that one without end is noticed before memory is full. */
const tuplesMax = 4_000_000;
const messagesMax = 1_000_000;

export function ask(client: CsiSnapshotMetadata, question: Question, options?: MetadataCallOptions) {
  const { targetId, baseId, ...position } = question;
  return baseId === undefined
    ? client.metadataAllocated({ snapshotId: targetId, ...position }, options)
    : client.metadataDelta({ baseId, targetId, ...position }, options);
}

/** @throws {ServiceError} If it was refused, broke off, or has no end. */
export async function collect(
  client: CsiSnapshotMetadata,
  question: Question,
  options?: MetadataCallOptions,
): Promise<Answer> {
  const messages: MetadataMessage[] = [];
  let tupleCount = 0;
  for await (const message of ask(client, question, options)) {
    messages.push(message);
    tupleCount += message.tuples.length;
    if (tupleCount > tuplesMax || messages.length > messagesMax)
      throw new ServiceError(
        "ERR_BAD_ANSWER",
        `${questionText(question)}: no end within ${messages.length} messages and ${tupleCount} tuples`,
      );
  }
  const [first] = messages;
  return {
    messages,
    tuples: messages.flatMap(({ tuples }) => tuples),
    type: first?.type,
    capacityBytes: first?.capacityBytes,
  };
}

export type QuestionEnd =
  | { readonly kind: "answered"; readonly answer: Answer }
  | { readonly kind: "refused"; readonly code: GrpcCodeName; readonly message: string };

/** @throws {ServiceError} If it neither was answered nor ended with a status of the service. */
export async function endOf(
  client: CsiSnapshotMetadata,
  question: Question,
  options?: MetadataCallOptions,
): Promise<QuestionEnd> {
  try {
    return { kind: "answered", answer: await collect(client, question, options) };
  } catch (error) {
    if (!(error instanceof CsiRefusal)) throw error;
    return { kind: "refused", code: error.grpcCode, message: error.message };
  }
}

export function questionText({ targetId, baseId, startingOffset = 0, maxResults = 0 }: Question): string {
  const what = baseId === undefined ? `allocated(${targetId})` : `delta(${baseId} → ${targetId})`;
  const from = BigInt(startingOffset) === 0n ? "" : ` from ${startingOffset}`;
  return `${what}${from}${maxResults === 0 ? "" : ` with max_results ${maxResults}`}`;
}
