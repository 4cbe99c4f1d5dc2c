/**
 * The search that the oracles share: all orders in which the operations on one block may have taken effect.
 *
 * An order is possible when it respects real time; then instants can be found for it inside the operations'
 * intervals. Blocks are independent of each other, so an oracle searches each block alone.
 *
 * @packageDocumentation
 */
import { type Address, isOptional, precedes, type Read, type Timed, touches, type Write } from "./history.ts";

/** One thing that happened to one block. */
export type Step = Timed &
  (
    | {
        readonly kind: "write";
        readonly content: number;
        readonly isOptional: boolean;
        readonly isAdvice: boolean;
        /** Advice that leaves what was there. */
        readonly isIgnored?: boolean;
      }
    | { readonly kind: "read"; readonly content: number }
    /** The instant of a snapshot, `submitted` and `completed` at once; content where it is known. */
    | { readonly kind: "cut"; readonly content: number | undefined }
  );

export const writeSteps = (writes: readonly Write[], at: Address): Step[] =>
  writes
    .filter((write) => touches(write, at))
    .map((write) => {
      const { content, submitted, completed, isAdvice = false } = write;
      return { kind: "write", content, isOptional: isOptional(write), isAdvice, submitted, completed };
    });

export const readSteps = (reads: readonly Read[]): Step[] =>
  reads.map(({ content, submitted, completed }) => ({ kind: "read", content, submitted, completed }));

export interface OrderSearch<State> {
  readonly steps: readonly Step[];
  readonly start: State;
  /** The state after a step, or `undefined` where the step contradicts it. A read gives the state back. */
  readonly apply: (state: State, step: Step) => State | undefined;
  /** The same for equal states. */
  readonly keyOf: (state: State) => string;
  /** Ends the search when so many endings are found. */
  readonly endingsMax?: number;
}

/**
 * All states in which a block can be when every step was done, in any order that respects real time, the
 * optional ones or not.
 *
 * @throws {RangeError} more than 30 steps: the search is for small cases.
 */
export function endings<State>(search: OrderSearch<State>): State[] {
  const { steps, start, apply, keyOf, endingsMax = Number.POSITIVE_INFINITY } = search;
  if (steps.length > 30) throw new RangeError(`${steps.length} steps on one block, at most 30 are searched`);
  const found = new Map<string, State>();
  const seen = new Set<string>();

  // Sets of steps are sets of bits.
  const those = (belongs: (step: Step) => boolean): number =>
    steps.reduce((bits, step, index) => (belongs(step) ? bits | (1 << index) : bits), 0);
  const required = those((step) => step.kind !== "write" || !step.isOptional);
  const before = steps.map((step) => those((other) => precedes(other, step)));
  const after = steps.map((step) => those((other) => precedes(step, other)));

  /** Nothing done comes after it in real time, and nothing left, that has to be done, before it. */
  const mayComeNext = (index: number, done: number): boolean =>
    (after[index]! & done) === 0 && (before[index]! & required & ~done) === 0;

  /** A read that shows the state as it is shuts nothing out, unless something left could only come before it. */
  const isFree = (index: number, done: number, state: State): boolean =>
    steps[index]!.kind === "read" &&
    (before[index]! & ~done) === 0 &&
    apply(state, steps[index]!) !== undefined;

  const visit = (done: number, state: State): void => {
    const key = `${done}/${keyOf(state)}`;
    if (seen.has(key) || found.size >= endingsMax) return;
    seen.add(key);
    if ((required & ~done) === 0) found.set(keyOf(state), state);
    const candidates = steps
      .map((_, index) => index)
      .filter((index) => ((done >> index) & 1) === 0 && mayComeNext(index, done));
    const free = candidates.find((index) => isFree(index, done, state));
    for (const index of free === undefined ? candidates : [free]) {
      const next = apply(state, steps[index]!);
      if (next !== undefined) visit(done | (1 << index), next);
    }
  };
  visit(0, start);
  return [...found.values()];
}

/** Whether some order of the steps shows each read and each cut the content that it saw. */
export const isPossible = (steps: readonly Step[], initial: number): boolean =>
  endings<number>({
    steps,
    start: initial,
    apply: (content, step) => {
      if (step.kind === "write") return step.content;
      return step.content === undefined || step.content === content ? content : undefined;
    },
    keyOf: String,
    endingsMax: 1,
  }).length > 0;
