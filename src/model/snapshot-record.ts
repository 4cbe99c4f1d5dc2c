/**
 * What the model keeps of a snapshot: which operations are in it for certain, and which its cut may have split.
 *
 * @packageDocumentation
 */
import type { Cut } from "./cut.ts";
import type { OperationTimes } from "./operation-times.ts";

export interface SnapshotRecord {
  /** Number of the snapshot, from 0. */
  readonly snapshot: number;
  readonly volume: number;
  readonly name: string;
  /** The lts at which the history takes it. */
  readonly lts: number;
  /** Events of the call: the cut lies between them. */
  readonly submittedEvent: number;
  readonly completedEvent: number;
  /** All at and below this lts had completed, or was fenced, when the call was submitted. */
  readonly ltsBefore: number;
  /** Nothing above this lts was submitted before the call completed. */
  readonly ltsMax: number;
  /** Positions above `ltsBefore` that had completed when the call was submitted. */
  readonly inside: ReadonlySet<number>;
  /** Operations under way, or in doubt, at some time of the call: each may be in it or not, block by block. */
  readonly open: ReadonlyMap<number, OperationTimes>;
  /** What was shown, for good, of blocks for which that was open: a state, by block of the volume. */
  readonly shown: Map<number, number>;
  /** Where the cut may lie, after all that was shown. Shared by snapshots that are to be of one instant. */
  readonly cut: Cut;
  /** Rollbacks of the volume before it. */
  readonly branch: number;
}
