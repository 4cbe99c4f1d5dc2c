/**
 * What is kept of what was seen when a rule broke, so that it can be looked at, and judged, again.
 *
 * @packageDocumentation
 */
import type { AnswerPage } from "../model/diff-contract.ts";
import type { WrongBlock } from "../model/content-checker.ts";

export type Exhibit = BlockExhibit | DiffExhibit;

/** A block that was read and is wrong. */
export interface BlockExhibit {
  readonly kind: "block";
  /** The block as it was read; its length is one block. */
  readonly found: Uint8Array;
  /** As it was read again, the last time; absent if it was not, or could not be. */
  readonly reread?: Uint8Array | undefined;
  /** States that the block may be in, the newest first; see `WrongBlock.allowed`. */
  readonly allowed: readonly number[];
  /** Number of the volume whose content the states have, if it is not that of the violation: a clone's own. */
  readonly contentVolume?: number | undefined;
  /** How it was judged; absent if what is wrong is no matter of what the block holds by itself. */
  readonly judged?: JudgedRange | undefined;
}

/** All that was read together with a wrong block, and as what. */
export interface JudgedRange {
  /** Where the bytes are from. */
  readonly place: "volume" | "snapshot" | "clone" | "copy";
  readonly pd: number;
  /** Blocks read, counted from the start of the extent. */
  readonly firstBlock: number;
  readonly bytes: Uint8Array;
  /** The wrong block, counted from the start of the extent. */
  readonly block: number;
  /** Number of the snapshot that was to show, if it was one, or what was made of one. */
  readonly snapshot?: number | undefined;
  /**
   * As of which lts, if it was the volume, at rest. With a snapshot's bytes: the volume shows the same wrong block,
   * and was judged in its place.
   */
  readonly ltsMax?: number | undefined;
  /** The volume was read while operations went on: what it could show can not be worked out any more. */
  readonly isLive: boolean;
  readonly provenBefore: boolean;
  readonly wasProven: boolean;
}

/** Answers to a question for a diff. */
export interface DiffExhibit {
  readonly kind: "diff";
  readonly volume: number;
  readonly snapshot: number;
  /** Absent for a diff without base. */
  readonly base?: number | undefined;
  readonly pages: readonly AnswerPage[];
  /** The answer when it was asked again; absent if it was not. */
  readonly again?: readonly AnswerPage[];
  /** The base had been deleted, so that any answer is wrong. */
  readonly isBaseDeleted: boolean;
  /** Answers over the steps of the span, if it was compared with them: blocks of all of them, ascending. */
  readonly reportedByParts?: readonly number[];
}

/** What was read beside a wrong block is kept up to this many bytes. */
const rangeBytesMax = 4 * 2 ** 20;

/** Blocks that were read together, still in the buffer that they were read to. */
export interface ReadBlocks {
  /** Counted from the start of the extent. */
  readonly firstBlock: number;
  readonly blockCount: number;
  readonly bytes: Uint8Array;
}

/** Keeps what was read of an extent, once for all of its wrong blocks, and only if there are any. */
export class RangeKeeper {
  readonly #read: ReadBlocks;
  readonly #blockSizeBytes: number;
  #all: Uint8Array | undefined;

  constructor(read: ReadBlocks, blockSizeBytes: number) {
    this.#read = read;
    this.#blockSizeBytes = blockSizeBytes;
  }

  /** A copy of all that was read or, if that is too long, of as much of it around a block as is kept. */
  around({ block }: Pick<WrongBlock, "block">): Pick<JudgedRange, "firstBlock" | "bytes" | "block"> {
    const { firstBlock, blockCount, bytes } = this.#read;
    const size = this.#blockSizeBytes;
    const most = Math.floor(rangeBytesMax / size);
    if (blockCount <= most) {
      this.#all ??= bytes.slice(0, blockCount * size);
      return { firstBlock, bytes: this.#all, block };
    }
    const end = firstBlock + blockCount;
    const first = Math.min(Math.max(firstBlock, block - Math.floor(most / 2)), end - most);
    const from = (first - firstBlock) * size;
    return { firstBlock: first, bytes: bytes.slice(from, from + most * size), block };
  }
}
