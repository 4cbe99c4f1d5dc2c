/**
 * The words in which the brute-force oracles are told a history.
 *
 * Events are distinct numbers in the order in which they happened. Between two of them lies an instant at
 * which anything may have taken effect. Failed operations certainly had no effect and are simply absent.
 * Nothing here, nor in the files beside, imports from `src`: the oracles stand apart from what they test.
 *
 * @packageDocumentation
 */

/** What has a beginning and an end; what it did, it did strictly between. */
export interface Timed {
  readonly submitted: number;
  /** `Infinity` while in flight. */
  readonly completed: number;
}

/** One block of one volume. */
export interface Address {
  /** 0 when absent. */
  readonly volume?: number;
  readonly block: number;
}

/**
 * A write, a zeroing or a deallocation. A deallocation that is advice may on any block alone leave what was there,
 * though it is `ok`. One that is `ok` takes effect on each of its blocks at an instant of
 * its own, some time after the history if it is still in flight; one `inDoubt` may on any block alone never
 * take effect. `completed` of one in doubt is its fence, `Infinity` while there is none.
 */
export interface Write extends Timed {
  readonly id: number;
  readonly volume?: number;
  /** First block and count. */
  readonly blocks: readonly [first: number, count: number];
  /** 0 is zeros, which several writes may have; any other content belongs to one write. */
  readonly content: number;
  readonly outcome: "ok" | "inDoubt";
  readonly fua?: boolean;
  readonly isAdvice?: boolean;
}

/** Whether it may on any block alone never take effect. */
export const isOptional = ({ outcome, isAdvice }: Write): boolean =>
  outcome === "inDoubt" || isAdvice === true;

/** Gave the content that its block held at one instant. */
export interface Read extends Address, Timed {
  readonly content: number;
}

/** Puts on the medium, at one instant, what its volume holds. */
export interface Flush extends Timed {
  readonly volume?: number;
}

/** The content that one block of a snapshot, or of a volume after a crash, shows. */
export interface Shown extends Address {
  readonly content: number;
}

/** A snapshot call, of one volume or of several, and what is known of the snapshot's content. */
export interface Snapshot extends Timed {
  readonly shown?: readonly Shown[];
}

/** What a block held before all writes. */
export type Initial = (at: Required<Address>) => number;

export const zeros: Initial = () => 0;

/** Real-time order: `first` was over before `second` began. */
export const precedes = (first: Timed, second: Timed): boolean => first.completed < second.submitted;

export const isSameBlock = (one: Address, other: Address): boolean =>
  one.block === other.block && (one.volume ?? 0) === (other.volume ?? 0);

export const touches = ({ volume = 0, blocks: [first, count] }: Write, at: Address): boolean =>
  volume === (at.volume ?? 0) && at.block >= first && at.block < first + count;

/** Every block that is written, or that one of the other lists names, once. */
export function blocksOf(
  writes: readonly Write[],
  ...lists: readonly (readonly Address[])[]
): Required<Address>[] {
  const found = new Map<string, Required<Address>>();
  const add = (volume: number, block: number): void => {
    found.set(`${volume}:${block}`, { volume, block });
  };
  for (const write of writes) {
    const [first, count] = write.blocks;
    for (let block = first; block < first + count; block++) add(write.volume ?? 0, block);
  }
  for (const { volume = 0, block } of lists.flat()) add(volume, block);
  return [...found.values()];
}
