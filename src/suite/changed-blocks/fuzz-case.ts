/**
 * Performs a case of `--fuzz`, and says it in words.
 *
 * Steps about snapshots that were never taken are passed over: a case is as good with steps left out.
 *
 * @packageDocumentation
 */
import type { BlockRange } from "../../sut/port.ts";
import type { SuiteSnapshot } from "./bench-options.ts";
import { expectSameRanges, questionText } from "./diff-judge.ts";
import type { CasePlan, CaseStep } from "./fuzz-plan.ts";
import { type Region, rangeText } from "./layout.ts";
import { expectRefused } from "./resilience.ts";
import type { Workbench } from "./workbench.ts";

/** @throws {SuiteFailure} What is wrong. */
export async function performCase({ steps }: CasePlan, bench: Workbench): Promise<void> {
  const walk: Walk = { bench, alive: new Map(), gone: new Map(), touched: [], held: undefined };
  for (const step of steps) await perform(step, walk);
}

interface Walk {
  readonly bench: Workbench;
  readonly alive: Map<string, SuiteSnapshot>;
  readonly gone: Map<string, SuiteSnapshot>;
  /** Everything that was ever changed. */
  readonly touched: Region[];
  /** What the target holds. */
  held: SuiteSnapshot | undefined;
}

async function perform(step: CaseStep, walk: Walk): Promise<void> {
  const { bench, alive, gone } = walk;
  switch (step.kind) {
    case "write":
    case "zero": {
      const regions = step.ranges.map(named);
      walk.touched.push(...regions);
      return step.kind === "write" ? bench.write(...regions) : bench.zero(step.by, ...regions);
    }
    case "snapshot":
      alive.set(step.label, await bench.snapshot(step.label));
      return;
    case "diff":
    case "repeat": {
      const snapshot = alive.get(step.of);
      const base = step.base === undefined ? undefined : alive.get(step.base);
      if (snapshot === undefined || (step.base !== undefined && base === undefined)) return;
      const answer = await bench.diff(snapshot, base);
      if (step.kind === "repeat") expectSameRanges(answer, await bench.diff(snapshot, base));
      else if (step.offset !== undefined) await bench.expectRestFrom(answer, [snapshot, base], [step.offset]);
      return;
    }
    case "sync": {
      const snapshot = alive.get(step.to);
      if (snapshot === undefined) return;
      await bench.sync(snapshot, walk.held);
      walk.held = snapshot;
      await bench.expectHeld(snapshot, walk.touched);
      return;
    }
    case "delete": {
      const snapshot = alive.get(step.label);
      if (snapshot === undefined) return;
      alive.delete(step.label);
      await bench.deleteSnapshot(snapshot);
      gone.set(step.label, snapshot);
      return;
    }
    case "refusal": {
      const [snapshot, base] = [alive.get(step.of), gone.get(step.base)];
      if (snapshot !== undefined && base !== undefined) await expectRefused(bench, snapshot, base);
      return;
    }
  }
}

/** A step, in a line. */
export function stepText(step: CaseStep): string {
  switch (step.kind) {
    case "write":
      return `write ${rangesText(step.ranges)}`;
    case "zero":
      return `zeros by ${step.by} at ${rangesText(step.ranges)}`;
    case "snapshot":
      return `snapshot ${step.label}`;
    case "diff":
    case "repeat": {
      const base = step.base === undefined ? undefined : { label: step.base };
      const offset = step.kind === "diff" && step.offset !== undefined;
      const how = step.kind === "repeat" ? ", twice" : offset ? `, also from block ${step.offset} on` : "";
      return `${questionText({ label: step.of }, base)}${how}`;
    }
    case "sync":
      return `sync to ${step.to}`;
    case "delete":
      return `delete ${step.label}`;
    case "refusal":
      return `${questionText({ label: step.of }, { label: step.base })}, which is to be refused`;
  }
}

function rangesText(ranges: readonly BlockRange[]): string {
  const [first, second] = ranges;
  if (first === undefined) return "no blocks";
  if (second === undefined) return rangeText(first);
  return `${ranges.length} blocks, every ${second.block - first.block} from ${first.block} on`;
}

function named(range: BlockRange): Region {
  return { ...range, name: `LBA ${range.block} for ${range.blockCount}` };
}
