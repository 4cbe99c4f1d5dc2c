/**
 * Where the one instant of a snapshot may lie, after all that it has shown.
 *
 * A block that shows what A wrote says: after A was submitted, and before the completion of each operation on the
 * block that was submitted after A had completed. All that is shown must leave some instant within the call's own
 * interval. If none is left, two operations contradict each other, and they are the witness: one is in the
 * snapshot, and the other is not, though it had completed before the first was submitted.
 *
 * @packageDocumentation
 */
import { contentOf, explains, type WriteInterval } from "./linearization.ts";
import type { ReadInterval } from "./operation-times.ts";

/** An open interval of events, with the operation that gave each end; 0 for the call itself. */
export interface Instants {
  readonly after: number;
  readonly before: number;
  /** State of the operation that is shown, and therefore lies before the cut. */
  readonly shown: number;
  /** State of the operation that is missing, and therefore lies after the cut. */
  readonly missing: number;
}

/** Two operations that can not be on the two sides of one instant that the snapshot puts them. */
export interface CutContradiction {
  readonly shown: number;
  readonly missing: number;
}

export class Cut {
  #instants: readonly Instants[];

  constructor(instants: readonly Instants[]) {
    this.#instants = instants;
  }

  /** Anywhere within a call. */
  static within({ submitted, completed }: { readonly submitted: number; readonly completed: number }): Cut {
    return new Cut([{ after: submitted, before: completed, shown: 0, missing: 0 }]);
  }

  /** Ascending; never empty. */
  get instants(): readonly Instants[] {
    return this.#instants;
  }

  /** All of the instants, and maybe more between them. */
  get span(): { readonly submitted: number; readonly completed: number } {
    return { submitted: this.#instants[0]!.after, completed: this.#instants.at(-1)!.before };
  }

  /**
   * Leaves only the instants at which a block could show `content`.
   *
   * @param writes - All that may show on the block.
   * @param reads - What else was seen of the block, in the same order of operations.
   * @returns The witness, if no instant would be left; then nothing changes.
   */
  narrow(
    writes: readonly WriteInterval[],
    content: number,
    reads: readonly ReadInterval[] = [],
  ): CutContradiction | undefined {
    const bySelf = instantsOf(writes, content);
    const allowed = reads.length === 0 ? bySelf : besideReads(bySelf, writes, content, reads);
    const left: Instants[] = [];
    for (const mine of this.#instants)
      for (const theirs of allowed) {
        const both = intersection(mine, theirs);
        if (both.after < both.before) left.push(both);
      }
    if (left.length > 0) {
      this.#instants = merged(left);
      return undefined;
    }
    return this.#contradiction(allowed);
  }

  /** Whether a block could show `content`, without deciding it. */
  allows(writes: readonly WriteInterval[], content: number): boolean {
    const allowed = instantsOf(writes, content);
    return this.#instants.some((mine) =>
      allowed.some((theirs) => Math.max(mine.after, theirs.after) < Math.min(mine.before, theirs.before)),
    );
  }

  /** A cut of a call that took part in the same snapshot: its instants are those of this one, within its call too. */
  alsoWithin({ submitted, completed }: { readonly submitted: number; readonly completed: number }): void {
    this.#instants = this.#instants
      .map((mine) => intersection(mine, { after: submitted, before: completed, shown: 0, missing: 0 }))
      .filter(({ after, before }) => after < before);
    if (this.#instants.length === 0) throw new Error("calls that do not overlap have no instant in common");
  }

  /** Of the disjoint pairs, the one that misses by least names the witness. */
  #contradiction(allowed: readonly Instants[]): CutContradiction {
    let best: CutContradiction = { shown: 0, missing: 0 };
    let bestGap = Number.POSITIVE_INFINITY;
    for (const mine of this.#instants)
      for (const theirs of allowed) {
        const both = intersection(mine, theirs);
        const gap = both.after - both.before;
        if (gap > bestGap) continue;
        bestGap = gap;
        best = { shown: both.shown, missing: both.missing };
      }
    return best;
  }
}

/** The instants at which a block could show a content, ascending and disjoint. */
function instantsOf(writes: readonly WriteInterval[], content: number): readonly Instants[] {
  const found: Instants[] = [];
  for (const write of writes) {
    if (contentOf(write.state) !== content) continue;
    const instants = instantsAs(writes, write);
    if (instants !== undefined) found.push(instants);
  }
  return merged(found);
}

/** The instants at which a block could show what one of its writes left. */
export function instantsAs(writes: readonly WriteInterval[], write: WriteInterval): Instants | undefined {
  let before = Number.POSITIVE_INFINITY;
  let missing = 0;
  for (const later of writes) {
    if (later === write || later.isInDoubt || later.submitted < write.completed) continue;
    if (later.completed >= before) continue;
    before = later.completed;
    missing = later.state;
  }
  return write.submitted < before
    ? { after: write.submitted, before, shown: write.state, missing }
    : undefined;
}

/** Of the instants at which a block could show a content, those at which it could in view of what reads showed. */
function besideReads(
  instants: readonly Instants[],
  writes: readonly WriteInterval[],
  content: number,
  reads: readonly ReadInterval[],
): readonly Instants[] {
  const ends = new Set<number>();
  for (const { submitted, completed } of [...writes, ...reads]) ends.add(submitted).add(completed);
  const found: Instants[] = [];
  for (const all of instants) {
    const inside = [...ends].filter((end) => end > all.after && end < all.before).sort((a, b) => a - b);
    let after = all.after;
    for (const before of [...inside, all.before]) {
      const instant = between(after, before);
      const shown = { content, submitted: instant, completed: instant, among: [] };
      if (explains(writes, [...reads, shown])) found.push({ ...all, after, before });
      after = before;
    }
  }
  return found;
}

function between(after: number, before: number): number {
  if (after === Number.NEGATIVE_INFINITY) return before === Number.POSITIVE_INFINITY ? 0 : before - 0.25;
  return before === Number.POSITIVE_INFINITY ? after + 0.25 : (after + before) / 2;
}

function intersection(a: Instants, b: Instants): Instants {
  return {
    ...(a.after >= b.after ? { after: a.after, shown: a.shown } : { after: b.after, shown: b.shown }),
    ...(a.before <= b.before
      ? { before: a.before, missing: a.missing }
      : { before: b.before, missing: b.missing }),
  };
}

/** Joins intervals that overlap. */
function merged(instants: readonly Instants[]): readonly Instants[] {
  const sorted = [...instants].sort((a, b) => a.after - b.after);
  const result: Instants[] = [];
  for (const next of sorted) {
    const last = result.at(-1);
    // No instant is that of an event, so intervals that meet in one are one.
    if (last === undefined || next.after > last.before) result.push(next);
    else if (next.before > last.before)
      result[result.length - 1] = { ...last, before: next.before, missing: next.missing };
  }
  return result;
}
