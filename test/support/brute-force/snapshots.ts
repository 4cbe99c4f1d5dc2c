/**
 * Brute-force oracle of the cut checker.
 *
 * @packageDocumentation
 */
import {
  blocksOf,
  type Initial,
  isSameBlock,
  type Read,
  type Snapshot,
  type Write,
  zeros,
} from "./history.ts";
import { instantsOf, rememberByPlace } from "./instants.ts";
import { isPossible, readSteps, type Step, writeSteps } from "./orders.ts";

export interface Surroundings {
  /** Reads of the volumes in the same history, which must be explained together with the snapshots. */
  readonly reads?: readonly Read[];
  readonly initial?: Initial;
}

/**
 * Whether there is one instant strictly inside the snapshot's call at which all blocks together, of all
 * volumes that it shows, held what is shown: on each block, in some order of the operations on it that
 * respects real time.
 */
export const explainsSnapshot = (
  writes: readonly Write[],
  snapshot: Snapshot,
  surroundings: Surroundings = {},
): boolean => explainsSnapshots(writes, [snapshot], surroundings);

/**
 * The same for several snapshots at once: one instant for each of them, and on each block one order of the
 * operations that agrees with all.
 */
export function explainsSnapshots(
  writes: readonly Write[],
  snapshots: readonly Snapshot[],
  { reads = [], initial = zeros }: Surroundings = {},
): boolean {
  const shown = snapshots.flatMap((snapshot) => snapshot.shown ?? []);
  const blocks = blocksOf([], reads, shown).map((at) => {
    const steps = [...writeSteps(writes, at), ...readSteps(reads.filter((read) => isSameBlock(read, at)))];
    return rememberByPlace(steps, (instants) =>
      isPossible([...steps, ...cutSteps(snapshots, instants, at)], initial(at)),
    );
  });
  return instantsOf(snapshots, [...writes, ...reads]).some((instants) =>
    blocks.every((isPossibleAt) => isPossibleAt(instants)),
  );
}

/** What snapshots taken at given instants are on one block. */
export const cutSteps = (
  snapshots: readonly Snapshot[],
  instants: readonly number[],
  at: { readonly volume: number; readonly block: number },
): Step[] =>
  snapshots.map(({ shown = [] }, index) => ({
    kind: "cut",
    content: shown.find((one) => isSameBlock(one, at))?.content,
    submitted: instants[index]!,
    completed: instants[index]!,
  }));
