/**
 * Which version each block of a volume holds: the model behind the changed-blocks suite.
 *
 * The suite writes few, large regions, one after another, so that it can afford to remember every block; a state that
 * is frozen shares with the next what was not written since.
 *
 * @packageDocumentation
 */
import { BlockSet } from "../../model/block-set.ts";
import type { BlockRange } from "../../sut/port.ts";

/** Blocks of a group, which is copied as a whole when it is written to. */
const groupBlocks = 4096;

type Group = Float64Array;

/**
 * A state of a volume, of each block: p for data written at p, −p for zeros made at p, 0 for zeros that were always
 * there, NaN if nobody knows.
 */
export class BlockVersions {
  /** What a block is that was never set. */
  readonly #first: number;
  /** Absent for a group of which no block was set. */
  readonly #groups: (Group | undefined)[];
  /** Groups that belong to this state alone. */
  readonly #own = new Set<Group>();

  /** @param first - 0 or NaN. */
  constructor(first: number, groups: readonly (Group | undefined)[] = []) {
    this.#first = first;
    this.#groups = [...groups];
  }

  /** @returns The state as it is now, which what is set from now on leaves alone. */
  freeze(): BlockVersions {
    this.#own.clear();
    return new BlockVersions(this.#first, this.#groups);
  }

  set(range: BlockRange, version: number): void {
    for (const { number, from, to } of piecesOf(range)) this.#writable(number).fill(version, from, to);
  }

  /** Sets blocks to what they are in another state. */
  copy(range: BlockRange, other: BlockVersions): void {
    for (const { number, from, to } of piecesOf(range)) {
      const theirs = other.#groups[number];
      const ours = this.#writable(number);
      if (theirs === undefined) ours.fill(other.#first, from, to);
      else ours.set(theirs.subarray(from, to), from);
    }
  }

  /** Copies the versions of consecutive blocks, as many as `into` is long. */
  read(block: number, into: Float64Array): void {
    let index = 0;
    for (const { number, from, to } of piecesOf({ block, blockCount: into.length })) {
      const group = this.#groups[number];
      if (group === undefined) into.fill(this.#first, index, index + to - from);
      else into.set(group.subarray(from, to), index);
      index += to - from;
    }
  }

  /**
   * Blocks of which this state is known to hold something else than an earlier one; zeros are like zeros, whoever made
   * them. What is written here nobody had before, so that it differs also from what is not known.
   */
  differingFrom(other: BlockVersions): BlockSet {
    const found = new BlockSet();
    for (let number = 0; number < Math.max(this.#groups.length, other.#groups.length); number++) {
      const [one, two] = [this.#groups[number], other.#groups[number]];
      if (one === two) continue;
      for (let index = 0; index < groupBlocks; index++) {
        const [a, b] = [one?.[index] ?? this.#first, two?.[index] ?? other.#first];
        if (a !== b && !Number.isNaN(a) && (a > 0 || b > 0)) found.add(number * groupBlocks + index);
      }
    }
    return found;
  }

  /** Blocks that hold data. */
  written(): BlockSet {
    return this.differingFrom(new BlockVersions(0));
  }

  #writable(number: number): Group {
    const group = this.#groups[number];
    if (group !== undefined && this.#own.has(group)) return group;
    const copy =
      group === undefined ? new Float64Array(groupBlocks).fill(this.#first) : Float64Array.from(group);
    this.#groups[number] = copy;
    this.#own.add(copy);
    return copy;
  }
}

/** A range, group by group: places in the group. */
function* piecesOf({ block, blockCount }: BlockRange) {
  for (let at = block; at < block + blockCount; ) {
    const number = Math.floor(at / groupBlocks);
    const first = number * groupBlocks;
    const to = Math.min(block + blockCount - first, groupBlocks);
    yield { number, from: at - first, to };
    at = first + to;
  }
}
