/**
 * Whether what was read of one block can be explained: an atomic register, judged exactly.
 *
 * Each write takes effect at one instant between its submission and its completion, each read at one of its own.
 * With the read's write known, there is such an order just if the zones of the writes fit (Gibbons and Korach,
 * Testing Shared Memories, 1997): the zone of a write reaches from the earliest completion to the latest submission
 * among it and the reads that show it. If that runs forward, the block must hold the write's content throughout;
 * if backward, there is some instant in it at which it does. Two forward zones may not meet, and no backward one
 * may lie within a forward one.
 *
 * Zeros are the same whoever made them, so reads of zeros are tried with each write of zeros. Blocks are judged one
 * by one: a history is linearizable if each of its objects is (Herlihy and Wing, 1990).
 *
 * @packageDocumentation
 */
import type { ReadInterval } from "./operation-times.ts";

/** A write, zeroing or deallocation as one block sees it. */
export interface WriteInterval {
  /** p for data written at p; −p for zeros made at p; 0 for a block that nothing ever touched. */
  readonly state: number;
  /** −∞ for what was there before everything else that is asked about. */
  readonly submitted: number;
  /** Infinite while it is under way; of one in doubt its fence. */
  readonly completed: number;
  /** It may never have taken effect. */
  readonly isInDoubt: boolean;
}

/** Zeros that one of several operations made, and nobody can tell which. */
export const someZeros = -0.25;

interface Zone {
  first: number;
  last: number;
  readCount: number;
}

/** Whether some order of the writes and reads on one block explains what the reads showed. */
export function explains(writes: readonly WriteInterval[], reads: readonly ReadInterval[]): boolean {
  const zones: Zone[] = writes.map(({ submitted, completed }) => ({
    first: completed,
    last: submitted,
    readCount: 0,
  }));
  const open: ReadInterval[] = [];
  for (const read of reads) {
    const writers = writersOf(writes, read);
    if (writers.length === 0) return false;
    if (writers.length === 1) add(zones[writers[0]!]!, read);
    else open.push(read);
  }
  return attribute(writes, zones, open, 0);
}

/** Numbers of the writes that a read may show. */
function writersOf(
  writes: readonly WriteInterval[],
  { content, completed }: ReadInterval,
): readonly number[] {
  const found: number[] = [];
  for (const [index, { state, submitted }] of writes.entries())
    if (contentOf(state) === content && submitted < completed) found.push(index);
  return found;
}

/** What a state looks like: p for data, 0 for all zeros. */
export function contentOf(state: number): number {
  return Math.max(state, 0);
}

function attribute(
  writes: readonly WriteInterval[],
  zones: Zone[],
  open: readonly ReadInterval[],
  index: number,
): boolean {
  if (!zonesFit(writes, zones, index === open.length)) return false;
  const read = open[index];
  if (read === undefined) return true;
  for (const writer of writersOf(writes, read)) {
    const zone = zones[writer]!;
    const before = { ...zone };
    add(zone, read);
    if (attribute(writes, zones, open, index + 1)) return true;
    zones[writer] = before;
  }
  return false;
}

function add(zone: Zone, { submitted, completed }: ReadInterval): void {
  zone.first = Math.min(zone.first, completed);
  zone.last = Math.max(zone.last, submitted);
  zone.readCount++;
}

/** Zones only grow as reads are added, forward ones; so what does not fit now never will. */
function zonesFit(writes: readonly WriteInterval[], zones: readonly Zone[], isWhole: boolean): boolean {
  for (const [index, zone] of zones.entries()) {
    if (zone.first >= zone.last) continue;
    for (const [other, { first, last, readCount }] of zones.entries()) {
      if (other === index) continue;
      if (first < last) {
        if (Math.max(first, zone.first) < Math.min(last, zone.last)) return false;
        continue;
      }
      // One in doubt that nobody saw need not have happened; one that may yet be seen is looked at in the end.
      if (readCount === 0 && (!isWhole || writes[other]!.isInDoubt)) continue;
      if (last > zone.first && first < zone.last) return false;
    }
  }
  return true;
}
