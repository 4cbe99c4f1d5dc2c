/**
 * An explanation as text: an aligned line for each event of the block's life, and one for each value.
 *
 * @packageDocumentation
 */
import { describeViolation, type Violation } from "../model/violation.ts";
import { stepWords } from "../runner/step-words.ts";
import { positionOf } from "../selectors/operations.ts";
import { counted } from "../sut/initiator/wording.ts";
import type { Explanation } from "./explain.ts";
import { type CandidateValue, stateName } from "./explain-candidates.ts";
import type { Found } from "./explain-evidence.ts";
import type { LifeEvent, Omitted } from "./explain-life.ts";
import { type BlockOperation, type Durability, operationName } from "./explain-operations.ts";
import { type ExplainSource, isSequential } from "./explain-source.ts";

/** Operations that a rollback is said to have undone, by name. */
const namedMax = 6;

/** @param options.valuesMax - Excluded values to tell, the newest; those that are allowed are told in any case. */
export function explanationText(
  source: ExplainSource,
  explanation: Explanation,
  { valuesMax }: { readonly valuesMax: number },
): string {
  const { life, violation, values, found, foundProblem } = explanation;
  const { place } = life;
  const sections = [
    [
      `block ${place.block} of volume ${place.volume} (block ${place.block - place.extent.firstBlock} of extent ${place.extent.pd}), seed 0x${source.seed.toString(16)}, up to lts ${source.ltsEnd}`,
      ...basisLines(source),
    ],
    lifeLines(source, explanation),
    violation === undefined ? [] : [describeViolation(violation)],
    valueLines(explanation, values, valuesMax),
    found === undefined ? [] : foundLines(found),
    foundProblem === undefined ? [] : [`what was found can not be told: ${foundProblem}`],
    explanation.drawing.length === 0
      ? []
      : ["operations against events, in their order and not to scale", ...explanation.drawing.map(indented)],
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

/** What the explanation stands on. */
export function basisLines(source: ExplainSource): readonly string[] {
  const { basis, log, clock } = source;
  if (basis === "seed")
    return ["from the seed alone: as if every operation had gone well, one lts after another"];
  const order = isSequential(source)
    ? ""
    : "; without an operation log control steps stand after the lts that they follow";
  return [
    log !== undefined
      ? `outcomes, times and connections from the operation log${reachText(log)}`
      : clock === undefined
        ? `outcomes from the model; no times are kept${order}`
        : `outcomes from the model, times are when each lts began${order}`,
  ];
}

/** How far back an operation log reaches, if not to the beginning. */
function reachText({ droppedCount, ltsFirst = 0 }: NonNullable<ExplainSource["log"]>): string {
  if (droppedCount > 0)
    return `, which has forgotten the oldest ${droppedCount === 1 ? "operation" : `${droppedCount} operations`}`;
  return ltsFirst === 0 ? "" : `, which begins at lts ${ltsFirst}`;
}

function lifeLines(source: ExplainSource, { life, violation }: Explanation): readonly string[] {
  const { events, omittedBefore, omittedAfter, operations } = life;
  const changes = operations.filter(({ effect }) => effect !== "none").length;
  return [
    `its life: ${counted(operations.length, "operation")}, ${changes} of which ${changes === 1 ? "changes" : "change"} it`,
    ...omittedLines(omittedBefore, "before"),
    ...aligned(events.map((event) => rowOf(source, event, violation))).map(indented),
    ...omittedLines(omittedAfter, "after"),
  ];
}

function omittedLines({ operations, steps }: Omitted, where: "before" | "after"): readonly string[] {
  if (operations + steps === 0) return [];
  const what = [
    ...(operations === 0 ? [] : [counted(operations, "operation")]),
    ...(steps === 0 ? [] : [counted(steps, "control step")]),
  ].join(" and ");
  return [`  … ${what} ${where} that ${operations + steps === 1 ? "is" : "are"} left out (--last)`];
}

function rowOf(source: ExplainSource, event: LifeEvent, violation: Violation | undefined): readonly string[] {
  if (event.kind === "operation") return operationRow(source, event.operation, event.isUndone, violation);
  const { lts, step, about, logged } = event;
  const wallOffsetMs = source.log?.wallOffsetMs ?? 0;
  const time = logged === undefined ? source.clock?.rtsOf(lts) : logged.submittedMs + wallOffsetMs;
  const words: string[] = [];
  if (logged?.outcome !== undefined && logged.outcome !== "ok") words.push(`failed: ${logged.outcome}`);
  if (about.holds !== undefined) {
    const holds = about.holds.map(stateName).join(", or ");
    words.push(about.isCutKnown === true ? `holds ${holds}` : `holds about ${holds} (its cut is not kept)`);
  }
  if (about.report !== undefined)
    words.push(step.kind === "sync" ? `${about.report} copy it` : `${about.report} report it`);
  if (step.kind === "clone")
    words.push(about.wrote === undefined ? "" : `the clone has its own ${about.wrote} here`);
  if (about.undone !== undefined) words.push(...rollbackWords(about.undone, about.returned ?? []));
  if (about.isFirst === true) words.push("the block is there since");
  const mark = isMarked(event, violation) ? `<-- ${violation!.class}` : "";
  const told = words.filter((word) => word !== "").join("; ");
  return ["-", stepWords(step), "", timeText(time, undefined), "", told, mark];
}

function operationRow(
  { log }: ExplainSource,
  operation: BlockOperation,
  isUndone: boolean,
  violation: Violation | undefined,
): readonly string[] {
  const { kind, firstBlock, blockCount, submittedMs, completedMs, connection, position } = operation;
  const reference = violation?.operations.find((one) => positionOf(one.lts, one.operationId) === position);
  const range = blockCount === 1 ? `${firstBlock}` : `${firstBlock}-${firstBlock + blockCount - 1}`;
  const words = [outcomeText(operation)];
  if (operation.wasAtStake) words.push("a crash may have dropped it");
  else if (operation.durability !== undefined) words.push(durabilityText(operation.durability));
  if (operation.hasOverlap) words.push("under way together with another");
  if (isUndone && operation.effect !== "none") words.push("undone by a rollback");
  return [
    operationName(operation),
    kind,
    range,
    timeText(submittedMs, completedMs),
    log === undefined || connection === undefined ? "" : `conn ${connection}`,
    words.join("; "),
    reference === undefined ? "" : `<-- ${violation!.class}: ${reference.role}`,
  ];
}

function outcomeText({ kind, outcome, code }: BlockOperation): string {
  if (kind === "compareAndWriteMiss" && outcome !== "unknown")
    return "refused, as it should be: changes nothing";
  const why = code === undefined || outcome === "ok" ? "" : ` (${code})`;
  switch (outcome) {
    case "ok":
      return "ok";
    case "failed":
      return `failed${why}: no effect`;
    case "unknown":
      return `unknown${why}: in doubt`;
  }
}

function durabilityText(durability: Durability): string {
  switch (durability.kind) {
    case "completion":
      return "durable when it completed";
    case "fua":
      return "durable by FUA";
    case "flush":
      return `durable by flush ${operationName(durability)}${durability.isCertain ? "" : " at the earliest"}`;
    case "none-near":
      return "no flush soon after it";
  }
}

function rollbackWords(undone: readonly number[], returned: readonly number[]): readonly string[] {
  if (undone.length === 0 && returned.length === 0) return ["changes nothing of the block"];
  return [
    ...(undone.length === 0 ? [] : [`undoes ${namesText(undone)}`]),
    ...(returned.length === 0 ? [] : [`brings back ${namesText(returned)}`]),
  ];
}

function namesText(positions: readonly number[]): string {
  const named = positions.slice(0, namedMax).map(stateName).join(", ");
  return positions.length > namedMax ? `${named} and ${positions.length - namedMax} more` : named;
}

/** The steps that a violation is about. */
function isMarked(
  { step }: Extract<LifeEvent, { kind: "control" }>,
  violation: Violation | undefined,
): boolean {
  if (violation?.snapshot === undefined) return false;
  const { snapshot, base, rule } = violation;
  if (rule === "diff") return step.kind === "diff" && step.snapshot === snapshot && step.base === base;
  return step.kind === "snapshot" && step.snapshot === snapshot;
}

function valueLines(
  { point, life }: Explanation,
  values: readonly CandidateValue[],
  valuesMax: number,
): readonly string[] {
  const { snapshot, ltsMax, isCutKnown, isLive } = point;
  const where =
    snapshot === undefined
      ? `the volume may hold of the block, ${isLive ? "while operations went on, up to" : "at rest after"} lts ${ltsMax}`
      : `snapshot ${snapshot} may hold of the block${isCutKnown ? "" : ", about: where its cut lay is not kept"}`;
  const allowed = values.filter(({ isAllowed }) => isAllowed);
  const excluded = values.filter(({ isAllowed }) => !isAllowed);
  // What is newer than all that is allowed is told as well: it says why the block is not newer than that.
  const told = new Set([...allowed, ...excluded.slice(0, valuesMax)]);
  const rows = values
    .filter((value) => told.has(value))
    .map((value) => [value.isAllowed ? "may" : "not", valueText(value), value.why]);
  const omitted = values.length - told.size;
  return [
    `what ${where}: ${allowed.length} of ${counted(values.length, "value")} that block ${life.place.block} ever had`,
    ...aligned(rows).map(indented),
    ...(omitted === 0
      ? []
      : [`  … ${counted(omitted, "older value")} ${omitted === 1 ? "is" : "are"} excluded as well`]),
  ];
}

function valueText({ state, operation }: CandidateValue): string {
  if (operation === undefined) return state === 0 ? "zeros, untouched" : "zeros, made by one of several";
  return `${operationName(operation)} ${operation.kind}`;
}

function foundLines({ stretches }: Found): readonly string[] {
  const rows = stretches.map(({ firstSector, sectorCount, what, verdict }) => [
    stretches.length === 1
      ? "all of it"
      : sectorCount === 1
        ? `sector ${firstSector}`
        : `sectors ${firstSector}-${firstSector + sectorCount - 1}`,
    what,
    verdict ?? "",
  ]);
  return ["what was found in it", ...aligned(rows).map(indented)];
}

/** Of a day, in UTC, and how long it took. */
function timeText(submittedMs: number | undefined, completedMs: number | undefined): string {
  if (submittedMs === undefined) return "";
  const time = new Date(submittedMs);
  const at = Number.isNaN(time.getTime()) ? `${submittedMs} ms` : time.toISOString().slice(11, 23);
  return completedMs === undefined ? at : `${at} +${(completedMs - submittedMs).toFixed(1)} ms`;
}

function indented(line: string): string {
  return `  ${line}`;
}

/** Columns as wide as their longest entry; those that are empty throughout are left out. */
function aligned(rows: readonly (readonly string[])[]): readonly string[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((entry, column) => (widths[column] === 0 ? "" : `${entry.padEnd(widths[column]!)}  `))
      .join("")
      .trimEnd(),
  );
}
