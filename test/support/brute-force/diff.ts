/**
 * Brute-force oracle of the diff checker.
 *
 * @packageDocumentation
 */
import { type Address, blocksOf, isSameBlock, type Snapshot, type Write, zeros } from "./history.ts";
import { instantsOf, rememberByPlace } from "./instants.ts";
import { endings, readSteps, type Step, writeSteps } from "./orders.ts";
import { cutSteps, type Surroundings } from "./snapshots.ts";

export interface Diff extends Surroundings {
  readonly writes: readonly Write[];
  /** Without a base the diff is from the beginning, and what differs is what is not zeros. */
  readonly base: Snapshot | undefined;
  readonly snapshot: Snapshot;
  /** The volume whose blocks are reported; 0 when absent. */
  readonly volume?: number;
  readonly reported: ReadonlySet<number>;
  /** Blocks in a granule; granules lie at multiples of it. */
  readonly granularity: number;
  readonly precision: "covering" | "exact";
}

/** What can be said of one block and two instants. */
interface Change {
  /** Some write took effect between them, other than advice. */
  readonly isTouched: boolean;
  /** Or advice may have, for all that can be told. */
  readonly isTouchable: boolean;
  /** The content at the one is not that at the other. */
  readonly differs: boolean;
}

/**
 * Whether there are an instant in the base's call, one in the snapshot's, and on each block an order of the
 * operations that respects real time and agrees with what the two show (where that is known), so that the
 * answer is right. With W = blocks on which a write took effect between the two instants and C = blocks whose
 * content differs between them, right is C ⊆ reported ⊆ W rounded out to the granularity (`covering`), or
 * W ⊆ reported ⊆ W rounded out (`exact`). Advice, whether it took effect or not, may be in W and need not be where
 * nothing differs.
 */
export function legalDiff(diff: Diff): boolean {
  const { writes, base, snapshot, volume = 0, reported, precision, reads = [] } = diff;
  const calls = base === undefined ? [snapshot] : [base, snapshot];
  const shown = calls.flatMap((call) => call.shown ?? []);
  const reportedBlocks = [...reported].map((block) => ({ volume, block }));
  const blocks = blocksOf(writes, reads, shown, reportedBlocks).map((at) => ({
    ...at,
    changesAt: changesOf(diff, calls, at),
  }));

  const isRight = (instants: readonly number[]): boolean => {
    const touchedGranules = new Set<number>();
    for (const { volume: home, block, changesAt } of blocks) {
      const changes = changesAt(instants).filter(
        ({ isTouched, differs }) =>
          home !== volume || reported.has(block) || !(differs || (precision === "exact" && isTouched)),
      );
      if (changes.length === 0) return false;
      // Where the order is open, W as large as it can be is as good as any: it only has to hold the reported.
      if (home === volume && changes.some(({ isTouchable }) => isTouchable)) {
        touchedGranules.add(Math.floor(block / diff.granularity));
      }
    }
    return [...reported].every((block) => touchedGranules.has(Math.floor(block / diff.granularity)));
  };
  return instantsOf(calls, [...writes, ...reads]).some(isRight);
}

interface BlockState extends Change {
  readonly content: number;
  /** How many of the two instants are past. */
  readonly cutCount: number;
  readonly contentAtFirstCut: number;
}

/** The changes that are possible on one block, given the instants. */
function changesOf(
  { writes, reads = [], initial = zeros }: Diff,
  calls: readonly Snapshot[],
  at: Required<Address>,
): (instants: readonly number[]) => Change[] {
  const steps: Step[] = [
    ...writeSteps(writes, at),
    ...readSteps(reads.filter((read) => isSameBlock(read, at))),
  ];
  // Advice that left what was there may be reported as well.
  const ignored = steps.flatMap((step) =>
    step.kind === "write" && step.isAdvice ? [{ ...step, isOptional: true, isIgnored: true }] : [],
  );
  steps.push(...ignored);
  const fresh = {
    content: initial(at),
    contentAtFirstCut: 0,
    isTouched: false,
    isTouchable: false,
    differs: false,
  };
  return rememberByPlace(steps, (instants) =>
    endings<BlockState>({
      steps: [...steps, ...cutSteps(calls, instants, at)],
      start: { ...fresh, cutCount: 2 - calls.length },
      apply: pass,
      keyOf: (state) => Object.values(state).join(),
    }),
  );
}

function pass(state: BlockState, step: Step): BlockState | undefined {
  const { content, cutCount, contentAtFirstCut } = state;
  if (step.kind === "write") {
    const isBetween = cutCount === 1;
    return {
      ...state,
      content: step.isIgnored === true ? content : step.content,
      isTouched: state.isTouched || (isBetween && !step.isAdvice),
      isTouchable: state.isTouchable || isBetween,
    };
  }
  if (step.content !== undefined && step.content !== content) return undefined;
  if (step.kind === "read") return state;
  return cutCount === 0
    ? { ...state, cutCount: 1, contentAtFirstCut: content }
    : { ...state, cutCount: 2, differs: content !== contentAtFirstCut };
}
