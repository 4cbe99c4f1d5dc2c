/**
 * What may have become of a block between the cuts of two snapshots, if operations were under way at either.
 *
 * @packageDocumentation
 */
import { instantsAs } from "./cut.ts";
import { explains, someZeros } from "./linearization.ts";
import type { ReadInterval } from "./operation-times.ts";
import { type Ambiguity, type Candidate, sameContent } from "./reconciler.ts";
import type { SnapshotRecord } from "./snapshot-record.ts";

/** A block that either cut, or both, may have on one or the other side of an operation. */
export interface OpenBlock {
  readonly block: number;
  /** What may have become of it between two instants of the cuts. */
  readonly changes: (then: number, now: number) => readonly Change[];
  /** Events at which that may turn. */
  readonly ends: Iterable<number>;
}

/** What a block may show at a cut: those of its writes that the snapshot, as far as it was read, leaves. */
export interface BlockAtCut {
  readonly writes: readonly Candidate[];
  readonly possible: readonly Candidate[];
}

type Change = "none" | "rewritten" | "differs";

/** The blocks of an extent that more than one state may show, and those of them that what was shown leaves. */
export function atCut(ambiguities: readonly Ambiguity[], firstBlock: number): Map<number, BlockAtCut> {
  const open = new Map<number, BlockAtCut>();
  for (const { block, candidates } of ambiguities) {
    // The newest snapshot with an open operation on the block has decided it, if it was read.
    const shown = candidates[0]!.record?.shown.get(firstBlock + block);
    const possible = candidates.filter(({ state }) => shown === undefined || sameContent(shown, state));
    open.set(block, { writes: candidates, possible });
  }
  return open;
}

/** A block of which a cut shows one state, whenever it lies. */
export function settled(state: number, record: SnapshotRecord | undefined, mayBeIgnored = false): BlockAtCut {
  const [submitted, completed] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const only = {
    state,
    submitted,
    completed,
    isInDoubt: false,
    record,
    times: undefined,
    mayBeIgnored,
  };
  return { writes: [only], possible: [only] };
}

/** One instant of each stretch of a cut in which nothing begins or ends on the blocks in question. */
export function instantsWorthTrying(
  open: readonly OpenBlock[],
  record: SnapshotRecord | undefined,
): readonly number[] {
  if (record === undefined) return [Number.NEGATIVE_INFINITY];
  const ends = new Set<number>();
  for (const block of open) for (const end of block.ends) ends.add(end);
  const found: number[] = [];
  for (const { after, before } of record.cut.instants) {
    const inside = [...ends].filter((end) => end > after && end < before).sort((a, b) => a - b);
    // Events are whole numbers, so between two of them there is always an instant.
    for (const start of [after, ...inside]) found.push(start + 0.25);
  }
  return found;
}

/** What may have become of a block between two cuts. */
export function openBlock(
  block: number,
  before: { readonly at: BlockAtCut; readonly record: SnapshotRecord | undefined },
  after: { readonly at: BlockAtCut; readonly record: SnapshotRecord },
  isOneLine: boolean,
): OpenBlock {
  const writes = writesOfBoth(before, after);
  const ends = new Set(writes.flatMap(({ submitted, completed }) => [submitted, completed]));
  const found = new Map<string, readonly Change[]>();
  const placeOf = (instant: number): number => [...ends].filter((end) => end < instant).length;
  return {
    block,
    ends,
    changes: (then, now) => {
      const place = `${placeOf(then)}:${placeOf(now)}`;
      let changes = found.get(place);
      if (changes === undefined)
        found.set(place, (changes = changesBetween(before, then, after, now, { writes, isOneLine })));
      return changes;
    },
  };
}

/** All writes that either cut may show, at their times. */
function writesOfBoth(
  { at: before, record: base }: { readonly at: BlockAtCut; readonly record: SnapshotRecord | undefined },
  { at: after }: { readonly at: BlockAtCut },
): readonly Candidate[] {
  const all = new Map(before.writes.map((write) => [write.state, write]));
  for (const write of after.writes) {
    const known = all.get(write.state);
    if (known?.times !== undefined || (known !== undefined && write.times === undefined)) continue;
    // What completed long before the later cut, and the earlier one had not seen, was submitted after that.
    const between = base?.completedEvent ?? Number.NEGATIVE_INFINITY;
    const isLater = known === undefined && write.times === undefined;
    const { submitted, completed } = write;
    if (!isLater) all.set(write.state, write);
    // Advice may as well be newer than others of which the times are kept.
    else if (write.isInDoubt)
      all.set(write.state, { ...write, submitted: Math.max(submitted, between), completed });
    else all.set(write.state, { ...write, submitted: between, completed: between });
  }
  return [...all.values()];
}

/** What may have become of a block between two instants. */
function changesBetween(
  before: { readonly at: BlockAtCut; readonly record: SnapshotRecord | undefined },
  then: number,
  after: { readonly at: BlockAtCut; readonly record: SnapshotRecord },
  now: number,
  { writes, isOneLine }: { readonly writes: readonly Candidate[]; readonly isOneLine: boolean },
): readonly Change[] {
  const base = before.record;
  const numbers = new Map(writes.map(({ state }, index) => [state, index + 1]));
  const apart = writes.map(({ state, submitted, completed, isInDoubt }) => {
    return { state: numbers.get(state)!, submitted, completed, isInDoubt };
  });
  const showing = ({ state }: Candidate, instant: number): ReadInterval => {
    return { content: numbers.get(state)!, submitted: instant, completed: instant, among: [] };
  };
  const found = new Set<Change>();
  const old = onTop(before, then);
  for (const last of onTop(after, now))
    for (const first of old) {
      const isSame = sameContent(first.state, last.state);
      if (isSame && (first.state === someZeros || last.state === someZeros)) {
        found.add("none").add("rewritten");
        continue;
      }
      // After a rollback to the base, what is of the base is as the base has it.
      if (base !== undefined && after.record !== base && last.record === base && first.state !== last.state)
        continue;
      if (isOneLine && !explains(apart, [showing(first, then), showing(last, now)])) continue;
      found.add(first.state === last.state ? "none" : isSame ? "rewritten" : "differs");
      // Advice that left zeros as they were need not have done anything.
      if (isSame && last.mayBeIgnored) found.add("none");
    }
  return [...found];
}

/** What may be on top of a block at an instant of a cut; of what an older cut bounds, anything that it may show. */
function onTop(
  {
    at: { writes, possible },
    record,
  }: { readonly at: BlockAtCut; readonly record: SnapshotRecord | undefined },
  instant: number,
): readonly Candidate[] {
  return possible.filter((write) => {
    if (write.record !== record) return true;
    const instants = instantsAs(writes, write);
    if (instants === undefined || instant >= instants.before) return false;
    return instants.after < instant || instants.after === Number.NEGATIVE_INFINITY;
  });
}
