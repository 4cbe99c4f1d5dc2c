/**
 * What the control plane is asked after an lts, and what befalls the target: a pure function of lts.
 *
 * The order is fixed: a snapshot, its diffs, its sync, old clones and a new one, deletions of snapshots, a
 * rollback; then a resize; then faults. When each of them is due is the business of the schedule of its kind.
 *
 * @packageDocumentation
 */
import { type Purpose, purposes } from "../generators/streams.ts";
import { CloneSchedule } from "./clone-schedule.ts";
import { drawChance, type Ratio } from "./draws.ts";
import { type FaultOptions, FaultSchedule, type FaultStep } from "./fault-schedule.ts";
import type { ResizeStep } from "./size-schedule.ts";
import { type SnapshotOptions, SnapshotSchedule } from "./snapshot-schedule.ts";

/** Chances left out are none. */
export interface ControlOptions extends SnapshotOptions {
  /** Chances of further diffs after a snapshot, beside the one with its parent. */
  readonly far: Ratio;
  readonly withoutBase: Ratio;
  /** Chance of asking for a diff with a base that was deleted: the answer must be an error. */
  readonly deletedBase: Ratio;
  /** Chance of a clone after a snapshot. */
  readonly clones?: Ratio;
  /** Every how many snapshots one is synced, from number 0 on; 0 or left out syncs none. */
  readonly syncEvery?: number;
  readonly faults?: FaultOptions;
}

/** Something to do between two lts. Snapshots go by number, from 0; a clone by the snapshot it is made with. */
export type ControlStep = SnapshotStep | ResizeStep | FaultStep | CustomStep;

/** Something that whoever wrote the history does by himself. */
interface CustomStep {
  readonly kind: "custom";
  readonly label: string;
  readonly perform: () => Promise<void>;
}

/** A step that follows a snapshot. */
export type SnapshotStep =
  /** `isHot`: while operations are in flight. */
  | { readonly kind: "snapshot"; readonly snapshot: number; readonly isHot: boolean }
  /** The base is an ancestor; `isFar`: not the parent. */
  | {
      readonly kind: "diff";
      readonly snapshot: number;
      readonly base: number | undefined;
      readonly isFar: boolean;
    }
  | { readonly kind: "diffDeletedBase"; readonly snapshot: number; readonly base: number }
  /** Copy what differs from the base, which the copy now equals; without base, copy all. */
  | { readonly kind: "sync"; readonly snapshot: number; readonly base: number | undefined }
  /** Make a clone and write to it. */
  | { readonly kind: "clone"; readonly clone: number; readonly snapshot: number }
  | { readonly kind: "checkClone"; readonly clone: number }
  | { readonly kind: "deleteClone"; readonly clone: number }
  | { readonly kind: "deleteSnapshot"; readonly snapshot: number }
  /** All volumes go back to the snapshot. */
  | { readonly kind: "rollback"; readonly snapshot: number };

export class ControlSchedule {
  readonly snapshots: SnapshotSchedule;
  readonly clones: CloneSchedule;
  readonly #options: ControlOptions;
  readonly #faults: FaultSchedule;

  constructor(options: ControlOptions) {
    const { run, clones, faults } = options;
    this.#options = options;
    this.snapshots = new SnapshotSchedule(options);
    this.clones = new CloneSchedule(run, this.snapshots, clones);
    this.#faults = new FaultSchedule(run, faults);
  }

  /** What follows the visit at an lts, in order. */
  stepsAfter(lts: number): readonly ControlStep[] {
    const snapshot = this.snapshots.snapshotAfter(lts);
    const resize = this.#options.sizes.stepAfter(lts);
    return [
      ...(snapshot === undefined ? [] : this.#stepsOf(snapshot)),
      ...(resize === undefined ? [] : [resize]),
      ...this.#faults.stepsAfter(lts),
    ];
  }

  #stepsOf(snapshot: number): SnapshotStep[] {
    const { snapshots, clones } = this;
    const steps: SnapshotStep[] = [{ kind: "snapshot", snapshot, isHot: snapshots.isHot(snapshot) }];
    this.#addDiffs(steps, snapshot);
    this.#addSync(steps, snapshot);
    for (const clone of clones.deletedWith(snapshot))
      steps.push({ kind: "checkClone", clone }, { kind: "deleteClone", clone });
    const parent = clones.snapshotOf(snapshot);
    if (parent !== undefined) steps.push({ kind: "clone", clone: snapshot, snapshot: parent });
    for (const other of snapshots.deletedWith(snapshot))
      steps.push({ kind: "deleteSnapshot", snapshot: other });
    const target = snapshots.rollbackAfter(snapshot);
    if (target !== undefined) steps.push({ kind: "rollback", snapshot: target });
    return steps;
  }

  #addDiffs(steps: SnapshotStep[], snapshot: number): void {
    const { snapshots } = this;
    const ancestors = snapshots.aliveAncestorsOf(snapshot);
    const parent = ancestors.at(-1);
    if (parent !== undefined) steps.push({ kind: "diff", snapshot, base: parent, isFar: false });
    const far = this.#chosen(purposes.diffFar, snapshot, this.#options.far, ancestors.slice(0, -1));
    if (far !== undefined) steps.push({ kind: "diff", snapshot, base: far, isFar: true });
    const { withoutBase, deletedBase } = this.#options;
    if (
      drawChance(
        this.#options.run,
        { position: snapshot + 1, purpose: purposes.diffWithoutBase },
        withoutBase,
      )
    )
      steps.push({ kind: "diff", snapshot, base: undefined, isFar: false });
    const gone = snapshots.goneBefore(snapshot);
    const deleted = this.#chosen(purposes.diffDeletedBase, snapshot, deletedBase, gone);
    if (deleted !== undefined) steps.push({ kind: "diffDeletedBase", snapshot, base: deleted });
  }

  /** The base is the snapshot that was synced last, as long as it is alive and an ancestor. */
  #addSync(steps: SnapshotStep[], snapshot: number): void {
    const { syncEvery = 0 } = this.#options;
    if (syncEvery === 0 || snapshot % syncEvery !== 0) return;
    const last = snapshot - syncEvery;
    const isBase = this.snapshots.aliveAncestorsOf(snapshot).includes(last);
    steps.push({ kind: "sync", snapshot, base: isBase ? last : undefined });
  }

  /** With the given chance, one of the candidates, if there are any. */
  #chosen(
    purpose: Purpose,
    snapshot: number,
    chance: Ratio,
    candidates: readonly number[],
  ): number | undefined {
    const { run } = this.#options;
    const position = snapshot + 1;
    if (!drawChance(run, { position, purpose }, chance)) return undefined;
    return candidates[run.draw(position, purpose, 1, Math.max(1, candidates.length))];
  }
}
