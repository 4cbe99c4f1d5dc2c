/**
 * A set of blocks of one volume, as sparse bitmaps.
 *
 * Costs what it holds: one small bitmap per 1024 blocks of which any is in the set.
 *
 * @packageDocumentation
 */
const groupBlocks = 1024;

/** Consecutive blocks. */
export interface BlockRun {
  readonly block: number;
  readonly blockCount: number;
}

export class BlockSet {
  readonly #groups = new Map<number, Uint8Array>();
  #size = 0;

  /** Blocks in the set. */
  get size(): number {
    return this.#size;
  }

  add(block: number): void {
    const bits = this.#group(Math.floor(block / groupBlocks));
    const at = block % groupBlocks;
    const mask = 1 << (at & 7);
    if ((bits[at >> 3]! & mask) !== 0) return;
    bits[at >> 3]! |= mask;
    this.#size++;
  }

  addRun({ block, blockCount }: BlockRun): void {
    for (let next = block; next < block + blockCount; next++) this.add(next);
  }

  has(block: number): boolean {
    const at = block % groupBlocks;
    const bits = this.#groups.get(Math.floor(block / groupBlocks));
    return bits !== undefined && (bits[at >> 3]! & (1 << (at & 7))) !== 0;
  }

  /** The blocks of this set that another lacks, as runs, ascending. */
  *minus(other: BlockSet): Generator<BlockRun> {
    let run: { block: number; blockCount: number } | undefined;
    for (const block of this.blocks()) {
      if (other.has(block)) continue;
      if (run !== undefined && run.block + run.blockCount === block) {
        run.blockCount++;
        continue;
      }
      if (run !== undefined) yield run;
      run = { block, blockCount: 1 };
    }
    if (run !== undefined) yield run;
  }

  /** All blocks, ascending. */
  *blocks(): Generator<number> {
    for (const group of [...this.#groups.keys()].sort((a, b) => a - b)) {
      const bits = this.#groups.get(group)!;
      for (let byte = 0; byte < bits.length; byte++)
        for (let rest = bits[byte]!; rest !== 0; rest &= rest - 1)
          yield group * groupBlocks + byte * 8 + (31 - Math.clz32(rest & -rest));
    }
  }

  /** All blocks, as runs, ascending. */
  runs(): Generator<BlockRun> {
    return this.minus(new BlockSet());
  }

  /** The set with every run widened to whole units of `unitBlocks`, within a volume of `blockCountMax` blocks. */
  rounded(unitBlocks: number, blockCountMax: number): BlockSet {
    if (unitBlocks === 1) return this;
    const rounded = new BlockSet();
    for (const block of this.blocks()) {
      if (rounded.has(block)) continue;
      const first = block - (block % unitBlocks);
      rounded.addRun({ block: first, blockCount: Math.min(unitBlocks, blockCountMax - first) });
    }
    return rounded;
  }

  equals(other: BlockSet): boolean {
    return this.#size === other.#size && this.minus(other).next().done === true;
  }

  #group(number: number): Uint8Array {
    let bits = this.#groups.get(number);
    if (bits === undefined) this.#groups.set(number, (bits = new Uint8Array(groupBlocks / 8)));
    return bits;
  }
}
