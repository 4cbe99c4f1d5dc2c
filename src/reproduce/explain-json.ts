/**
 * An explanation as one JSON object. Events and times that nobody knows are left out, those that never came are null.
 *
 * @packageDocumentation
 */
import { stepWords } from "../runner/step-words.ts";
import type { Explanation } from "./explain.ts";
import { stateName } from "./explain-candidates.ts";
import type { LifeEvent } from "./explain-life.ts";
import { operationName } from "./explain-operations.ts";
import type { ExplainSource } from "./explain-source.ts";
import { basisLines } from "./explain-text.ts";

/** @returns What `JSON.stringify` can take. */
export function explanationJson(source: ExplainSource, explanation: Explanation): object {
  const { life, point, values, violation, found, foundProblem, drawing } = explanation;
  const { place, events, omittedBefore, omittedAfter, violations } = life;
  return {
    seed: `0x${source.seed.toString(16)}`,
    basis: basisLines(source),
    ltsEnd: source.ltsEnd,
    volume: place.volume,
    block: place.block,
    extent: { pd: place.extent.pd, firstBlock: place.extent.firstBlock },
    omittedBefore,
    omittedAfter,
    life: events.map(eventJson),
    point,
    values: values.map(({ state, operation, isAllowed, why }) => ({
      state,
      ...(operation === undefined ? {} : { operation: operationName(operation), kind: operation.kind }),
      isAllowed,
      why,
    })),
    violation,
    violations,
    found: found?.stretches,
    foundProblem,
    drawing,
  };
}

function eventJson(event: LifeEvent): object {
  if (event.kind === "operation") {
    const { operation, isUndone } = event;
    return { event: "operation", name: operationName(operation), ...operation, isUndone };
  }
  const { lts, step, logged, about } = event;
  const { holds, undone, returned, ...rest } = about;
  const named = (states: readonly number[] | undefined) => states?.map(stateName);
  return {
    event: step.kind,
    words: stepWords(step),
    lts,
    logged,
    ...rest,
    holds: named(holds),
    undone: named(undone),
    returned: named(returned),
  };
}
