/**
 * Random histories with what was observed of them: legal ones, taken from a simulated execution, and ones that
 * were spoiled afterwards, of which most are illegal; about half and half.
 *
 * Each arbitrary shrinks. `isSpoiled: false` promises that the observations are legal; `true` promises nothing.
 * Events are numbered from 1 without gaps.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { type Drawn, drawnCall, drawnHistory, type HistoryOptions, startMax } from "./drawn.ts";
import { Execution, everywhere, mixed, type ScheduledWrite, tick } from "./execution.ts";
import type { Flush, Read, Shown, Snapshot, Timed } from "./history.ts";
import {
  spoiledReads,
  spoiledReport,
  spoiledShown,
  spoiledSnapshot,
  spoiling,
  type TakenSnapshot,
} from "./spoil.ts";

export interface ConcurrentHistory {
  readonly volumeCount: number;
  /** Of each volume. */
  readonly blockCount: number;
  /** In the order of submission. */
  readonly writes: readonly ScheduledWrite[];
  readonly reads: readonly (Read & { readonly volume: number })[];
  readonly isSpoiled: boolean;
}

/** Shows all blocks of all volumes. */
interface WholeSnapshot extends Snapshot {
  readonly shown: readonly Required<Shown>[];
}

export interface SnapshotHistory extends ConcurrentHistory {
  readonly snapshot: WholeSnapshot;
}

/** Of one volume. The reads are legal by themselves and may be left aside. */
export interface DiffHistory extends ConcurrentHistory {
  /** Its call completed before the snapshot's was submitted. */
  readonly base: Snapshot | undefined;
  readonly snapshot: Snapshot;
  readonly reported: ReadonlySet<number>;
  readonly granularity: number;
  readonly precision: "covering" | "exact";
}

export interface CrashHistory {
  readonly volumeCount: number;
  readonly blockCount: number;
  /** Those submitted before the crash. What was in flight then is in doubt, with no completion. */
  readonly writes: readonly ScheduledWrite[];
  readonly flushes: readonly (Flush & { readonly volume: number })[];
  readonly crashAt: number;
  readonly hasVolatileCache: boolean;
  /** What all blocks of all volumes hold afterwards. */
  readonly shown: readonly Required<Shown>[];
  readonly isSpoiled: boolean;
}

/** Writes, and reads that saw them. */
export const concurrentHistory = (options: HistoryOptions): fc.Arbitrary<ConcurrentHistory> =>
  fc.tuple(drawnHistory(options), spoiling("read", "read", "readShift")).map(([drawn, spoil]) => {
    const execution = new Execution(drawn, options.overlap);
    const reads = spoiledReads(execution, spoil);
    return numbered(execution, { reads, isSpoiled: spoil.kind !== "none" }).history;
  });

/** The same with a snapshot of all volumes at one instant, taken meanwhile. */
export const snapshotHistory = (options: HistoryOptions): fc.Arbitrary<SnapshotHistory> =>
  fc
    .record({
      drawn: drawnHistory(options),
      call: drawnCall,
      spoil: spoiling("shown", "shown", "torn", "torn", ...(options.readsMax > 0 ? ["read" as const] : [])),
    })
    .map(({ drawn, call, spoil }) => {
      const execution = new Execution(drawn, options.overlap);
      const snapshot = spoiledSnapshot(execution, takeSnapshot(execution, call), spoil);
      const reads = spoiledReads(execution, spoil);
      const isSpoiled = spoil.kind !== "none";
      const { history, calls } = numbered(execution, { reads, isSpoiled, calls: [snapshot] });
      return { ...history, snapshot: { ...calls[0]!, shown: snapshot.shown } };
    });

/** Two snapshots, one after the other, or one alone, and what is said to differ between them. */
export const diffHistory = (options: Omit<HistoryOptions, "volumesMax">): fc.Arbitrary<DiffHistory> =>
  fc
    .record({
      drawn: drawnHistory(options),
      first: drawnCall,
      second: drawnCall,
      hasBase: fc.boolean(),
      isShown: fc.boolean(),
      granularity: fc.constantFrom(1, 1, 2, 4, 16),
      precision: fc.constantFrom("covering", "exact"),
      surplus: fc.constantFrom(0, 0.5, 1),
      spoilReport: spoiling("reported"),
      spoilAny: spoiling("reported", "reported", "shown", "torn"),
    })
    .map(({ drawn, first, second, hasBase, isShown, granularity, precision, surplus, ...spoils }) => {
      const spoil = isShown ? spoils.spoilAny : spoils.spoilReport;
      const execution = new Execution(drawn, options.overlap);
      const later = { ...second, start: first.start + first.length + 1 + (second.start >> 1) };
      const base = hasBase ? takeSnapshot(execution, first) : undefined;
      const snapshot = takeSnapshot(execution, later);
      const { touched, touchable, changed } = changesBetween(execution, base?.instant, snapshot.instant);
      const granules = new Set([...touchable].map((block) => Math.floor(block / granularity)));
      const isReported = ({ block }: { block: number }): boolean =>
        (precision === "exact" ? touched : changed).has(block) ||
        (granules.has(Math.floor(block / granularity)) && mixed(first.salt, second.salt, block) < surplus);
      const reported = new Set(execution.blocks.filter(isReported).map(({ block }) => block));

      const seen = spoiledSnapshot(execution, snapshot, spoil);
      const taken = base === undefined ? [seen] : [base, seen];
      const { history, calls } = numbered(execution, {
        reads: execution.reads,
        isSpoiled: spoil.kind !== "none",
        calls: taken,
      });
      const snapshots = taken.map(({ shown }, index) => ({
        ...calls[index]!,
        ...(isShown ? { shown } : {}),
      }));
      return {
        ...history,
        base: hasBase ? snapshots[0] : undefined,
        snapshot: snapshots.at(-1)!,
        reported: spoiledReport(reported, execution.blockCount, spoil),
        granularity,
        precision,
      };
    });

/** Writes with FUA or not, flushes, and a crash in the middle. */
export const crashHistory = (options: Omit<HistoryOptions, "readsMax">): fc.Arbitrary<CrashHistory> =>
  fc
    .record({
      drawn: drawnHistory({ ...options, readsMax: 0 }),
      flushCalls: fc.array(fc.record({ call: drawnCall, volume: fc.nat(7), lasting: fc.nat(5) }), {
        maxLength: 3,
      }),
      crashTick: fc.integer({ min: 1, max: startMax + 20 }),
      hasVolatileCache: fc.boolean(),
      spoil: spoiling("shown", "shown", "shown", "cache"),
    })
    .map(({ drawn, flushCalls, crashTick, hasVolatileCache, spoil }) => {
      const execution = new Execution(drawn, options.overlap);
      const crashAt = crashTick * tick - 0.5;
      const inFlight = Number.POSITIVE_INFINITY;
      const flushes = flushCalls.map(({ call, volume, lasting }) => {
        const { submitted, completed } = execution.interval(call);
        return {
          volume: volume % execution.volumeCount,
          salt: call.salt,
          submitted,
          completed: lasting === 0 ? inFlight : completed,
        };
      });
      const crash = { crashAt, hasVolatileCache, flushes };
      const shown = execution.blocks.map((at) => ({
        ...at,
        content: execution.contentAfterCrash(at, crash),
      }));
      const begun = flushes
        .filter(({ submitted }) => submitted < crashAt)
        .map((flush) => (flush.completed < crashAt ? flush : { ...flush, completed: inFlight }));
      const writes = execution.writes
        .filter(({ submitted }) => submitted < crashAt)
        .map((write) =>
          write.completed < crashAt ? write : { ...write, completed: inFlight, outcome: "inDoubt" as const },
        );
      const { volumeCount, blockCount } = execution;
      const { history, calls } = numbered(
        { volumeCount, blockCount, writes },
        {
          reads: [],
          isSpoiled: spoil.kind !== "none",
          calls: [{ submitted: crashAt, completed: inFlight }, ...begun],
        },
      );
      const [crashCall, ...flushed] = calls;
      return {
        volumeCount,
        blockCount,
        writes: history.writes,
        flushes: flushed.map((call, index) => ({ volume: begun[index]!.volume, ...call })),
        crashAt: crashCall!.submitted,
        hasVolatileCache: hasVolatileCache && spoil.kind !== "cache",
        shown: spoiledShown(execution, shown, spoil),
        isSpoiled: history.isSpoiled,
      };
    });

function takeSnapshot(execution: Execution, call: Drawn): TakenSnapshot {
  const interval = execution.interval(call);
  const instant = execution.instantOf({ ...interval, salt: call.salt }, everywhere);
  const shown = execution.blocks.map((at) => ({ ...at, content: execution.contentAt(at, instant) }));
  return { ...interval, instant, shown };
}

/**
 * The blocks of volume 0 that differ between two instants; with them those on which a write took effect; and with
 * those the ones that advice concerned.
 */
function changesBetween(
  execution: Execution,
  since = Number.NEGATIVE_INFINITY,
  until: number,
): { readonly touched: Set<number>; readonly touchable: Set<number>; readonly changed: Set<number> } {
  const touched = new Set<number>();
  const touchable = new Set<number>();
  const changed = new Set<number>();
  for (const at of execution.blocks) {
    const isBetween = ({ instant }: { instant: number }): boolean => instant > since && instant < until;
    const differs = execution.contentAt(at, since) !== execution.contentAt(at, until);
    if (execution.effects(at).some((effect) => isBetween(effect) && (differs || !effect.write.isAdvice)))
      touched.add(at.block);
    if ([...execution.effects(at), ...execution.advice(at)].some(isBetween)) touchable.add(at.block);
    if (differs) changed.add(at.block);
  }
  return { touched, touchable, changed };
}

/** The history with its events, and those of some calls, numbered as they come. */
function numbered(
  { volumeCount, blockCount, writes }: Pick<Execution, "volumeCount" | "blockCount" | "writes">,
  {
    reads,
    isSpoiled,
    calls = [],
  }: Pick<ConcurrentHistory, "reads" | "isSpoiled"> & { readonly calls?: readonly Timed[] },
): { readonly history: ConcurrentHistory; readonly calls: readonly Timed[] } {
  const events = [...writes, ...reads, ...calls]
    .flatMap(({ submitted, completed }) => [submitted, completed])
    .filter(Number.isFinite)
    .sort((one, other) => one - other);
  const numbers = new Map(events.map((event, index) => [event, index + 1]));
  const times = ({ submitted, completed }: Timed): Timed => ({
    submitted: numbers.get(submitted)!,
    completed: numbers.get(completed) ?? Number.POSITIVE_INFINITY,
  });
  const history = {
    volumeCount,
    blockCount,
    writes: writes.map(({ salt: _, ...write }) => ({ ...write, ...times(write) })),
    reads: reads.map((read) => ({ ...read, ...times(read) })),
    isSpoiled,
  };
  return { history, calls: calls.map(times) };
}
