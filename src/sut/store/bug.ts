/**
 * Bugs on purpose, for a store whose mistakes are to be found: where one can stand between a call and its effect.
 *
 * Each method takes the place of one step of the store and is given the right one as `proceed`, to be called as it
 * is, otherwise, later, or not at all. There is at most one bug in a store, and none in one that is to be trusted.
 *
 * @packageDocumentation
 */
import type { Layer } from "./layer.ts";
import type { Arena } from "./medium.ts";
import type { MetadataChange } from "./metadata.ts";
import type { ChangedChunks } from "./port.ts";
import type { StoreState } from "./store-state.ts";
import type { ThinSnapshot, ThinVolume } from "./thin-volume.ts";

/** Blocks of a volume. */
export interface VolumeRange {
  readonly block: number;
  readonly blockCount: number;
}

/** What a page of a diff is made from. */
export interface DiffPlan {
  /** Layers of which all that they define is told. */
  readonly layers: readonly Layer[];
  readonly snapshot: ThinSnapshot;
  /** Absent for all that the snapshot holds. */
  readonly base: ThinSnapshot | undefined;
  readonly blockCount: number;
  readonly offsetLba: number;
  readonly chunkCountMax: number;
}

/** A block that a volatile cache sends to its volume, though nobody has flushed it. */
export interface CachedBlock {
  readonly block: number;
  /** Absent if the block is zeroed. */
  readonly bytes: Uint8Array | undefined;
}

/** Ranges are checked before, sizes of buffers too. A bug must not keep or change the buffers it is given. */
export interface StoreBug {
  read?(
    volume: ThinVolume,
    request: VolumeRange & { readonly into: Uint8Array },
    proceed: (request: VolumeRange & { readonly into: Uint8Array }) => void,
  ): void;
  write?(
    volume: ThinVolume,
    request: VolumeRange & { readonly from: Uint8Array },
    proceed: (request: VolumeRange & { readonly from: Uint8Array }) => void,
  ): void;
  zero?(volume: ThinVolume, range: VolumeRange, proceed: (range: VolumeRange) => void): void;
  /** With a range, for a write with FUA; `proceed` writes back what is cached, and commits. */
  flush?(volume: ThinVolume, range: VolumeRange | undefined, proceed: () => Promise<void>): Promise<void>;
  /** Sends one block out of the volatile cache early; it leaves the cache when `proceed` is called. */
  writeBackEarly?(volume: ThinVolume, entry: CachedBlock, proceed: () => void): void;
  /** Takes a snapshot: the volume's cache is written back, and `proceed` is its point in time. */
  snapshot?(volume: ThinVolume, proceed: () => ThinSnapshot): Promise<ThinSnapshot>;
  /** Merges a layer that nobody holds into its only child; @returns the identity that is free then. */
  merge?(layer: Layer, child: Layer, proceed: () => number): number;
  /** Puts a new head on the layer of a snapshot. `abandoned` is the head until then. */
  rollback?(volume: ThinVolume, abandoned: Layer, proceed: () => void): void;
  resize?(volume: ThinVolume, blockCount: number, proceed: () => void): void;
  /** A new volume, or clone, before anyone has seen it. */
  created?(volume: ThinVolume): void;
  diff?(plan: DiffPlan, proceed: (plan: DiffPlan) => ChangedChunks): ChangedChunks;
  /** Gives a slot to write to; @returns its number. */
  allocate?(arena: Arena, proceed: () => number): number;
  /** What the journal is to keep of a commit. */
  commit?(change: MetadataChange): MetadataChange;
  /** The store was opened; with a directory there may be something of an earlier process. */
  opened?(state: StoreState, directory: string | undefined): void;
}
