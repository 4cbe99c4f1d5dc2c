/**
 * Asks for the diffs of snapshots and has the answers checked.
 *
 * @packageDocumentation
 */
import { BlockSet } from "../../model/block-set.ts";
import type { AnswerPage } from "../../model/diff-contract.ts";
import type { DiffQuestion } from "../../model/diff-checker.ts";
import type { Violation } from "../../model/violation.ts";
import { type DiffPage, ServiceError } from "../../sut/port.ts";
import { asked, failureOf } from "../asked.ts";
import type { DiffExhibit } from "../exhibit.ts";
import type { Run } from "../run.ts";
import type { SnapshotShelf } from "./shelf.ts";
import type { SnapshotVisitor } from "./snapshots.ts";

/** What a diff over one step of a chain of snapshots reported. */
interface Step {
  readonly base: number;
  readonly reported: BlockSet;
}

export class DiffVisitor {
  readonly #run: Run;
  readonly #shelf: SnapshotShelf;
  readonly #snapshots: SnapshotVisitor;
  /** By volume, then by snapshot: its diff with the next older one that was alive. */
  readonly #steps = new Map<number, Map<number, Step>>();

  constructor(run: Run, shelf: SnapshotShelf, snapshots: SnapshotVisitor) {
    this.#run = run;
    this.#shelf = shelf;
    this.#snapshots = snapshots;
  }

  async ask(
    snapshot: number,
    base: number | undefined,
    { isFar }: { readonly isFar: boolean },
  ): Promise<void> {
    const { config, diffs, ledger, target } = this.#run;
    if (!config.checks.diffs.enabled) return;
    // An earlier process may have left the base behind, deleted.
    if (base !== undefined && !this.#shelf.has(base)) return;
    for (const volume of target.volumes.keys()) {
      const question = this.#question(volume, snapshot, base);
      const what = `diff of snapshot ${snapshot} ${base === undefined ? "without base" : `against ${base}`}`;
      const pages = await asked(what, this.#pages(volume, snapshot, base));
      const again = await asked(what, this.#pages(volume, snapshot, base));
      const { violations: found, reported, changedBlocks } = diffs.check(question, pages, again);
      const violations = [...found];
      const parts = isFar && base !== undefined ? this.#parts(volume, snapshot, base) : undefined;
      if (parts !== undefined) {
        const strange = diffs.algebra(question, reported, parts);
        if (strange !== undefined) violations.push(strange);
        else ledger.count("diffsNested");
      }
      if (violations.length > 0) {
        await this.#checkBehind(violations, snapshot, base);
        const exhibit: DiffExhibit = {
          ...{ kind: "diff", volume, snapshot, base, pages, again, isBaseDeleted: false },
          ...(parts === undefined ? {} : { reportedByParts: [...parts.blocks()] }),
        };
        for (const violation of violations) this.#run.violation(violation, exhibit);
        continue;
      }
      ledger.diffProven({ pages: pages.length, reportedBlocks: reported.size, changedBlocks });
      if (base !== undefined && !isFar) this.#keep(volume, snapshot, { base, reported });
    }
  }

  /** The base is gone: only an error of the service is right. */
  async askDeleted(snapshot: number, base: number): Promise<void> {
    const { config, diffs, ledger, target } = this.#run;
    // A run that went on may have passed over the deletion.
    const isGone = this.#shelf.has(base) && !this.#shelf.alive.includes(base);
    if (!config.checks.diffs.enabled || !isGone) return;
    for (const volume of target.volumes.keys()) {
      try {
        const pages = await this.#pages(volume, snapshot, base);
        this.#run.violation(diffs.deletedBase(this.#question(volume, snapshot, base), pages), {
          ...{ kind: "diff", volume, snapshot, base, pages, isBaseDeleted: true },
        });
      } catch (error) {
        const isRefusal =
          error instanceof ServiceError &&
          (error.code === "ERR_NOT_FOUND" ||
            error.code === "ERR_INVALID_REQUEST" ||
            error.code === "ERR_CONFLICT");
        if (!isRefusal)
          throw failureOf(`diff of snapshot ${snapshot} against deleted snapshot ${base}`, error);
        ledger.count("deletedBaseRefused");
      }
    }
  }

  /** All that the diffs of the steps from base to snapshot reported, if each of them was asked. */
  #parts(volume: number, snapshot: number, base: number): BlockSet | undefined {
    const steps = this.#steps.get(volume);
    const all = new BlockSet();
    for (let at = snapshot; at !== base; ) {
      const step = steps?.get(at);
      if (step === undefined || step.base < base) return undefined;
      for (const block of step.reported.blocks()) all.add(block);
      at = step.base;
    }
    return all;
  }

  #keep(volume: number, snapshot: number, step: Step): void {
    let steps = this.#steps.get(volume);
    if (steps === undefined) this.#steps.set(volume, (steps = new Map()));
    steps.set(snapshot, step);
    const oldest = snapshot - 4 * this.#run.config.snapshots.keep;
    for (const number of steps.keys()) if (number < oldest) steps.delete(number);
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
    await this.#snapshots.check(snapshot, extents);
    if (base !== undefined) await this.#snapshots.check(base, extents);
  }

  async #pages(volume: number, snapshot: number, base: number | undefined): Promise<readonly AnswerPage[]> {
    const snapshotUuid = this.#shelf.of(snapshot, volume).uuid;
    const request =
      base === undefined
        ? { snapshotUuid }
        : { snapshotUuid, baseSnapshotUuid: this.#shelf.of(base, volume).uuid };
    const pages: DiffPage[] = [];
    for await (const page of this.#run.target.service.diff(request)) pages.push(page);
    return pages;
  }

  #question(volume: number, snapshot: number, base: number | undefined): DiffQuestion {
    const { target, config, workload } = this.#run;
    const { record } = this.#shelf.of(snapshot, volume);
    return {
      volume,
      snapshot: record,
      base: base === undefined ? undefined : this.#shelf.of(base, volume).record,
      blockCount: workload.sizes.blockCountAt(volume, record.lts),
      promise: { ...target.service.diffCapabilities, precision: config.checks.diffs.precision },
    };
  }
}
