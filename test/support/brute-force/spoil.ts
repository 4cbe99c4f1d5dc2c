/**
 * Ways to spoil what was observed of an execution, so that most often nothing explains it any more.
 *
 * @packageDocumentation
 */
import fc from "fast-check";
import { type Execution, mixed, tick } from "./execution.ts";
import type { Shown, Timed } from "./history.ts";

export type Spoil =
  /** One or two reads, or shown blocks, have another of the contents that were meant for the block. */
  | "read"
  | "shown"
  /** A read seems to have been at another time. */
  | "readShift"
  /** About half of its blocks the snapshot shows as of another instant. */
  | "torn"
  /** One or two blocks more or fewer are reported. */
  | "reported"
  /** The device had a cache but says that it has none. */
  | "cache";

export interface Spoiling {
  /** `none` leaves all as it was. */
  readonly kind: Spoil | "none";
  readonly pick: number;
  readonly other: number;
}

/** Spoils six cases in seven: of the spoiled ones, many are still legal. */
export const spoiling = (...kinds: readonly Spoil[]): fc.Arbitrary<Spoiling> =>
  fc.oneof(
    { weight: 1, arbitrary: fc.constant<Spoiling>({ kind: "none", pick: 0, other: 0 }) },
    {
      weight: 6,
      arbitrary: fc.noBias(
        fc.record({ kind: fc.constantFrom(...kinds), pick: fc.nat(0xffff), other: fc.nat(0xffff) }),
      ),
    },
  );

/** Moved by up to 15 ticks, to half a place beside other events, so that no two fall together. */
function shifted<Call extends Timed>(call: Call, { other }: Spoiling): Call {
  const by = ((other % 15) + 1) * (other & 16 ? tick : -tick) + 0.5;
  return { ...call, submitted: call.submitted + by, completed: call.completed + by };
}

/** Gives one or two blocks, of those that have several contents, another one; often its neighbour in time. */
function withOtherContent<One extends Shown>(
  execution: Execution,
  list: readonly One[],
  { pick, other }: Spoiling,
): readonly One[] {
  const candidates = list.filter((one) => execution.contentsFor(one).length > 1);
  const chosen = [pick, pick + other].map((index) => candidates[index % candidates.length]);
  return list.map((one) => {
    if (!chosen.includes(one)) return one;
    const contents = execution.contentsFor(one);
    const step = [1, contents.length - 1, 1 + (other % (contents.length - 1))][other % 3]!;
    return { ...one, content: contents[(contents.indexOf(one.content) + step) % contents.length]! };
  });
}

export function spoiledReads(execution: Execution, spoiling: Spoiling): Execution["reads"] {
  const { reads } = execution;
  if (spoiling.kind === "read") return withOtherContent(execution, reads, spoiling);
  if (spoiling.kind !== "readShift" || reads.length === 0) return reads;
  const index = spoiling.pick % reads.length;
  return reads.with(index, shifted(reads[index]!, spoiling));
}

export const spoiledShown = <One extends Shown>(
  execution: Execution,
  shown: readonly One[],
  spoiling: Spoiling,
): readonly One[] => (spoiling.kind === "shown" ? withOtherContent(execution, shown, spoiling) : shown);

/** A snapshot that shows all blocks as they were at an instant inside its call. */
export interface TakenSnapshot extends Timed {
  readonly shown: readonly Required<Shown>[];
  readonly instant: number;
}

export function spoiledSnapshot(
  execution: Execution,
  snapshot: TakenSnapshot,
  spoiling: Spoiling,
): TakenSnapshot {
  const { shown, instant } = snapshot;
  if (spoiling.kind !== "torn") return { ...snapshot, shown: spoiledShown(execution, shown, spoiling) };
  const tornAt = instant + ((spoiling.other % 30) + 1) * (spoiling.other & 32 ? tick : -tick);
  const torn = shown.map((one) =>
    mixed(spoiling.pick, one.volume, one.block) < 0.5
      ? one
      : { ...one, content: execution.contentAt(one, tornAt) },
  );
  return { ...snapshot, shown: torn };
}

export function spoiledReport(
  reported: ReadonlySet<number>,
  blockCount: number,
  { kind, pick, other }: Spoiling,
): Set<number> {
  const spoiled = new Set(reported);
  if (kind !== "reported") return spoiled;
  for (const block of new Set([pick % blockCount, (pick + (other & 1)) % blockCount])) {
    if (!spoiled.delete(block)) spoiled.add(block);
  }
  return spoiled;
}
