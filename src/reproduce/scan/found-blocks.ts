/**
 * What lies in the blocks of a volume, as far as the bytes say it by themselves: eight bytes a block.
 *
 * Each block has a code: above 0 the position that wrote it, whole and in its own place; 0 for zeros; below 0 what
 * {@link codes} names, or the number of a mark, which says where a misplaced or foreign block belongs. Pages of the
 * table whose blocks are all zeros are never touched, and cost nothing.
 *
 * @packageDocumentation
 */
import { surveyCodes } from "../../generators/kernel.ts";

export const codes = {
  ...surveyCodes,
  /** The device could not read it. */
  unreadable: -6,
  /** Damaged, and its bytes were not kept: there are too many such blocks. */
  unseen: -7,
} as const;

/** Code of mark 0; that of mark n is n below. */
const firstMark = -16;

/** Where the content of a block belongs. */
export type Mark = MisplacedMark | ForeignMark;

interface MisplacedMark {
  readonly kind: "misplaced";
  readonly volume: number;
  /** Number of the block that it belongs to, less that of the block in which it lies. */
  readonly distance: number;
  /** That wrote it; absent if no operation can have, or there are too many marks. */
  readonly position: number | undefined;
}

interface ForeignMark {
  readonly kind: "foreign";
  readonly runId: bigint;
  readonly volume: number;
  readonly distance: number;
}

/** Marks that are told apart; a block beyond has the code of its kind alone. */
const marksMax = 2 ** 16;
/** Damaged blocks of which the bytes are kept. */
const keptMax = 4096;
/** Blocks of one table: 2 GiB of memory, if all of them hold data. */
const foundBlocksMax = 2 ** 28;

export class FoundBlocks {
  readonly firstBlock: number;
  /** By block, from the first. */
  readonly codes: Float64Array;
  readonly #marks: Mark[] = [];
  readonly #marksByName = new Map<string, number>();
  readonly #kept = new Map<number, Uint8Array>();

  /** @throws {RangeError} If there are more than 2^28 blocks. */
  constructor({ firstBlock, blockCount }: { readonly firstBlock: number; readonly blockCount: number }) {
    if (blockCount > foundBlocksMax)
      throw new RangeError(
        `${blockCount} blocks: at most ${foundBlocksMax} can be looked at together, as each takes 8 bytes of memory`,
      );
    this.firstBlock = firstBlock;
    this.codes = new Float64Array(blockCount);
  }

  get blockCount(): number {
    return this.codes.length;
  }

  put(block: number, code: number): void {
    this.codes[block - this.firstBlock] = code;
  }

  /** Keeps the bytes of a damaged block, while there is room; they are copied. */
  putDamaged(block: number, bytes: Uint8Array): void {
    const isKept = this.#kept.size < keptMax;
    if (isKept) this.#kept.set(block, bytes.slice());
    this.put(block, isKept ? codes.damaged : codes.unseen);
  }

  putMarked(block: number, mark: Mark): void {
    this.put(block, this.#codeOf(mark));
  }

  bytesOf(block: number): Uint8Array | undefined {
    return this.#kept.get(block);
  }

  /** The mark that a code stands for; absent for any other code. */
  markOf(code: number): Mark | undefined {
    return code > firstMark ? undefined : this.#marks[firstMark - code];
  }

  /** Runs that foreign blocks name; one in most cases. */
  get foreignRuns(): ReadonlySet<bigint> {
    return new Set(this.#marks.flatMap((mark) => (mark.kind === "foreign" ? [mark.runId] : [])));
  }

  #codeOf(mark: Mark): number {
    const last = mark.kind === "misplaced" ? mark.position : mark.runId;
    const name = `${mark.kind} ${mark.volume} ${mark.distance} ${last}`;
    let number = this.#marksByName.get(name);
    if (number === undefined) {
      if (this.#marks.length === marksMax) return surveyCodes[mark.kind];
      number = this.#marks.push(mark) - 1;
      this.#marksByName.set(name, number);
    }
    return firstMark - number;
  }
}
