/**
 * What a failure folder holds, once it was read: enough to perform the run again, and to judge again what was seen.
 *
 * @packageDocumentation
 */
import type { LtsClockRecord } from "../model/lts-clock.ts";
import type { Violation } from "../model/violation.ts";
import type { Config } from "../runner/config/schema.ts";
import type { Exhibit } from "../runner/exhibit.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import type { OperationKind } from "../selectors/operations.ts";
import type { BlockRange, DeviceCapabilities, DeviceIdentity, DiffCapabilities } from "../sut/port.ts";

export interface Dump {
  /** Of the folder. */
  readonly path: string;
  /** Of harrow, when it was written. */
  readonly version: string;
  /** Bounded where the run ended. */
  readonly config: Config;
  readonly seed: bigint;
  /** What the run's objects on the target were called. */
  readonly name: string;
  /** ISO 8601; the first violation. */
  readonly startedAt: string;
  readonly failedAt: string;
  /** lts that were begun. */
  readonly ltsCount: number;
  /** The history, if it was written; otherwise it is drawn from the seed. */
  readonly plan: HistoryPlan | undefined;
  /** Of what was to be done; equal for equal histories. */
  readonly historyDigest: string;
  readonly bug: BugNote | undefined;
  /** When lts began; for `LtsClock.fromJSON`. */
  readonly clock: LtsClockRecord;
  readonly target: DumpedTarget;
  /** When the first violation was found: under way, and in doubt. */
  readonly inFlight: readonly DumpedOperation[];
  readonly inDoubt: readonly DumpedOperation[];
  /** Wrong blocks that were found beyond those explained. */
  readonly unexplainedCount: number;
  /** At least one. */
  readonly violations: readonly DumpedViolation[];
  /** What could not be dumped, or is lost since, in words. */
  readonly missing: readonly string[];
  /** What is strange about the folder and keeps nothing from being used, in words. */
  readonly warnings: readonly string[];
  /** Size and hash of files as they were written, by name. */
  readonly files: ReadonlyMap<string, FileEntry>;
  readonly images: readonly ImageEntry[];
}

export interface DumpedViolation {
  readonly violation: Violation;
  /** Reads what was seen of it; absent if nothing was kept. Rejects with a {@link DumpError}. */
  readonly exhibit: (() => Promise<Exhibit>) | undefined;
}

export interface DumpedOperation {
  readonly lts: number;
  readonly operationId: number;
  readonly kind: OperationKind;
  readonly volume: number;
  /** First block on the volume. */
  readonly block: number;
  readonly blockCount: number;
}

export interface DumpedTarget {
  readonly description: string;
  readonly kind: Config["target"]["kind"];
  readonly isLasting: boolean;
  readonly volumes: readonly DumpedVolume[];
  /** Absent for what has no diffs. */
  readonly diffCapabilities: DiffCapabilities | undefined;
}

export interface DumpedVolume {
  readonly uuid: string;
  readonly isCreated: boolean;
  readonly secondUuid?: string | undefined;
  readonly identity: DeviceIdentity;
  readonly capabilities: DeviceCapabilities;
  /** Blocks when the run was over. */
  readonly blockCount: number;
}

/** A class of the gallery that was switched on, so that it can be again. */
export interface BugNote {
  readonly class: string;
  /** Decimal. */
  readonly seed: string;
  readonly isEager: boolean;
  readonly setting: "memory" | "jittery" | "embedded";
}

/** A file of the folder, as it was written. */
export interface FileEntry {
  readonly bytes: number;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** An image of a volume or of a snapshot of it. */
export interface ImageEntry {
  /** Its name in the folder. */
  readonly file: string;
  readonly volume: number;
  /** Number of the snapshot; absent if it shows the volume as it was when the run was over. */
  readonly snapshot?: number | undefined;
  /** Blocks that could not be read, and are zeros in the image. */
  readonly unread: readonly BlockRange[];
}

/** An image that is as it was written. */
export interface DumpedImage extends ImageEntry {
  readonly path: string;
  readonly bytes: number;
}

/** Something of a failure folder can not be used; the message names the file, and says what can still be done. */
export class DumpError extends Error {
  override readonly name = "DumpError";
}
