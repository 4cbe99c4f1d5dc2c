/**
 * A real execution of a drawn history: every operation has chosen its instants.
 *
 * Times here are raw: distinct, but with gaps between. `arbitrary.ts` numbers the events when all is done.
 * The device knows its medium and its cache, and nothing of the rules that the oracles hold.
 *
 * @packageDocumentation
 */
import type { Drawn, DrawnHistory, DrawnWrite } from "./drawn.ts";
import {
  type Address,
  type Flush,
  isOptional,
  precedes,
  type Read,
  type Timed,
  touches,
  type Write,
} from "./history.ts";

/** Raw time of one drawn tick; every event of a history has a place of its own in each. */
export const tick = 1024;

/** A number in [0, 1) that depends on all parts. */
export function mixed(...parts: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const part of parts) {
    hash = Math.imul(hash ^ part, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    hash ^= hash >>> 16;
  }
  return (hash >>> 0) / 2 ** 32;
}

export interface ScheduledWrite extends Write {
  readonly volume: number;
  readonly fua: boolean;
  /** From 0, distinct. Of two writes on one block, one that completed before the other began has the lower. */
  readonly lts: number;
}

interface ExecutedWrite extends ScheduledWrite {
  readonly salt: number;
}

type TimedFlush = Flush & { readonly volume: number; readonly salt: number };

export class Execution {
  readonly volumeCount: number;
  readonly blockCount: number;
  /** All blocks of all volumes. */
  readonly blocks: readonly Required<Address>[];
  readonly writes: readonly ExecutedWrite[];
  readonly reads: readonly (Read & { readonly volume: number })[];
  /** What has no end may take effect after it. */
  readonly #horizon: number;
  #placesTaken = 0;

  constructor({ volumeCount, blockCount, writes, reads }: DrawnHistory, overlap: boolean) {
    this.volumeCount = volumeCount;
    this.blockCount = blockCount;
    this.blocks = Array.from({ length: volumeCount * blockCount }, (_, index) => ({
      volume: Math.floor(index / blockCount),
      block: index % blockCount,
    }));
    this.writes = this.#schedule(writes, overlap);
    const ends = this.writes.map(({ completed }) => completed).filter(Number.isFinite);
    this.#horizon = Math.max(100 * tick, ...ends);
    this.reads = reads.map((read) => {
      const { volume, block } = read;
      const { submitted, completed } = this.interval(read);
      const instant = this.instantOf({ submitted, completed, salt: read.salt }, read);
      return { volume, block, content: this.contentAt(read, instant), submitted, completed };
    });
  }

  /** Puts something on the time line, at events of its own. */
  interval({ start, length }: Pick<Drawn, "start" | "length">): Timed {
    const submitted = start * tick + this.#placesTaken++;
    return { submitted, completed: (start + length) * tick + this.#placesTaken++ };
  }

  /**
   * Those with an earlier start come first. Without overlap a write waits for the completion, or the fence, of
   * any older one on its blocks, and is left out if that never comes.
   */
  #schedule(drawn: readonly DrawnWrite[], overlap: boolean): ExecutedWrite[] {
    const writes: Omit<ExecutedWrite & DrawnWrite, "lts">[] = [];
    for (const one of [...drawn].sort((a, b) => a.start - b.start)) {
      const older = overlap ? [] : writes.filter((write) => sharesBlock(write, one));
      const start = Math.max(one.start, ...older.map(({ completed }) => Math.floor(completed / tick) + 1));
      if (!Number.isFinite(start)) continue;
      const { submitted, completed } = this.interval({ start, length: one.length });
      const id = writes.length + 1;
      writes.push({
        ...one,
        id,
        content: one.isZeros ? 0 : id,
        submitted,
        completed: one.isLasting ? Number.POSITIVE_INFINITY : completed,
        outcome: one.isInDoubt ? "inDoubt" : "ok",
        // There is no FUA of a deallocation.
        fua: one.isFua && !(one.isZeros && one.isAdvice),
        isAdvice: one.isZeros && one.isAdvice,
      });
    }
    const left = new Set(writes);
    const done: ExecutedWrite[] = [];
    while (left.size > 0) {
      const next = [...left]
        .filter((write) => ![...left].some((older) => sharesBlock(older, write) && precedes(older, write)))
        .reduce((best, write) => (write.priority < best.priority ? write : best));
      left.delete(next);
      const { id, volume, blocks, content, submitted, completed, outcome, fua, isAdvice, salt } = next;
      done.push({
        id,
        volume,
        blocks,
        content,
        submitted,
        completed,
        outcome,
        fua,
        isAdvice,
        salt,
        lts: done.length,
      });
    }
    return done.sort((one, other) => one.submitted - other.submitted);
  }

  /** The instant that something chose, on a block; a call that spans blocks chooses one for `everywhere`. */
  instantOf(
    { submitted, completed, salt }: Timed & { readonly salt: number },
    { volume = 0, block }: Address,
  ): number {
    const end = Number.isFinite(completed)
      ? completed
      : Math.max(2 * this.#horizon - submitted, submitted + 1);
    return submitted + (end - submitted) * (mixed(salt, volume, block) + 2 ** -33);
  }

  /** What took effect on a block, oldest first. One write in two that need not never does, block by block. */
  effects({ volume = 0, block }: Address): { readonly instant: number; readonly write: ExecutedWrite }[] {
    const at = { volume, block };
    return this.writes
      .filter((write) => touches(write, at))
      .filter((write) => !isOptional(write) || mixed(write.salt, volume, block, 1) < 0.5)
      .map((write) => ({ write, instant: this.instantOf(write, at) }))
      .sort((one, other) => one.instant - other.instant);
  }

  /** Advice to a block, whether it took effect or not. */
  advice({ volume = 0, block }: Address): { readonly instant: number; readonly write: ExecutedWrite }[] {
    const at = { volume, block };
    return this.writes
      .filter((write) => write.isAdvice && touches(write, at))
      .map((write) => ({ write, instant: this.instantOf(write, at) }));
  }

  contentAt(at: Address, instant: number): number {
    return this.effects(at).findLast((effect) => effect.instant < instant)?.write.content ?? 0;
  }

  /**
   * What a block holds after a crash. Writes with FUA, and all where there is no cache, are on the medium from
   * their instant; the others from that of a flush, or when the cache found time to write them there.
   */
  contentAfterCrash(
    at: Required<Address>,
    crash: {
      readonly crashAt: number;
      readonly hasVolatileCache: boolean;
      readonly flushes: readonly TimedFlush[];
    },
  ): number {
    const flushed = crash.flushes
      .filter(({ volume }) => volume === at.volume)
      .map((flush) => this.instantOf(flush, everywhere))
      .filter((instant) => instant < crash.crashAt);
    let medium = 0;
    for (const { write, instant } of this.effects(at)) {
      if (instant > crash.crashAt) break;
      const isFlushed = flushed.some((flush) => flush > instant);
      const isDestaged = mixed(write.salt, at.volume, at.block, 2) < 0.5;
      if (!crash.hasVolatileCache || write.fua || isFlushed || isDestaged) medium = write.content;
    }
    return medium;
  }

  /** Every content that was meant for a block, in the order of submission, zeros first. */
  contentsFor(at: Address): number[] {
    const meant = this.writes.filter((write) => touches(write, at)).map(({ content }) => content);
    return [...new Set([0, ...meant])];
  }
}

/** Stands for all blocks where a call takes effect on all of them at once. */
export const everywhere: Address = { block: 0 };

const sharesBlock = (
  one: Pick<DrawnWrite, "volume" | "blocks">,
  other: Pick<DrawnWrite, "volume" | "blocks">,
): boolean =>
  one.volume === other.volume &&
  one.blocks[0] < other.blocks[0] + other.blocks[1] &&
  other.blocks[0] < one.blocks[0] + one.blocks[1];
