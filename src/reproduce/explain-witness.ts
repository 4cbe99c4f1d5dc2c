/**
 * What to draw of a violation, or of a question: the operations concerned, the call of the snapshot and its cut.
 *
 * @packageDocumentation
 */
import type { FaultClass, Violation } from "../model/violation.ts";
import { operationAt, positionOf } from "../selectors/operations.ts";
import type { Row } from "./explain-drawing.ts";
import { type BlockOperation, type BlockPlace, Fates, operationName } from "./explain-operations.ts";
import { type ExplainSource, type KnownSnapshot, snapshotOf } from "./explain-source.ts";

/** Classes of which the order of operations is what is wrong. */
const drawnClasses: ReadonlySet<FaultClass> = new Set<FaultClass>([
  "torn-cut",
  "late-leak",
  "early-miss",
  "went-back",
  "ghost-write",
]);

/** Operations of the block that are drawn beside the witnesses. */
const besideMax = 8;

export function isDrawn({ class: name }: Violation): boolean {
  return drawnClasses.has(name);
}

/**
 * @param about.violation - Whose operations are the witnesses; none if left out.
 * @param about.snapshot - Number of the snapshot that is asked about; none for the volume.
 * @param about.operations - Those that touched the block, oldest first.
 */
export function witnessRows(
  source: ExplainSource,
  { volume }: BlockPlace,
  {
    violation,
    snapshot,
    operations,
  }: {
    readonly violation: Violation | undefined;
    readonly snapshot: number | undefined;
    readonly operations: readonly BlockOperation[];
  },
): readonly Row[] {
  const notes = new Map<number, string>();
  for (const { lts, operationId, role } of violation?.operations ?? [])
    notes.set(positionOf(lts, operationId), role);
  const record = snapshot === undefined ? undefined : snapshotOf(source, volume, snapshot);
  const fates = new Fates(source, volume);
  const drawn = new Map<number, BlockOperation>();
  for (const position of [...notes.keys(), ...witnesses(source, volume, snapshot)]) {
    const found = source.history.operationOf(position);
    if (found?.extent.volume === volume)
      drawn.set(position, fates.of(operationAt(position).lts, found.extent, found.operation));
  }
  for (const operation of nearest(operations, record?.record.ltsMax ?? violation?.ltsMax))
    drawn.set(operation.position, operation);
  const rows: Row[] = [];
  for (const operation of [...drawn.values()].sort((a, b) => a.position - b.position)) {
    const span = spanOf(operation, record);
    if (span === undefined) continue;
    const label = `${operationName(operation)} ${operation.kind}`;
    rows.push({ label, spans: [span], style: "operation", note: notes.get(operation.position) });
  }
  if (record?.isCutKept === true) {
    const { submittedEvent: from, completedEvent: to, cut } = record.record;
    rows.push({ label: `snapshot ${snapshot} call`, spans: [{ from, to }], style: "operation" });
    const spans = cut.instants.map(({ after, before }) => ({ from: after, to: before }));
    rows.push({ label: "its cut", spans, style: "cut", note: "where it may lie, after all that was shown" });
  }
  return rows;
}

/** Operations that have narrowed a cut: what is shown lies before it, and what is missing after it. */
function witnesses(source: ExplainSource, volume: number, snapshot: number | undefined): readonly number[] {
  if (snapshot === undefined) return [];
  const { record } = snapshotOf(source, volume, snapshot) ?? {};
  const states = record?.cut.instants.flatMap(({ shown, missing }) => [shown, missing]) ?? [];
  return [...new Set(states.filter((state) => state !== 0).map(Math.abs))];
}

function nearest(operations: readonly BlockOperation[], ltsMax = Number.POSITIVE_INFINITY) {
  const before = operations.filter(({ lts }) => lts <= ltsMax).slice(-besideMax / 2);
  const after = operations.filter(({ lts }) => lts > ltsMax).slice(0, besideMax / 2);
  return [...before, ...after];
}

/** Of what nobody kept the events of, it is known all the same on which side of a snapshot's call it lies. */
function spanOf(
  { events, lts, position }: BlockOperation,
  snapshot: KnownSnapshot | undefined,
): Row["spans"][number] | undefined {
  if (events !== undefined) return { from: events.submitted, to: events.completed };
  if (snapshot?.isCutKept !== true) return undefined;
  const { ltsBefore, inside, submittedEvent, completedEvent } = snapshot.record;
  return lts <= ltsBefore || inside.has(position)
    ? { from: Number.NEGATIVE_INFINITY, to: submittedEvent }
    : { from: completedEvent, to: Number.POSITIVE_INFINITY };
}
