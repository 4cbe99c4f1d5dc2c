/**
 * What a failure folder holds, once it was read: enough to perform the run again, and to judge again what was seen.
 *
 * @packageDocumentation
 */
import type { Violation } from "../model/violation.ts";
import type { Config } from "../runner/config/schema.ts";
import type { Exhibit } from "../runner/exhibit.ts";
import type { RunMemory } from "../runner/run-store.ts";
import type { HistoryPlan } from "../selectors/history-builder.ts";
import type { DeviceCapabilities, DeviceIdentity, DiffCapabilities } from "../sut/port.ts";
import type { BugNote } from "./failure-folder.ts";

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
  /** lts that were begun. */
  readonly ltsCount: number;
  /** The history, if it was written; otherwise it is drawn from the seed. */
  readonly plan: HistoryPlan | undefined;
  readonly bug: BugNote | undefined;
  readonly target: DumpedTarget;
  /** At least one. */
  readonly violations: readonly DumpedViolation[];
  /** What could not be dumped, in words. */
  readonly missing: readonly string[];
}

export interface DumpedViolation {
  readonly violation: Violation;
  /** Reads what was seen of it; absent if nothing was kept. */
  readonly exhibit: (() => Promise<Exhibit>) | undefined;
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

/** What the model knew when the run was over, as a run that goes on takes it up. */
export type DumpedMemory = RunMemory;

/** Something of a failure folder can not be used; the message names the file, and says what can still be done. */
export class DumpError extends Error {
  override readonly name = "DumpError";
}
