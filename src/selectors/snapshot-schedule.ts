/**
 * When snapshots are taken, how long each lives, and which one each descends from.
 *
 * Snapshot n comes after the lts n·every + jitter(n). It lives for lifetime(n) further snapshots, drawn between 1
 * and 2·keep, so some die young, some in the middle of the chain, and `keep` are alive on average. Whether a
 * snapshot is alive can be asked of any two numbers, without a list.
 *
 * A rollback ends the steps of a snapshot n: the volumes go back to a snapshot r that is then alive, and r, not n,
 * is the parent of n + 1. The content of n + 1 is that of its parent and what the visits between n and n + 1 did.
 * Snapshots of the branch that was left live on for their lifetime.
 *
 * Whatever is asked about one snapshot takes O(keep) draws. A walk along ancestors takes as many for each rollback
 * that it passes, and ends with the snapshot asked for, or with the oldest that may be alive.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import { purposes } from "../generators/streams.ts";
import { drawChance, type Ratio } from "./draws.ts";
import type { SizeSchedule } from "./size-schedule.ts";

export interface SnapshotOptions {
  readonly run: RunKernel;
  readonly sizes: SizeSchedule;
  /** lts between snapshots, on average; 0 takes none. */
  readonly every: number;
  /** Snapshots alive at a time, on average, at least 1. */
  readonly keep: number;
  /** Chance that a snapshot is taken under load; never if left out. */
  readonly hot?: Ratio;
  /** Chance of a rollback after a snapshot; never if left out. */
  readonly rollback?: Ratio;
}

export class SnapshotSchedule {
  readonly #options: SnapshotOptions;

  constructor(options: SnapshotOptions) {
    if (options.every !== 0 && options.every < 2)
      throw new RangeError(`a snapshot every ${options.every} lts: expected 0 (none), or 2 and more`);
    this.#options = options;
  }

  /** The lts after which a snapshot is taken. */
  ltsOf(snapshot: number): number {
    const { every, run } = this.#options;
    const jitter = run.draw(snapshot + 1, purposes.snapshotJitter, 0, Math.max(1, every >> 1));
    return snapshot * every + jitter;
  }

  /** The snapshot that follows an lts, if one does. */
  snapshotAfter(lts: number): number | undefined {
    if (this.#options.every === 0) return undefined;
    const snapshot = Math.floor(lts / this.#options.every);
    return this.ltsOf(snapshot) === lts ? snapshot : undefined;
  }

  /** Whether a snapshot is taken while operations are in flight. */
  isHot(snapshot: number): boolean {
    const { run, hot } = this.#options;
    return drawChance(run, { position: snapshot + 1, purpose: purposes.snapshotHot }, hot);
  }

  /** The snapshot with whose steps this one is deleted. */
  lastSeen(snapshot: number): number {
    const { keep, run } = this.#options;
    return snapshot + 1 + run.draw(snapshot + 1, purposes.snapshotLifetime, 0, 2 * keep);
  }

  /** Snapshots alive once all steps that follow snapshot n are done, ascending; none for n = −1. */
  aliveAfter(snapshot: number): readonly number[] {
    return this.#since(snapshot - 2 * this.#options.keep, snapshot).filter(
      (other) => this.lastSeen(other) > snapshot,
    );
  }

  /** Snapshots that are deleted with the steps of snapshot n, ascending. */
  deletedWith(snapshot: number): readonly number[] {
    return this.#since(snapshot - 2 * this.#options.keep, snapshot - 1).filter(
      (other) => this.lastSeen(other) === snapshot,
    );
  }

  /** Snapshots that were deleted before snapshot n, ascending; those of long ago are left out. */
  goneBefore(snapshot: number): readonly number[] {
    return this.#since(snapshot - 4 * this.#options.keep, snapshot - 1).filter(
      (other) => this.lastSeen(other) < snapshot,
    );
  }

  /**
   * The snapshot to which the volumes go back once all other steps of snapshot n are done, if they do: any that is
   * then alive and was taken at the size that the volumes have, n itself included.
   */
  rollbackAfter(snapshot: number): number | undefined {
    const { run, rollback, sizes } = this.#options;
    const position = snapshot + 1;
    if (!drawChance(run, { position, purpose: purposes.rollback }, rollback)) return undefined;
    const grown = sizes.stepCountAt(this.ltsOf(snapshot));
    const candidates = this.aliveAfter(snapshot).filter(
      (other) => sizes.stepCountAt(this.ltsOf(other)) === grown,
    );
    return candidates[run.draw(position, purposes.rollback, 1, candidates.length)];
  }

  /** The snapshot that the volumes last were equal to before the writes that lead to this one; none for number 0. */
  parentOf(snapshot: number): number | undefined {
    return snapshot === 0 ? undefined : (this.rollbackAfter(snapshot - 1) ?? snapshot - 1);
  }

  /** Whether a walk from parent to parent leads from `snapshot` to `ancestor`; no snapshot is its own ancestor. */
  isAncestor(ancestor: number, snapshot: number): boolean {
    let walked = this.parentOf(snapshot);
    // Parents have lower numbers, so this ends after at most snapshot − ancestor steps.
    while (walked !== undefined && walked > ancestor) walked = this.parentOf(walked);
    return walked === ancestor;
  }

  /** Ancestors that are alive when a snapshot is taken, ascending; the last is its parent, which always is. */
  aliveAncestorsOf(snapshot: number): readonly number[] {
    const alive: number[] = [];
    const oldest = snapshot - 2 * this.#options.keep;
    for (
      let walked = this.parentOf(snapshot);
      walked !== undefined && walked >= oldest;
      walked = this.parentOf(walked)
    )
      if (this.lastSeen(walked) >= snapshot) alive.push(walked);
    return alive.reverse();
  }

  #since(first: number, last: number): readonly number[] {
    const start = Math.max(0, first);
    return Array.from({ length: Math.max(0, last + 1 - start) }, (_, index) => start + index);
  }
}
