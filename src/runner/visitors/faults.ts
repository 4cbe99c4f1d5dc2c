/**
 * Puts the target to trouble, and looks at what was at stake when it crashed.
 *
 * @packageDocumentation
 */
import type { Extent } from "../../selectors/geometry.ts";
import type { FaultStep } from "../../selectors/fault-schedule.ts";
import { operationAt } from "../../selectors/operations.ts";
import { delay } from "../../sut/clock.ts";
import type { TargetFaults } from "../../sut/target-faults.ts";
import { asked } from "../asked.ts";
import { checkVolumes } from "../extent-checks.ts";
import type { Run } from "../run.ts";
import { TargetFailure } from "../target-failure.ts";
import type { SnapshotShelf } from "./shelf.ts";

/** Extents that are read after a crash, of those with something at stake. */
const extentsCheckedMax = 128;

export class FaultVisitor {
  readonly #run: Run;
  readonly #shelf: SnapshotShelf;
  /** While the target is slow: until which lts. */
  #slowUntilLts = -1;
  #isCrashing = false;

  constructor(run: Run, shelf: SnapshotShelf) {
    this.#run = run;
    this.#shelf = shelf;
  }

  async perform(step: FaultStep, lts: number): Promise<void> {
    const { faults } = this.#run.target;
    if (faults === undefined) return;
    switch (step.kind) {
      case "crash":
        return this.#crash(faults);
      case "resetConnections":
        await faults.resetConnections();
        break;
      case "cutConnections":
        await faults.setCut(true);
        await delay(this.#run.clock, step.durationMs, undefined);
        await faults.setCut(false);
        break;
      case "slow":
        await faults.setDelay(step.delayMs);
        this.#slowUntilLts = lts + step.ltsCount;
        break;
    }
    this.#run.ledger.count("connectionFaults");
  }

  /** Ends what was to last until an lts; a target that starts again is not slow any more. */
  async settle(lts: number): Promise<void> {
    if (this.#slowUntilLts < 0 || lts < this.#slowUntilLts || this.#isCrashing) return;
    this.#slowUntilLts = -1;
    try {
      await this.#run.target.faults?.setDelay(0);
    } catch (error) {
      if (!this.#isCrashing) throw error;
    }
  }

  /** Ends all trouble. */
  async finish(): Promise<void> {
    await this.settle(Number.POSITIVE_INFINITY);
  }

  /** No visit begins until all is read that was at stake: it would write over what the crash has damaged. */
  #crash(faults: TargetFaults): Promise<void> {
    return this.#run.activity.holdingBack(() => this.#crashAndLook(faults));
  }

  async #crashAndLook(faults: TargetFaults): Promise<void> {
    const { activity, ledger, config } = this.#run;
    let lost: readonly number[] = [];
    await activity.throughUpheaval(async () => {
      lost = await this.#goDown(faults);
    });
    ledger.count("crashes");
    ledger.count("operationsNotDurable", lost.length);
    if (!config.checks.durability) return;
    await this.#expectSnapshots();
    const extents = this.#atStake(lost);
    for (const extent of extents) ledger.unproven(extent);
    await checkVolumes(this.#run, extents, { rule: "durability" });
    if (extents.length < extentsCheckedMax) ledger.count("crashesChecked");
  }

  /** @returns Operations that need not be there any more. */
  async #goDown(faults: TargetFaults): Promise<readonly number[]> {
    const { config, tracker, durability, target, unequal, workload } = this.#run;
    // Flushes that complete while the target goes down and comes back may be of either process: they prove nothing.
    durability.suspend(tracker.lastEvent);
    // Killed from here on, the next process must know what may be lost.
    const inFlight = [...tracker.recentTimes()].filter(
      ({ completed }) => completed === Number.POSITIVE_INFINITY,
    );
    const atStake = [...durability.atStake(), ...inFlight].map(({ position, submitted, completed }) => ({
      position,
      submitted,
      completed: Math.min(completed, tracker.lastEvent),
    }));
    this.#run.recorder?.putDocument("intent", { kind: "crash", atStake });
    this.#run.recorder?.commitDurably();
    this.#isCrashing = true;
    await faults.crash();
    this.#isCrashing = false;
    this.#slowUntilLts = -1;
    for (const volume of target.volumes.keys())
      if (!(await this.#run.fence(volume)))
        throw new TargetFailure(`volume ${volume} can not be reached after the target crashed and came back`);
    const crashEvent = tracker.crashed();
    const lost = durability.crashed();
    for (const operation of lost) {
      tracker.lose(operation.position, crashEvent, operation);
      // Two volumes need not lose the same.
      const found = workload.operationOf(operation.position);
      if (config.checks.secondVolume && found !== undefined) unequal.add(found.extent, found.operation);
    }
    this.#run.recorder?.putDocument("intent", null);
    this.#run.recorder?.commitDurably();
    this.#run.crashLts = tracker.ltsStartedMax;
    this.#run.visible.forget();
    return lost.map(({ position }) => position);
  }

  /** Extents with operations that were not durable, or in doubt, or among the last. */
  #atStake(positions: readonly number[]): readonly Extent[] {
    const { workload, tracker } = this.#run;
    const pds = new Set<number>();
    for (const position of [...positions].reverse()) pds.add(workload.window.pd(operationAt(position).lts));
    const newest = tracker.ltsStartedMax;
    for (let lts = newest; lts >= 0 && lts > newest - 64; lts--) pds.add(workload.window.pd(lts));
    return [...pds].slice(0, extentsCheckedMax).map((pd) => workload.geometry.extent(pd));
  }

  /** A snapshot that was acknowledged is still there. */
  async #expectSnapshots(): Promise<void> {
    const { target, tracker } = this.#run;
    const there = await asked("listing snapshots after a crash", target.service.listSnapshots());
    const uuids = new Set(there.filter(({ state }) => state === "available").map(({ uuid }) => uuid));
    for (const snapshot of this.#shelf.alive)
      for (const { uuid, name, record } of this.#shelf.volumesOf(snapshot)) {
        if (uuids.has(uuid)) continue;
        this.#run.violation({
          rule: "durability",
          class: "lost-snapshot",
          summary: `snapshot ${name} was acknowledged, and is gone after a crash of the target`,
          volume: record.volume,
          block: 0,
          blockCount: 1,
          snapshot,
          ltsMax: tracker.ltsStartedMax,
          expected: `snapshot ${name} (${uuid}), available`,
          observed: `${there.length} snapshots, and not this one`,
          operations: [],
        });
      }
  }
}
