/**
 * Takes snapshots, checks their content, asks for their diffs and deletes them, as the schedule says.
 *
 * @packageDocumentation
 */
import type { AnswerPage, DiffQuestion } from "../../model/diff-checker.ts";
import type { Violation } from "../../model/violation.ts";
import type { ControlStep } from "../../selectors/control-schedule.ts";
import type { Extent } from "../../selectors/geometry.ts";
import { type DiffPage, ServiceError, type Snapshot } from "../../sut/port.ts";
import type { Run } from "../run.ts";
import { TargetFailure } from "../target-failure.ts";
import { reachedExtents, recentExtents } from "./validate.ts";

/** A snapshot of one volume on the target. */
interface Taken {
  readonly uuid: string;
  readonly name: string;
  /** Extents that were read from it and found right. */
  readonly proven: Set<number>;
}

export class SnapshotVisitor {
  readonly #run: Run;
  /** By number, then by volume; deleted ones stay, for questions about deleted bases. */
  readonly #taken = new Map<number, readonly Taken[]>();
  readonly #alive = new Set<number>();

  constructor(run: Run) {
    this.#run = run;
  }

  get aliveCount(): number {
    return this.#alive.size;
  }

  /** Names of what is on the target. */
  get namesAlive(): readonly string[] {
    return [...this.#alive].flatMap((snapshot) => this.#taken.get(snapshot)!.map(({ name }) => name));
  }

  async perform(lts: number, step: ControlStep): Promise<void> {
    switch (step.kind) {
      case "snapshot":
        return this.#take(step.snapshot, lts);
      case "diff":
        return this.#diff(step.snapshot, step.base);
      case "diffDeletedBase":
        return this.#diffDeletedBase(step.snapshot, step.base);
      case "deleteSnapshot":
        return this.#delete(step.snapshot);
    }
  }

  /** Checks every snapshot alive: all of its extents, against the cut. */
  async checkAllAlive(): Promise<void> {
    for (const snapshot of this.#alive) {
      if (this.#run.isOver) return;
      await this.#check(snapshot, [...reachedExtents(this.#run, this.#ltsMax(snapshot))]);
    }
  }

  /** Removes what is left on the target; what can not be removed is said, and stays in the list. */
  async deleteAllAlive(): Promise<void> {
    for (const snapshot of [...this.#alive]) {
      try {
        for (const { uuid } of this.#taken.get(snapshot)!)
          await this.#run.target.service.deleteSnapshot(uuid);
        this.#alive.delete(snapshot);
      } catch (error) {
        this.#run.log.warn(
          `snapshot ${snapshot} stays: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    }
  }

  async #take(snapshot: number, lts: number): Promise<void> {
    const { target, tracker, ledger } = this.#run;
    const taken: Taken[] = [];
    this.#taken.set(snapshot, taken);
    for (const [volume, { uuid: volumeUuid }] of target.volumes.entries()) {
      const name = `${this.#run.name}-v${volume}-s${snapshot}`;
      const submittedEvent = tracker.event();
      const { uuid }: Snapshot = await asked(
        `creating snapshot ${name}`,
        target.service.createSnapshot({ name, volumeUuid }),
      );
      tracker.addSnapshot({
        snapshot,
        volume,
        name,
        ltsMax: lts,
        submittedEvent,
        completedEvent: tracker.event(),
      });
      taken.push({ uuid, name, proven: new Set() });
      this.#alive.add(snapshot);
      ledger.snapshotTaken();
    }
    const since = snapshot === 0 ? 0 : this.#ltsMax(snapshot - 1) + 1;
    await this.#check(
      snapshot,
      this.#extentsToCheck(lts, () => recentExtents(this.#run, { ltsMin: since, count: this.#extentCount })),
    );
  }

  async #delete(snapshot: number): Promise<void> {
    const { target, ledger, workload } = this.#run;
    const ltsMax = this.#ltsMax(snapshot);
    const sample = () => {
      const drawn = new Map<number, Extent>();
      for (let number = 0; number < this.#extentCount; number++) {
        const extent = workload.sampleExtent(ltsMax, number);
        drawn.set(extent.pd, extent);
      }
      return drawn.values();
    };
    await this.#check(snapshot, this.#extentsToCheck(ltsMax, sample));
    for (const { uuid } of this.#taken.get(snapshot)!) {
      await asked(`deleting snapshot ${snapshot} (${uuid})`, target.service.deleteSnapshot(uuid));
      ledger.snapshotDeleted();
    }
    this.#alive.delete(snapshot);
  }

  /** Reads extents of a snapshot, volume by volume, and compares them with its cut. */
  async #check(snapshot: number, extents: readonly Extent[]): Promise<void> {
    const { target, ledger } = this.#run;
    for (const volume of target.volumes.keys()) {
      if (this.#run.isOver) return;
      const ofVolume = extents.filter((extent) => extent.volume === volume);
      if (ofVolume.length === 0) continue;
      const { uuid, proven } = this.#taken.get(snapshot)![volume]!;
      const device = await asked(`opening snapshot ${snapshot} (${uuid})`, target.service.openSnapshot(uuid));
      try {
        await this.#run.checkExtents(ofVolume, {
          deviceOf: () => device,
          ltsMax: this.#ltsMax(snapshot),
          snapshot,
          proven,
        });
      } finally {
        await device[Symbol.asyncDispose]();
      }
    }
    if (extents.length > 0) ledger.snapshotChecked();
  }

  async #diff(snapshot: number, base: number | undefined): Promise<void> {
    const { config, diffs, ledger } = this.#run;
    if (!config.checks.diffs.enabled) return;
    for (const volume of this.#run.target.volumes.keys()) {
      const question = this.#question(volume, snapshot, base);
      const what = `diff of snapshot ${snapshot} ${base === undefined ? "without base" : `against ${base}`}`;
      const pages = await asked(what, this.#pages(volume, snapshot, base));
      const again = await asked(what, this.#pages(volume, snapshot, base));
      const verdict = diffs.check(question, pages, again);
      if (verdict.violations.length > 0) await this.#checkBehind(verdict.violations, snapshot, base);
      for (const violation of verdict.violations) this.#run.violation(violation);
      if (verdict.violations.length === 0) ledger.diffProven({ pages: pages.length, ...verdict });
    }
  }

  /**
   * A diff is wrong, or the content that it tells of: reads the extents concerned from both snapshots, so that a
   * write that was lost is named before the diff that rightly leaves it out.
   */
  async #checkBehind(
    violations: readonly Violation[],
    snapshot: number,
    base: number | undefined,
  ): Promise<void> {
    const { geometry } = this.#run.workload;
    const pds = new Set(
      violations
        .filter(({ volume, block }) => block < geometry.volumeBlocks[volume]!)
        .map(({ volume, block }) => geometry.pdOf(volume, block)),
    );
    const extents = [...pds].map((pd) => geometry.extent(pd));
    await this.#check(snapshot, extents);
    if (base !== undefined) await this.#check(base, extents);
  }

  /** The base is gone: only an error of the service is right. */
  async #diffDeletedBase(snapshot: number, base: number): Promise<void> {
    const { config, diffs, ledger } = this.#run;
    if (!config.checks.diffs.enabled) return;
    for (const volume of this.#run.target.volumes.keys()) {
      try {
        const pages = await this.#pages(volume, snapshot, base);
        this.#run.violation(diffs.deletedBase(this.#question(volume, snapshot, base), pages));
      } catch (error) {
        const isRefusal =
          error instanceof ServiceError &&
          (error.code === "ERR_NOT_FOUND" ||
            error.code === "ERR_INVALID_REQUEST" ||
            error.code === "ERR_CONFLICT");
        if (!isRefusal) throw failure(`diff of snapshot ${snapshot} against deleted snapshot ${base}`, error);
        ledger.deletedBaseRefused();
      }
    }
  }

  async #pages(volume: number, snapshot: number, base: number | undefined): Promise<readonly AnswerPage[]> {
    const snapshotUuid = this.#taken.get(snapshot)![volume]!.uuid;
    const request =
      base === undefined
        ? { snapshotUuid }
        : { snapshotUuid, baseSnapshotUuid: this.#taken.get(base)![volume]!.uuid };
    const pages: DiffPage[] = [];
    for await (const page of this.#run.target.service.diff(request)) pages.push(page);
    return pages;
  }

  #question(volume: number, snapshot: number, base: number | undefined): DiffQuestion {
    const { tracker, target, config } = this.#run;
    return {
      volume,
      snapshot: tracker.snapshot(volume, snapshot)!,
      base: base === undefined ? undefined : tracker.snapshot(volume, base)!,
      promise: { ...target.service.diffCapabilities, precision: config.checks.diffs.precision },
    };
  }

  #extentsToCheck(ltsMax: number, some: () => Iterable<Extent>): readonly Extent[] {
    const { extents } = this.#run.config.checks.snapshots;
    if (extents === "all") return [...reachedExtents(this.#run, ltsMax)];
    return extents === 0 ? [] : [...some()];
  }

  get #extentCount(): number {
    const { extents } = this.#run.config.checks.snapshots;
    return extents === "all" ? Number.POSITIVE_INFINITY : extents;
  }

  #ltsMax(snapshot: number): number {
    return this.#run.tracker.snapshot(0, snapshot)!.ltsMax;
  }
}

/** What the service was asked; its refusal is a failure of the target. */
async function asked<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw failure(what, error);
  }
}

function failure(what: string, error: unknown): unknown {
  return error instanceof ServiceError
    ? new TargetFailure(`${what}: ${error.message}`, { cause: error })
    : error;
}
