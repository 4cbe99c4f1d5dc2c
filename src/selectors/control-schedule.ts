/**
 * When snapshots are taken and deleted, and which pairs are diffed: a pure function of lts.
 *
 * Snapshot n comes after the lts n·every + jitter(n). It lives for lifetime(n) further snapshots, drawn between 1
 * and 2·keep, so some die young, some in the middle of the chain, and `keep` are alive on average. Whether a
 * snapshot is alive can be asked of any two numbers, without a list.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import { type Purpose, purposes } from "../generators/streams.ts";

export interface ControlOptions {
  readonly run: RunKernel;
  /** lts between snapshots, on average; 0 takes none. */
  readonly every: number;
  /** Snapshots alive at a time, on average, at least 1. */
  readonly keep: number;
  /** Chances of further diffs after a snapshot, beside the one with the snapshot before it. */
  readonly far: Ratio;
  readonly withoutBase: Ratio;
  /** Chance of asking for a diff with a base that was deleted: the answer must be an error. */
  readonly deletedBase: Ratio;
}

export interface Ratio {
  readonly numerator: number;
  readonly denominator: number;
}

/** A step of the control plane; snapshots go by number, from 0. */
export type ControlStep =
  | { readonly kind: "snapshot"; readonly snapshot: number }
  | { readonly kind: "diff"; readonly snapshot: number; readonly base: number | undefined }
  | { readonly kind: "diffDeletedBase"; readonly snapshot: number; readonly base: number }
  | { readonly kind: "deleteSnapshot"; readonly snapshot: number };

export class ControlSchedule {
  readonly #options: ControlOptions;

  constructor(options: ControlOptions) {
    if (options.every !== 0 && options.every < 2)
      throw new RangeError(`a snapshot every ${options.every} lts: expected 0 (none), or 2 and more`);
    this.#options = options;
  }

  /** What follows the visit at an lts, in order. */
  stepsAfter(lts: number): readonly ControlStep[] {
    const snapshot = this.#snapshotAfter(lts);
    if (snapshot === undefined) return [];
    const steps: ControlStep[] = [{ kind: "snapshot", snapshot }];
    if (snapshot > 0) steps.push({ kind: "diff", snapshot, base: snapshot - 1 });
    const alive = this.aliveAfter(snapshot - 1).filter((other) => other < snapshot - 1);
    const far = this.#chosen(purposes.diffFar, snapshot, this.#options.far, alive);
    if (far !== undefined) steps.push({ kind: "diff", snapshot, base: far });
    if (this.#chosen(purposes.diffWithoutBase, snapshot, this.#options.withoutBase, [snapshot]) !== undefined)
      steps.push({ kind: "diff", snapshot, base: undefined });
    const gone = this.#goneBefore(snapshot);
    const deleted = this.#chosen(purposes.diffDeletedBase, snapshot, this.#options.deletedBase, gone);
    if (deleted !== undefined) steps.push({ kind: "diffDeletedBase", snapshot, base: deleted });
    for (let other = Math.max(0, snapshot - 2 * this.#options.keep); other < snapshot; other++)
      if (this.#lastSeen(other) === snapshot) steps.push({ kind: "deleteSnapshot", snapshot: other });
    return steps;
  }

  /** The lts after which a snapshot is taken. */
  ltsOf(snapshot: number): number {
    const { every } = this.#options;
    return snapshot * every + this.#draw(purposes.snapshotJitter, snapshot, Math.max(1, every >> 1));
  }

  /** Snapshots alive once all steps that follow snapshot n are done, ascending. */
  aliveAfter(snapshot: number): readonly number[] {
    const alive: number[] = [];
    for (let other = Math.max(0, snapshot - 2 * this.#options.keep); other <= snapshot; other++)
      if (this.#lastSeen(other) > snapshot) alive.push(other);
    return alive;
  }

  #snapshotAfter(lts: number): number | undefined {
    if (this.#options.every === 0) return undefined;
    const snapshot = Math.floor(lts / this.#options.every);
    return this.ltsOf(snapshot) === lts ? snapshot : undefined;
  }

  /** The snapshot with whose steps this one is deleted. */
  #lastSeen(snapshot: number): number {
    return snapshot + 1 + this.#draw(purposes.snapshotLifetime, snapshot, 2 * this.#options.keep);
  }

  #goneBefore(snapshot: number): readonly number[] {
    const gone: number[] = [];
    for (let other = Math.max(0, snapshot - 4 * this.#options.keep); other < snapshot; other++)
      if (this.#lastSeen(other) < snapshot) gone.push(other);
    return gone;
  }

  /** With the chance of `ratio`, one of the candidates. */
  #chosen(
    purpose: Purpose,
    snapshot: number,
    ratio: Ratio,
    candidates: readonly number[],
  ): number | undefined {
    if (this.#draw(purpose, snapshot, ratio.denominator) >= ratio.numerator) return undefined;
    return candidates[this.#draw(purpose, snapshot, Math.max(1, candidates.length), 1)];
  }

  /** One stream per purpose and `choice`, in which each snapshot has its place. */
  #draw(purpose: Purpose, snapshot: number, bound: number, choice = 0): number {
    return this.#options.run.draw(snapshot + 1, purpose, choice, bound);
  }
}
