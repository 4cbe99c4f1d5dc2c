/**
 * Keeps reads off the blocks that are being written, and writes off those that are being read.
 *
 * Through the page cache Linux copies to and from a page without a lock, so that a read may find half of a block
 * as it was and half as it is being written, which no device would show. Past the page cache it is the device that
 * orders requests, and nothing is held back.
 *
 * @packageDocumentation
 */
import type { BlockRange } from "../port.ts";

interface Waiting extends BlockRange {
  readonly isRead: boolean;
  /** Those that came before, and have to leave first. */
  aheadCount: number;
  readonly behind: Waiting[];
  enter: () => void;
}

export class ReadWriteOrder {
  readonly #present = new Set<Waiting>();

  /**
   * Does work on blocks as soon as no request that came before, and may not overlap with it, is under way.
   *
   * Writes do not wait for writes: how overlapping ones mix is the kernel's affair.
   */
  async inOrder<T>({ block, blockCount }: BlockRange, isRead: boolean, work: () => Promise<T>): Promise<T> {
    const own: Waiting = { block, blockCount, isRead, aheadCount: 0, behind: [], enter: () => {} };
    for (const other of this.#present)
      if (other.isRead !== isRead && overlaps(other, own)) {
        other.behind.push(own);
        own.aheadCount += 1;
      }
    this.#present.add(own);
    try {
      if (own.aheadCount > 0) await new Promise<void>((resolve) => (own.enter = resolve));
      return await work();
    } finally {
      this.#present.delete(own);
      for (const next of own.behind) {
        next.aheadCount -= 1;
        if (next.aheadCount === 0) next.enter();
      }
    }
  }
}

function overlaps(one: BlockRange, other: BlockRange): boolean {
  return one.block < other.block + other.blockCount && other.block < one.block + one.blockCount;
}
