/**
 * Does what the control schedule says: snapshots and what follows from them, resizes, trouble.
 *
 * @packageDocumentation
 */
import type { ControlStep } from "../../selectors/control-schedule.ts";
import type { Run } from "../run.ts";
import { stepWords } from "../step-words.ts";
import { CloneVisitor } from "./clones.ts";
import { DiffVisitor } from "./diffs.ts";
import { FaultVisitor } from "./faults.ts";
import { SnapshotShelf } from "./shelf.ts";
import { SnapshotVisitor } from "./snapshots.ts";
import { SyncVisitor } from "./sync.ts";
import { resize, rollback } from "./volumes.ts";

export class ControlVisitor {
  readonly shelf: SnapshotShelf;
  readonly snapshots: SnapshotVisitor;
  readonly faults: FaultVisitor;
  readonly #run: Run;
  readonly #diffs: DiffVisitor;
  readonly #clones: CloneVisitor;
  readonly #sync: SyncVisitor;

  constructor(run: Run) {
    this.#run = run;
    this.shelf = new SnapshotShelf(run);
    this.snapshots = new SnapshotVisitor(run, this.shelf);
    this.faults = new FaultVisitor(run, this.shelf);
    this.#diffs = new DiffVisitor(run, this.shelf, this.snapshots);
    this.#clones = new CloneVisitor(run, this.shelf, this.snapshots);
    this.#sync = new SyncVisitor(run, this.shelf);
  }

  /** Performs a step, and logs it; how it ended is the caller's business. */
  async perform(lts: number, step: ControlStep): Promise<void> {
    const { operationLog, tracker } = this.#run;
    const { kind } = step;
    const logged = operationLog.beginStep({
      ...{ lts, kind },
      words: stepWords(step),
      submittedEvent: tracker.event(),
    });
    let outcome = "ok";
    try {
      await this.#perform(lts, step);
    } catch (error) {
      outcome = error instanceof Error ? error.message : String(error);
      throw error;
    } finally {
      operationLog.endStep(logged, { event: tracker.event(), outcome });
    }
  }

  #perform(lts: number, step: ControlStep): Promise<void> {
    switch (step.kind) {
      case "snapshot":
        return this.snapshots.take(step.snapshot, { lts, isHot: step.isHot });
      case "diff":
        return this.#diffs.ask(step.snapshot, step.base, step);
      case "diffDeletedBase":
        return this.#diffs.askDeleted(step.snapshot, step.base);
      case "deleteSnapshot":
        return this.snapshots.delete(step.snapshot);
      case "clone":
        return this.#clones.make(step.clone, step.snapshot);
      case "checkClone":
        return this.#clones.check(step.clone);
      case "deleteClone":
        return this.#clones.delete(step.clone);
      case "sync":
        return this.#sync.sync(step.snapshot, step.base);
      case "rollback":
        return rollback(this.#run, this.shelf, step.snapshot);
      case "resize":
        return resize(this.#run, step);
      case "crash":
      case "resetConnections":
      case "cutConnections":
      case "slow":
        return this.faults.perform(step, lts);
      case "custom":
        return step.perform();
    }
  }

  /** The last look at what the run has made beside its volumes and snapshots, which is then removed. */
  async finish(): Promise<void> {
    await this.faults.finish();
    await this.#clones.finish();
    await this.#sync.finish();
  }
}
