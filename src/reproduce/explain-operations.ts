/**
 * The operations that touched one block, with what became of them.
 *
 * On one block operations are submitted in the order of the history, whatever else is under way: so the order by lts
 * is that of their submission.
 *
 * @packageDocumentation
 */
import type { OperationTimes } from "../model/operation-times.ts";
import type { Extent } from "../selectors/geometry.ts";
import { effectOf, type Operation, type OperationKind, positionOf } from "../selectors/operations.ts";
import type { LoggedOperation } from "../runner/operation-log.ts";
import { type ExplainSource, isSequential, recordsOf } from "./explain-source.ts";

/** A block of a volume, and where it lies in its extent. */
export interface BlockPlace {
  readonly volume: number;
  /** On the volume. */
  readonly block: number;
  readonly extent: Extent;
}

/** When something was under way, in events of the run. */
interface Events {
  readonly submitted: number;
  /** Of what is in doubt, when it could not be applied any more; infinite if that was not seen. */
  readonly completed: number;
}

export interface BlockOperation {
  readonly position: number;
  readonly lts: number;
  readonly operationId: number;
  readonly kind: OperationKind;
  readonly effect: "data" | "zeros" | "none";
  /** All blocks that it names, on the volume. */
  readonly firstBlock: number;
  readonly blockCount: number;
  readonly outcome: "ok" | "failed" | "unknown";
  readonly code: string | undefined;
  readonly connection: number | undefined;
  /** Absent if nobody has kept them: of most operations, without an operation log. */
  readonly events: Events | undefined;
  /** Milliseconds since 1970; without an operation log, when its lts began. */
  readonly submittedMs: number | undefined;
  readonly completedMs: number | undefined;
  readonly durability: Durability | undefined;
  /** A crash may have dropped it. */
  readonly wasAtStake: boolean;
  /** Another operation on some of its blocks was under way together with it. */
  readonly hasOverlap: boolean;
}

/** Since when an operation is on stable media. */
export type Durability =
  | { readonly kind: "completion" | "fua" }
  /** `isCertain`: the flush was submitted after the operation had completed. */
  | {
      readonly kind: "flush";
      readonly lts: number;
      readonly operationId: number;
      readonly isCertain: boolean;
    }
  /** No flush was found among the lts that follow. */
  | { readonly kind: "none-near" };

/** There is no such block, volume or snapshot; the message says which there are. */
export class QuestionError extends Error {
  override readonly name = "QuestionError";
}

/** So many lts after an operation are searched for its flush. */
const flushSearchLts = 512;

/** @throws {QuestionError} If there is no such volume or block. */
export function placeOf({ history }: ExplainSource, volume: number, block: number): BlockPlace {
  const { geometry } = history;
  const blocks = geometry.volumeBlocks[volume];
  if (blocks === undefined) {
    const count = geometry.volumeBlocks.length;
    throw new QuestionError(
      `volume ${volume}: the run has ${count === 1 ? "volume 0 only" : `volumes 0 to ${count - 1}`}`,
    );
  }
  if (!(Number.isInteger(block) && block >= 0 && block < blocks))
    throw new QuestionError(`block ${block}: volume ${volume} has blocks 0 to ${blocks - 1}`);
  return { volume, block, extent: geometry.extent(geometry.pdOf(volume, block)) };
}

/** Oldest first; all of them, so that its cost follows the visits to the block's extent. */
export function operationsOn(source: ExplainSource, place: BlockPlace): readonly BlockOperation[] {
  const { history, ltsEnd } = source;
  const { window } = history;
  const { extent, block } = place;
  const fates = new Fates(source, place.volume);
  const found: BlockOperation[] = [];
  for (
    let lts = window.lastLts(extent.pd, ltsEnd);
    lts !== undefined && lts >= 0;
    lts = window.prevLts(lts)
  ) {
    const operation = history.operationOn(lts, block - extent.firstBlock);
    if (operation === undefined) continue;
    found.push(fates.of(lts, extent, operation));
  }
  return found.reverse();
}

/** The operations with since when they are on stable media, which takes a look at the lts that follow each. */
export function withDurability(
  source: ExplainSource,
  { volume }: BlockPlace,
  operations: readonly BlockOperation[],
): readonly BlockOperation[] {
  return operations.map((operation) => ({
    ...operation,
    durability: durabilityOf(source, volume, operation),
  }));
}

/** A short name: lts.operation. */
export function operationName({
  lts,
  operationId,
}: {
  readonly lts: number;
  readonly operationId: number;
}): string {
  return `${lts}.${operationId}`;
}

/** What became of operations of one volume. */
export class Fates {
  readonly #source: ExplainSource;
  /** The times that snapshots keep of what was under way around their calls. */
  readonly #open = new Map<number, OperationTimes>();

  constructor(source: ExplainSource, volume: number) {
    this.#source = source;
    for (const { open } of recordsOf(source, volume))
      for (const [position, times] of open) this.#open.set(position, times);
  }

  of(lts: number, extent: Extent, operation: Operation): BlockOperation {
    const { tracker, log, clock } = this.#source;
    const { kind, operationId, firstBlock, blockCount } = operation;
    const position = positionOf(lts, operationId);
    const exception = tracker.exceptionOf(position);
    const logged = log?.operation(position);
    const outcome = exception?.outcome ?? logged?.outcome ?? "ok";
    return {
      ...{ position, lts, operationId, kind, blockCount },
      effect: effectOf(kind),
      firstBlock: extent.firstBlock + firstBlock,
      // What the run ended with under way is in doubt.
      outcome: outcome === "inFlight" ? "unknown" : outcome,
      code: logged?.code,
      connection: logged?.connection,
      events: eventsOf(exception ?? this.#open.get(position), logged),
      submittedMs: logged === undefined ? clock?.rtsOf(lts) : logged.submittedMs + log!.wallOffsetMs,
      completedMs: logged?.completedMs === undefined ? undefined : logged.completedMs + log!.wallOffsetMs,
      durability: undefined,
      wasAtStake: (exception?.lostAt ?? Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY,
      hasOverlap: exception?.hasOverlap ?? false,
    };
  }
}

function eventsOf(
  times: OperationTimes | undefined,
  logged: LoggedOperation | undefined,
): Events | undefined {
  if (logged !== undefined)
    return {
      submitted: logged.submittedEvent,
      completed:
        (logged.outcome === "unknown" ? logged.fencedEvent : logged.completedEvent) ??
        Number.POSITIVE_INFINITY,
    };
  // Of what was under way when a run ended, nobody knows since when.
  if (times === undefined || times.submitted === 0) return undefined;
  return { submitted: times.submitted, completed: times.completed };
}

function durabilityOf(
  source: ExplainSource,
  volume: number,
  operation: BlockOperation,
): Durability | undefined {
  const { history, promised, ltsEnd, tracker } = source;
  const { kind, effect, outcome, lts, operationId, events } = operation;
  if (effect === "none" || outcome !== "ok" || promised === undefined) return undefined;
  if (!promised.volatileWriteCache) return { kind: "completion" };
  if (kind === "writeFua") return { kind: "fua" };
  for (let later = lts; later <= Math.min(ltsEnd, lts + flushSearchLts); later++) {
    const { extent, operations } = history.visit(later);
    if (extent.volume !== volume) continue;
    for (const flush of operations) {
      if (flush.kind !== "flush" || (later === lts && flush.operationId <= operationId)) continue;
      const position = positionOf(later, flush.operationId);
      const logged = source.log?.operation(position);
      const known = tracker.exceptionOf(position)?.outcome ?? logged?.outcome ?? "ok";
      if (known !== "ok") continue;
      const submitted = logged?.submittedEvent;
      const isCertain =
        submitted !== undefined && events !== undefined
          ? submitted > events.completed
          : isSequential(source) && later > lts;
      if (submitted !== undefined && events !== undefined && !isCertain) continue;
      return { kind: "flush", lts: later, operationId: flush.operationId, isCertain };
    }
  }
  return { kind: "none-near" };
}
