/**
 * When clones are made and deleted.
 *
 * With the steps of snapshot n at most one clone is made, and its number is n. Its parent is any snapshot that is
 * alive at that time; the clone may outlive it. Clone n is checked and deleted with the steps of one of the next
 * three snapshots.
 *
 * @packageDocumentation
 */
import type { RunKernel } from "../generators/kernel.ts";
import { purposes } from "../generators/streams.ts";
import { drawChance, type Ratio } from "./draws.ts";
import type { SnapshotSchedule } from "./snapshot-schedule.ts";

const lifetimeMax = 3;

export class CloneSchedule {
  readonly #run: RunKernel;
  readonly #snapshots: SnapshotSchedule;
  readonly #chance: Ratio | undefined;

  /** @param chance - Of a clone after a snapshot; none is ever made if left out. */
  constructor(run: RunKernel, snapshots: SnapshotSchedule, chance?: Ratio) {
    this.#run = run;
    this.#snapshots = snapshots;
    this.#chance = chance;
  }

  /** The parent of a clone; `undefined` if no clone has this number. */
  snapshotOf(clone: number): number | undefined {
    const position = clone + 1;
    if (!drawChance(this.#run, { position, purpose: purposes.clone }, this.#chance)) return undefined;
    const candidates = [...this.#snapshots.aliveAfter(clone - 1), clone];
    return candidates[this.#run.draw(position, purposes.clone, 1, candidates.length)];
  }

  /** Clones alive once all steps that follow snapshot n are done, ascending. */
  aliveAfter(snapshot: number): readonly number[] {
    return this.#madeBy(snapshot, (lastSeen) => lastSeen > snapshot);
  }

  /** Clones that are deleted with the steps of snapshot n, ascending. */
  deletedWith(snapshot: number): readonly number[] {
    return this.#madeBy(snapshot, (lastSeen) => lastSeen === snapshot);
  }

  #madeBy(snapshot: number, isMeant: (lastSeen: number) => boolean): readonly number[] {
    const clones: number[] = [];
    if (this.#chance === undefined) return clones;
    for (let clone = Math.max(0, snapshot - lifetimeMax); clone <= snapshot; clone++)
      if (isMeant(this.#lastSeen(clone)) && this.snapshotOf(clone) !== undefined) clones.push(clone);
    return clones;
  }

  /** The snapshot with whose steps a clone is deleted. */
  #lastSeen(clone: number): number {
    return clone + 1 + this.#run.draw(clone + 1, purposes.cloneLifetime, 0, lifetimeMax);
  }
}
