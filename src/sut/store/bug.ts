/**
 * Bugs on purpose, for a store whose mistakes are to be found: where one can stand between a call and its effect.
 *
 * Each method takes the place of one step of the store and is given the right one as `proceed`, to be called as it
 * is, otherwise, later, or not at all. There is at most one bug in a store, and none in one that is to be trusted.
 *
 * @packageDocumentation
 */
import type { Layer } from "./layer.ts";
import type { ArenaBug } from "./medium.ts";
import type { MetadataChange } from "./metadata.ts";
import type { ChangedChunks } from "./port.ts";
import type { StoreState } from "./store-state.ts";
import type { ThinSnapshot, ThinVolume, VolumeBug } from "./thin-volume.ts";

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

/** Ranges are checked before, sizes of buffers too. A bug must not keep or change the buffers it is given. */
export interface StoreBug extends VolumeBug, ArenaBug {
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
  /** What the journal is to keep of a commit. */
  commit?(change: MetadataChange): MetadataChange;
  /** The store was opened; with a directory there may be something of an earlier process. */
  opened?(state: StoreState, directory: string | undefined): void;
}
