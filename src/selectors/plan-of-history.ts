/**
 * Writes down what a drawn history does, as a plan with a place for everything: to be changed, cut, and performed
 * again.
 *
 * The whole of it, from lts 0 on, is what the history itself gives, but for the numbers of clones, which are counted
 * anew, and reads before operations, which a plan has not. A part of it, the visits of some extents, is renumbered
 * without gaps; what the control plane is asked stays between the visits that it was between.
 *
 * A plan can be written as text and read as the same again, so it has the bounds of the text. Of a history beyond
 * them the newest part is written: what was on the volumes before is then not on them, and snapshots that were taken
 * before are not there, nor what would need them. Volumes start with the size that they had there.
 *
 * Steps of kind `custom` are code, and are left out.
 *
 * @packageDocumentation
 */
import type { ControlStep } from "./control-schedule.ts";
import { isFaultStep } from "./fault-schedule.ts";
import type { Extent } from "./geometry.ts";
import type { History } from "./history.ts";
import type { HistoryPlan } from "./history-builder.ts";
import { ltsCountMax } from "./history-limits.ts";
import { historyLengthMax } from "./history-text.ts";
import { newestLts } from "./newest-lts.ts";
import type { Operation } from "./operations.ts";
import { planSteps, type StepsOfLts } from "./plan-steps.ts";
import type { Read } from "./read-selector.ts";
import type { WrittenRead, WrittenVisit } from "./written-history.ts";

export interface PlanOptions {
  readonly seed: bigint;
  /** lts that there are. */
  readonly ltsCount: number;
  /** The first of those that are written; 0 if left out. */
  readonly ltsMin?: number;
  /** Extents of which visits are written, with the reads of these extents that go along; all if left out. */
  readonly pds?: ReadonlySet<number>;
  /** How many lts are in flight together; one after another if left out. */
  readonly depth?: number;
  /** Whether snapshots are taken, and what goes with them: diffs, clones, syncs and rollbacks; "all" if left out. */
  readonly snapshots?: "all" | "none";
}

/** Longest line of a text, in characters. */
const lineLengthMax = 80;
/** Lines of operations and reads; there are as many for steps and the head as these can be, at most. */
const linesMax = Math.floor(historyLengthMax / lineLengthMax) - 20_000;

export function planOfHistory(history: History, options: PlanOptions): HistoryPlan {
  const { seed, ltsCount, ltsMin = 0, pds, depth, snapshots = "all" } = options;
  const span = { ltsMin, ltsCount, pds };
  const steps = planSteps(history, { ...span, snapshots, operationsMax: linesMax / 2 });
  // A visit is added before all others, and one after each resize, at most.
  const visitsMax = ltsCountMax - steps.resizeCount - 1;
  const found = newestVisits(history, { ...span, visitsMax, linesMax: linesMax - steps.operationCount });
  const { startExtents, clones, snapshotNames, cloneNames } = steps;
  return {
    ...{ seed, geometry: history.geometry, startExtents },
    visits: written(history, { found, steps: steps.all, isWhole: pds === undefined, startExtents }),
    ...(depth === undefined ? {} : { depth }),
    ...{ clones, snapshotNames, cloneNames },
  };
}

/** A visit as it was drawn. */
interface FoundVisit {
  readonly lts: number;
  /** Absent if the extent does not exist yet, so that nothing is done to it. */
  readonly extent: Extent | undefined;
  readonly operations: readonly Operation[];
  readonly reads: readonly Read[];
}

/** The newest visits that a plan can hold, ascending. */
function newestVisits(
  history: History,
  {
    ltsMin,
    ltsCount,
    pds,
    visitsMax,
    linesMax: most,
  }: {
    readonly ltsMin: number;
    readonly ltsCount: number;
    readonly pds: ReadonlySet<number> | undefined;
    readonly visitsMax: number;
    readonly linesMax: number;
  },
): readonly FoundVisit[] {
  const all =
    pds === undefined
      ? downFrom(ltsCount, Math.max(ltsMin, ltsCount - visitsMax))
      : newestLts(history.window, pds, { ltsMin, ltsCount, countMax: visitsMax });
  const found: FoundVisit[] = [];
  let lineCount = 0;
  for (const lts of all) {
    const { extent, operations } = history.visit(lts);
    const isThere = history.sizes.hasExtent(extent, lts);
    if (!isThere && pds !== undefined) continue;
    const drawn = history.readsAt(lts);
    const reads = pds === undefined ? drawn : drawn.filter((read) => pds.has(read.extent.pd));
    lineCount += 1 + operations.length + reads.length;
    if (lineCount > most) break;
    found.push({ lts, extent: isThere ? extent : undefined, operations, reads });
  }
  return found.reverse();
}

function* downFrom(end: number, first: number): Generator<number> {
  for (let lts = end - 1; lts >= first; lts--) yield lts;
}

interface Visiting extends WrittenVisit {
  readonly steps: ControlStep[];
}

/** The visits, with the steps between them. */
function written(
  history: History,
  {
    found,
    steps,
    isWhole,
    startExtents,
  }: {
    readonly found: readonly FoundVisit[];
    readonly steps: readonly StepsOfLts[];
    /** No visit is left out between others. */
    readonly isWhole: boolean;
    readonly startExtents: readonly number[];
  },
): readonly WrittenVisit[] {
  const visits: Visiting[] = [];
  const firstPd = found.find(({ extent }) => extent !== undefined)?.extent?.pd ?? 0;
  const [volume, index] = history.geometry.keys.inflate(firstPd);
  // Any volume has its first extent from the start.
  let pd = index < startExtents[volume]! ? firstPd : history.geometry.keys.deflate([volume, 0]);
  const add = (operations: readonly Operation[], reads: readonly WrittenRead[]): Visiting => {
    const visit = { pd, operations, reads, steps: [] };
    visits.push(visit);
    return visit;
  };
  let next = 0;
  const addStepsBefore = (lts: number): void => {
    for (; next < steps.length && steps[next]!.lts < lts; next++)
      for (const step of steps[next]!.steps) {
        const last = visits.at(-1) ?? add([], []);
        const isLate = last.steps.some(({ kind }) => kind === "resize") && !isFaultStep(step);
        const shown = isWhole ? step : withoutGaps(step, steps[next]!.lts, found);
        (isLate ? add([], []) : last).steps.push(shown);
      }
  };
  for (const { lts, extent, operations, reads } of found) {
    addStepsBefore(lts);
    if (extent !== undefined) pd = extent.pd;
    add(
      operations,
      reads.map(({ extent: { pd: readPd }, firstBlock, blockCount }) =>
        readPd === pd ? { firstBlock, blockCount } : { pd: readPd, firstBlock, blockCount },
      ),
    );
  }
  addStepsBefore(Number.POSITIVE_INFINITY);
  if (visits.length === 0) add([], []);
  return visits;
}

/** What lasts for some lts lasts for those of them that are left, and one at least. */
function withoutGaps(step: ControlStep, lts: number, found: readonly FoundVisit[]): ControlStep {
  if (step.kind !== "slow") return step;
  const ltsCount = found.filter((one) => one.lts > lts && one.lts <= lts + step.ltsCount).length;
  return { ...step, ltsCount: Math.max(1, ltsCount) };
}
