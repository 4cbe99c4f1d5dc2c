/**
 * Bugs on purpose, for a SnapshotMetadata service whose mistakes are to be found.
 *
 * A bug takes the place of an answer and is given the right one, to be sent as it is, otherwise, or not at all.
 * There is at most one in a service, and none in one that is to be trusted.
 *
 * @packageDocumentation
 */
import type { VolumeStore } from "../../store/port.ts";
import type { MetadataMessage } from "../messages.ts";
import type { MetadataQuestion } from "./answer.ts";

export interface CsiBugContext {
  readonly store: VolumeStore;
  /** The right answer to a question, this or another. */
  readonly proceed: (question: MetadataQuestion) => Iterable<MetadataMessage>;
  /** When the caller gives up, in milliseconds since 1970; infinity if it did not say. */
  readonly deadlineMs: number;
}

export type CsiBug = (
  question: MetadataQuestion,
  context: CsiBugContext,
) => Iterable<MetadataMessage> | AsyncIterable<MetadataMessage>;
