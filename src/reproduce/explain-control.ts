/**
 * The control steps of a history up to an lts, without looking at every lts where they can be worked out.
 *
 * @packageDocumentation
 */
import type { Config } from "../runner/config/schema.ts";
import type { ControlStep } from "../selectors/control-schedule.ts";
import type { History } from "../selectors/history.ts";
import { Workload } from "../selectors/workload.ts";

/** A step, and the lts that it follows. */
export interface PlacedStep {
  readonly lts: number;
  readonly step: ControlStep;
}

/** In the order in which they are performed; costs as many draws as there are steps, with faults as there are lts. */
export function* controlSteps(history: History, config: Config, ltsMax: number): Generator<PlacedStep> {
  for (const lts of ltsWithSteps(history, config, ltsMax))
    for (const step of history.control.stepsAfter(lts)) yield { lts, step };
}

/** Ascending; some may have no steps all the same. */
function* ltsWithSteps(history: History, config: Config, ltsMax: number): Generator<number> {
  const hasFaults = Object.values(config.faults).some((fault) => fault !== undefined);
  if (!(history instanceof Workload) || hasFaults) {
    for (let lts = 0; lts <= ltsMax; lts++) yield lts;
    return;
  }
  const { snapshots } = history.control;
  const growEvery = config.geometry.growth?.every ?? Number.POSITIVE_INFINITY;
  const hasSnapshots = config.snapshots.every > 0;
  let growth = 1;
  for (let snapshot = 0; ; snapshot++) {
    const next = hasSnapshots ? snapshots.ltsOf(snapshot) : Number.POSITIVE_INFINITY;
    for (; growth * growEvery < next; growth++) {
      if (growth * growEvery > ltsMax || growth > (config.geometry.growth?.steps ?? 0)) break;
      yield growth * growEvery;
    }
    if (next === growth * growEvery) growth++;
    if (next > ltsMax) return;
    yield next;
  }
}
