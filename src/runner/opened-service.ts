/**
 * An open volume service, whatever system it is of.
 *
 * @packageDocumentation
 */
import type { VolumeService } from "../sut/port.ts";
import type { TargetFaults } from "../sut/target-faults.ts";

/** Disposing it closes the service, and ends a target that was started for it. */
export interface OpenedService extends AsyncDisposable {
  readonly service: VolumeService;
  /** For people: which system, and where. */
  readonly description: string;
  /** The way to put it to trouble; absent if it can not be. */
  readonly faults: TargetFaults | undefined;
  /** Why it is gone for good, once it is. */
  readonly failure: string | undefined;
  /** Leaves what disposing would remove: it holds the evidence. */
  keep?(): void;
}
