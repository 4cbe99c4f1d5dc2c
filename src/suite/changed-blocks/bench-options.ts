/**
 * What a workbench is made of.
 *
 * @packageDocumentation
 */
import type { BlockDevice, VolumeService } from "../../sut/port.ts";
import type { Content } from "./content.ts";
import type { KnownSnapshot } from "./diff-judge.ts";
import type { Layout } from "./layout.ts";
import type { SourceMemory } from "./source-memory.ts";

/** A volume of the suite, open. */
export interface SuiteVolume {
  readonly uuid: string;
  readonly device: BlockDevice;
  /** It was made for the suite: whatever it holds, the suite wrote. */
  readonly wasEmpty: boolean;
  /** Where programs of this host find it, if they do: a block device, or a file. */
  readonly path?: string;
}

export interface BenchOptions {
  readonly service: VolumeService;
  readonly source: SuiteVolume;
  readonly target: SuiteVolume;
  readonly layout: Layout;
  readonly memory: SourceMemory;
  readonly content: Content;
  /** Before the names of snapshots: tells runs and tests apart. */
  readonly prefix: string;
  readonly signal: AbortSignal;
}

/** A snapshot of the source. */
export interface SuiteSnapshot extends KnownSnapshot {
  readonly uuid: string;
  readonly name: string;
}
